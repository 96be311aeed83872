"""What is wrong with a gate: Kubernetes YAML in, findings out, each with its line, its reason and its cure. Pure."""
