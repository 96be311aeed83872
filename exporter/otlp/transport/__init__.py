"""Send one export request over HTTP or gRPC, and classify what comes back.

A transport (`http`, `grpc`) sends a request with the headers and certificates that `credentials` loads, and returns
what came of it: a response, or why there is none. It never raises. `response` classifies that into a result
(`exporter.otlp.result`) by the rules of `http_status` or `grpc_status`; the sender of `otlp.delivery` acts on it.
"""
