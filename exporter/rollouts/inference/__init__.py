"""From an observation to the state of a rollout."""
