"""The running service: builds all components from the settings and runs a cycle at each tick.

`app` owns tasks, signals and shutdown; `wiring` turns settings into policy, parsers and identity; `cycle` scrapes,
has the `worker` thread process the results, and has `delivery` encode the snapshot, and commits it with `cycle_store`;
`views` prepares what the web pages show. Data flows scrape -> tracker -> snapshot -> delivery and web.
"""
