"""Summaries of many videos, and the detection of anomalies, advertisements and answers in them.

inputs         the videos of a run, from its arguments: files, folders, patterns, manifests
folders        scanning folders, and matching patterns
names          keys of items, and names of files
changes        files that have changed since they were summarised
chapters       chapter boundaries, from changes in the features of the vision tower
prompts        the tasks and their prompts, in files that can be replaced
detect         the parts of a video that show something, from yes/no questions about each part
describe       the questions that a task asks about a video, and the fields of its row
job            the work on one video, for the run engine: memorize it once, then ask
contact_sheet  contact sheets from the decoded frames
exports        a row as Markdown, as WebVTT chapters, and as a list of chapters
report         the HTML page of a run
live_report    the same page, updated while the run works
batch          `summarize`: all videos, in the folder of a run
"""
