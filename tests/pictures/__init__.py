"""Pictures of the dashboards for the README, drawn with matplotlib from recordings: `python -m tests.pictures`.

`query_results` runs the queries of a dashboard, `drawing` draws the panels in the style of Grafana (`grafana_style`).
"""
