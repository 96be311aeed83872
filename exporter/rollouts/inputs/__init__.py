"""Scrape results → observations: what each source shows of a rollout.

`leadership` elects the leaders among the controllers. `controller`, `kube_state_metrics` and `rollout_state` each read
one kind of page, incrementally; `controller` also assigns AnalysisRuns to rollouts. `last_status` remembers rollout
state over gaps, and refuses stale pages of it. `sources` joins what the sources last showed and decides whether that is
complete.
"""
