"""The sources of the Grafana dashboards, and their tests against real stores.

`fleet`, `rollout` (with `canary`) and `exporter_health` define a dashboard each, from `panels` and `expressions`;
`python -m tests.boards --write` generates charts/rollouts-exporter/dashboards/*.json, and with `last9` and
`last9_alerts` the dashboards and alerts of Last9. `queries` extracts the expressions of dashboards and alerts; the
tests run them on stores loaded with recordings (`loaded_stores`, completed by `synthetic_metrics`) and on stores that
receive from a running exporter (`live_exporter`).
"""
