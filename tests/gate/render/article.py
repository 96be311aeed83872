"""The answers of `gate render` for the gate of the article."""

from __future__ import annotations

from typing import Any

ARTICLE: dict[str, Any] = {
    "signal": "error-rate",
    "service": "checkout",
    "namespace": "production",
    "cluster_id": "c1",
    "organization": "acme",
    "success": 0.05,
    "failure": 0.10,
    "failures": 3,
    "interval": "2m",
    "weight": 10,
}
