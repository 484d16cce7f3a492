"""Training of the bundled model: a synthetic world, the data made from it, and the trainer."""
