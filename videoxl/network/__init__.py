"""Torch modules that do not depend on a memory: rotation, attention, Qwen2 with VSTs, the vision path."""
