"""Tasks: what the commands do, without a terminal."""
