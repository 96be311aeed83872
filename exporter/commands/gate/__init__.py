"""The `gate` commands: load files, run, simulate, lint, render, and print the results."""
