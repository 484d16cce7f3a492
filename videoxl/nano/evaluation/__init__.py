"""What a model can answer about cards in real footage, from its condensed memory alone."""
