"""Rollouts Exporter: what Argo Rollouts is doing, said plainly to Last9 and to Prometheus."""

from typing import Final

__version__: Final = "0.1.0"
