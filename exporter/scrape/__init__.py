"""Scrape Prometheus text pages: configured targets → ScrapeResults.

`targets` resolves the addresses of each target; `scraper` requests all that are due at a tick; `client` sends one GET
and streams the body into a sink; `response` is that sink: it feeds `parser`, and makes a `ScrapeResult` with families
or with a Failure. `diff` recognises what equals the target's previous page, `cache` holds that page and all series.
"""
