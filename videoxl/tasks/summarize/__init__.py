"""Summaries of many videos.

inputs    from arguments to items: files, folders, globs, manifests
chapters  where a video is cut, from the change of what the vision tower sees
prompts   what the model is asked, in files that can be replaced
job       one video to one row: watched once, every chapter described from its part of the memory, then the whole
sheet     small pictures of what is watched, kept beside the rows
texts     a row as Markdown, as WebVTT chapters, and as a list of chapters
report    the page about a run
batch     all of them in the folder of a run
"""
