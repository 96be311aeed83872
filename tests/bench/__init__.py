"""Benchmark of the exporter and the agents that it replaces: `python -m tests.bench`.

`fleet` → `pages` (served by `endpoints`) → a subject (`subjects`), measured by `runner` → rows and tables (`table`).
`micro` measures parts of the exporter in this process.
"""
