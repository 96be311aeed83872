"""The domain: from scrape results to a metrics snapshot, without I/O, clock or log.

`tracker` drives a tick: `inputs` turns scrape results into observations of rollouts, `inference` derives the state of
each from what was remembered, and `output` renders states as metric families and finds stale series. `model` holds the
data classes of all three, `policy` what the settings decide, and `persistence` encodes what outlives a restart.
"""
