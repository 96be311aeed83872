"""The running service: builds all components from the settings and runs a cycle at each tick.

`app` owns tasks, signals and shutdown; `wiring` turns settings into policy, parsers and identity; `cycle` scrapes,
has the `worker` thread process the results, and hands the snapshot to `delivery`; `state_file` stores the tracker's
state; `views` prepares what the web pages show. Data flows scrape -> tracker -> snapshot -> delivery and web.
"""
