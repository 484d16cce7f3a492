"""Rendered cards, scenes and footage: for training, for needles, for demos. No torch."""
