"""From metric families to OTLP requests."""
