"""Gates to run: that of the article, in a form that a controller accepts, and small ones."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import yaml

from exporter.commands.gate.run import RunOptions
from exporter.gate.controller import parse_version

if TYPE_CHECKING:
    from pathlib import Path

FAST = 2000.0
SERVICE = ("service-name=checkout",)
ARTICLE = """
apiVersion: argoproj.io/v1alpha1
kind: AnalysisTemplate
metadata:
  name: last9-error-rate
  namespace: production
spec:
  args:
    - name: service-name
    - name: last9-auth
      valueFrom:
        secretKeyRef: {name: last9-prometheus-auth, key: authorization}
  metrics:
    - name: error-rate
      interval: 2m
      count: 8
      failureLimit: 3
      successCondition: result[0] < 0.05
      failureCondition: result[0] >= 0.10
      provider:
        prometheus:
          address: ADDRESS
          query: |
            sum(rate(http_requests_total{service="{{args.service-name}}", status=~"5.."}[5m]))
            /
            sum(rate(http_requests_total{service="{{args.service-name}}"}[5m]))
          headers:
            - key: Authorization
              value: "{{args.last9-auth}}"
"""
SECRET = """
---
apiVersion: v1
kind: Secret
metadata: {name: last9-prometheus-auth, namespace: production}
stringData: {authorization: Basic dXNlcjpuZXZlci1zaG93bg==}
"""
TOKEN = "dXNlcjpuZXZlci1zaG93bg=="


def article(folder: Path, address: str) -> str:
    """Write the article's gate with its Secret; return the file's name."""
    file = folder / "gate.yaml"
    file.write_text(ARTICLE.replace("ADDRESS", address) + SECRET)
    return str(file)


def gate(folder: Path, address: str, query: str, *, prometheus: dict[str, Any] | None = None, **metric: Any) -> str:
    """Write a gate of one metric; return the file's name."""
    provider = {"prometheus": {"address": address, "query": query, **(prometheus or {})}}
    spec = {"metrics": [{"name": "m", "provider": provider, **metric}]}
    file = folder / "gate.yaml"
    file.write_text(yaml.safe_dump({"kind": "AnalysisTemplate", "metadata": {"name": "gate"}, "spec": spec}))
    return str(file)


def run_options(version: str = "1.9.1", **options: Any) -> RunOptions:
    """RunOptions to try a gate two thousand times as fast."""
    return RunOptions(parse_version(version), **{"speed": FAST, **options})
