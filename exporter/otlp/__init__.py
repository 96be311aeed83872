"""Delivery over OTLP: from a metrics snapshot to a server that accepted its points.

Flow: `encode` turns a snapshot into export requests of bounded size. `delivery` puts them into a bounded queue (in
memory, or in a `spool` that survives restarts), and its sender empties the queue over a `transport` (HTTP or gRPC).
`result` is what the sender acts on: accepted, retryable, blocked or permanent.
"""
