"""The version of this package, and the revision of what its memories mean."""

__version__ = "0.2.0"

# What a memory means: raised by one whenever the same model and options give other memories than before, because other
# frames are chosen, their pixels come out otherwise (colours, size, cropping), or visual tokens, prompt, windows or
# condensing change. It is in the key of the cache, so that no memory of before is served; a saved memory of another
# revision still answers, but is never grown. `python scripts/memory_goldens.py` raises it where its golden cases have
# changed; what these do not see, such as how a file is decoded, is raised by hand. Rounding does not count.
MEMORY_REVISION = 1
