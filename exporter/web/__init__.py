"""The HTTP server: the status page, /metrics, /api/rollouts and the probes.

`server` owns routes, limits and headers, `auth` guards all but the probes. The service passes `DataSources`, functions
that are called at each request: metric families go through `exposition_writer`, the `StatusPage` through `html` and the
files of `page/`.
"""
