"""The dashboards: what each shows (`fleet`, `rollout` with `canary`, `exporter_health`), in Grafana's words (`panels`).

`python -m tests.boards --write` makes charts/rollouts-exporter/dashboards/*.json of them.
"""
