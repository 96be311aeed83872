"""A simulated cluster: controllers, kubelet and the pages that they expose."""
