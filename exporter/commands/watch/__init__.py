"""The command `watch`: rollouts live in a terminal, all of them or one in full.

`reader` reads a `WatchState`; `fleet` and `rollout` turn it into a `View` at a width, `changes` into lines; `terminal`
shows a view until a key ends it. The demo shows the same views.
"""
