"""The HTTP server: the status page, /metrics, /api/rollouts and the probes.

`server` owns routes and headers, `connections` bounds what clients cost before they send a request, `auth` guards all
but the probes. The service passes `DataSources`, functions that return what the pages show: metric families go through
`exposition_writer`, the `StatusPage` through `html` and the files of `page/`. Pages are `shared_page`s, rendered once
for all their readers.
"""
