"""Canary gates: AnalysisTemplates that Argo Rollouts evaluates, here loaded, linted, run, simulated and rendered.

A file becomes a template (`kubernetes`, `load`, `template`), its arguments are substituted (`arguments`), and the spec
is checked as the controller checks it (`validation`). `analysis_run` is the run as a state machine; `metric_provider`
and `runner` drive it against a Prometheus API, `simulation` on prepared query results. `provider` evaluates a query's
result with the conditions, whose language is `expr`; `explanation` shows how. `lint` and `render` build on these.
Independent of scrape, rollouts and otlp.
"""
