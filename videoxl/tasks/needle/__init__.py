"""Needle in a video haystack: frames put into long videos at known depths, and questions about them.

needles    what is put in: the bundled set, and files in three forms
haystacks  what it is put into: files, folders, an endless synthetic video
trials     which needles stand where, and what is asked: retrieval, ordering, counting
protocols  how a question is put and scored
watcher    memories of videos that differ by their needles, with what they share done once
job        the work of one cell, for the run engine
settings   what can be chosen, checked before any model is loaded
results    statistics of finished trials, as text and as the records that other scripts read
figure     the heat map
"""
