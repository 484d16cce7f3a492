"""From a folder of files to network, configuration and tokenizer, and back."""
