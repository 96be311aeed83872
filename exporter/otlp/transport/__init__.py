"""One request over HTTP or gRPC, and the meaning of its response."""
