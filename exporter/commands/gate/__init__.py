"""The `gate` commands: load a template and its arguments, run or simulate it, lint or render gates."""
