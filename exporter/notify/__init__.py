"""Messages about transitions for other systems, delivered like points: each at least once, with the same bytes.

A destination makes the bodies on the worker thread; they are committed with the transitions into the outbox of
`storage`, and one sender each delivers them in order.
"""
