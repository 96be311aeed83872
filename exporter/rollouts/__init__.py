"""The domain: what controllers and kube-state-metrics say, joined into a fleet, and the series made from it."""
