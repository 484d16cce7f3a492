"""Torch modules that know no memory: rotation, attention, Qwen2 with VSTs, the vision path."""
