"""The command line: parse, call, print. Each command lives in the module of its own name."""
