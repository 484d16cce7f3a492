"""The visual memory: the value, and the stores that it is built in and read from."""
