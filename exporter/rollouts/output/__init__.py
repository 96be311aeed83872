"""Rollouts → metric families.

`catalogue` is the table of derived series, with the function that computes each for one rollout. `renderer` builds the
families of all rollouts, `durations`, `namespace_counters` (by `update_account`), `targets` and `pass_through` add the
others, and `staleness` finds the series that went stale.
"""
