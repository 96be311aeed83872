"""Deliver export requests in order, at least once, and account for every point.

Flow: `producer` → the queue of `exporter.storage` → `sender`, which retries with back-off, keeps requests while
delivery is blocked, and bisects refused requests (`bisect`). `accounting` counts what happened to each point. Rule
numbers (E01-E43) are explained in tests/RULES.md.
"""
