"""The command `demo`: the real exporter, its sources and its backend in one process, on loopback.

`simulator` or a recording → `servers` (HTTP) → the exporter → `fake_backend` (OTLP), with `display` showing both ends.
`command` starts them all. Many tests use the simulator and the servers, too.
"""
