"""Delivery over OTLP: from a metrics snapshot to a server that accepted its points.

Flow: `encode` turns a snapshot into export requests of bounded size. They wait in the queue of `exporter.storage`,
which the sender of `delivery` empties over a `transport` (HTTP or gRPC).
`result` is what the sender acts on: accepted, retryable, blocked or permanent.
"""
