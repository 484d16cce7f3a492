"""What turns visual tokens into a memory, and a memory and a question into an answer."""
