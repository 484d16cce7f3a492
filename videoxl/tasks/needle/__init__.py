"""Needle in a video haystack: frames inserted into long videos at known depths, and questions about them.

needles            the needles: the bundled set, and files in three formats
haystacks          the haystacks: files, folders, and a synthetic video
synthetic          the synthetic haystack: an endless rendered video
scenes             rendered scenes without cards
cards              rendered cards with a word, a number or a shape
trials             the trials of a cell: which needles at which positions, and the questions
protocols          how a question is asked and scored
settings           the settings of a run and its items, checked before a model is loaded
haystack_memories  memories of videos that differ only by their needles; shared frames are processed once
job                the work of one cell, for the run engine
run                a needle run from its settings to its reports
results            statistics of finished trials, as text and as records for other scripts
figure             the heat map
"""
