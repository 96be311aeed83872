"""What people and scrapers ask of the exporter: the status page, /metrics, /api/rollouts and the probes."""
