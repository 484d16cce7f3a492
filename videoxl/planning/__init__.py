"""Windows and ratios as arithmetic, and whether a video fits. No torch."""
