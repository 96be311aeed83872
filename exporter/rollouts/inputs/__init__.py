"""From pages to observations: what each source shows of a rollout."""
