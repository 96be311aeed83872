"""What the exporter costs, beside the agents it replaces: `python -m tests.bench`."""
