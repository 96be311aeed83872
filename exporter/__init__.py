"""Rollouts Exporter: exports the state of Argo Rollouts to OTLP backends and to Prometheus.

The data flows through the packages in this order: `scrape` fetches and parses the pages of the sources, `rollouts`
tracks the rollouts and renders metric families, `otlp` encodes, queues and sends them, `web` serves them. `service`
runs these as one process. `cli` and `commands` are the command line, `gate` works on AnalysisTemplates, `demo`
simulates a cluster. All of them use `config`, `net`, `yaml_nodes`, `incremental`, `self_metrics`, `log` and
`metrics`.
"""

from typing import Final

__version__: Final = "0.1.0"
