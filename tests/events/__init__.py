"""What happened: transitions, their commands and the API. `justified` derives them from the Kubernetes objects."""
