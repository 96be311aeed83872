"""Encode metrics snapshots as OTLP export requests.

Flow: `encoder` merges the families of a name and builds the requests; `numbers` and `histograms` (with
`histogram_groups`) encode points; `batch_cache` stores the encoded points of batches that do not change between
snapshots; `protobuf` holds the message types. Rule numbers (T01-T57) are explained in tests/RULES.md.
"""
