"""What every network client of the exporter shares; scrape, otlp, gate and some commands use it.

`http` opens sessions and reads bounded responses, whose heads `connection` checks; `proxy` finds the proxy; `response`
holds such a response and its error text; `errors` classifies exceptions; `tls`, `auth` and `files` load certificates
and credentials, and load them again when their files change; `gzip` compresses; `prometheus_api` queries a Prometheus
HTTP API, and `prometheus_response` parses what it returns. Nothing here knows the settings: callers pass plain values,
or objects that fit a Protocol.
"""
