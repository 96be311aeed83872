"""Delivery over OTLP: families become requests, requests wait in a bounded queue, a sender gets each one there."""
