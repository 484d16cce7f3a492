"""The command line: installed as `videoxl.cli`. It parses, calls the library once, and shows the result."""
