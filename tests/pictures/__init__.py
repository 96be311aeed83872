"""Pictures of the dashboards, drawn from recorded data, since no Grafana runs here: `python -m tests.pictures`."""
