"""The command `verify`: push a heartbeat, read it back from the store, and compare.

`heartbeat` builds and pushes it, and polls the store; `matching` finds sent families and attributes among the stored
ones; `report` prints the result.
"""
