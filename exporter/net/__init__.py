"""What every HTTP and gRPC client here shares: TLS and files that are reloaded when they change."""
