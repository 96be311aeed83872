"""What happened: the transitions of a tick as typed objects, each with a sentence, for people, logs and storage.

Nothing here remembers: what was reported before stands in `RolloutState.last_shown`, so that a restart repeats nothing.
"""
