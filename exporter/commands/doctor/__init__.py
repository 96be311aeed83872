"""The command `doctor`: what is wrong between the configuration and the world, with the evidence and the remedy.

`examine` gathers once, over the network and from the disk, what `table` has checks for; `diagnose` is pure. `report`
formats findings, `bundle` writes all of it to an archive.
"""
