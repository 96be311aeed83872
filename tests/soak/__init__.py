"""A soak test: the real process for minutes or hours, backend outages, kill -9, and a ledger of every point."""
