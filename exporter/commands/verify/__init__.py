"""The `verify` command: push a heartbeat, read it back from the store, and report names, labels and delay."""
