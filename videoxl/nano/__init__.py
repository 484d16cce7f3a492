"""Training of the bundled model: the data made from the world of cards, the tokenizer, and the trainer."""
