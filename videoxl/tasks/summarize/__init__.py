"""Summaries of many videos, and what is looked for in them.

inputs    from arguments to items: files, folders, globs, manifests
folders   what is in folders, and what patterns stand for
names     keys of items, and names of files
changes   files that have changed since
chapters  where a video is cut, from the change of what the vision tower sees
prompts   the tasks, and what the model is asked, in files that can be replaced
judging   where something is, from how surely the model says yes about each part
asking    what a task asks about a video, and what comes of it
job       one video to one row: watched once, and asked about
sheet     small pictures of what is watched, kept beside the rows
texts     a row as Markdown, as WebVTT chapters, and as a list of chapters
report    the page about a run
live_report   the same while it goes on
batch     all of them in the folder of a run
"""
