"""Cards, scenes, footage, and what can be asked about them: for training, for needles, for demos. No torch."""
