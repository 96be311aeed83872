"""Infers what the sources do not export: update state, transitions, pod roles and canary fraction of a rollout.

Data flows from an `Observation` and the remembered `RolloutState` through `classify` (which update state, by which
evidence) and `state_machine` (which transitions, next state; `weight` follows a router's) to `join` (pod roles, canary
fraction → `Rollout`).
Imports go the other way: `model` ← `revisions`, `transitions`, `fraction` ← `classify` ← `weight` ← `state_machine`.
"""
