"""The query languages of stores: Prometheus' own, and MetricsQL of VictoriaMetrics and of stores made from it."""

from __future__ import annotations

import re
from enum import StrEnum
from typing import Final
from urllib.parse import urlsplit

_METRICSQL_HOST: Final = re.compile(r"last9|victoria|vmselect|vmsingle|vmauth|vmcluster", re.IGNORECASE)
# VictoriaMetrics' default ports, and the path of a cluster's vmselect.
_METRICSQL_PORTS: Final = {8428, 8481}
_METRICSQL_PATH: Final = re.compile(r"/select/[^/]+/prometheus")


class StoreKind(StrEnum):
    """What evaluates a query; `auto` is recognised by the address."""

    AUTO = "auto"
    PROMETHEUS = "prometheus"
    METRICSQL = "metricsql"


READ_DELAYS: Final = {StoreKind.PROMETHEUS: 30, StoreKind.METRICSQL: 45}
"""Seconds until a sample can be read, unless measured.

VictoriaMetrics answers with data that is 30 s old (-search.latencyOffset); an interval of 15 s comes on top.
"""


def store_kind(choice: StoreKind, address: str) -> StoreKind:
    """Return the kind of the store at an address, which only matters for `auto`; never `auto`."""
    if choice is not StoreKind.AUTO:
        return choice
    try:
        url = urlsplit(address)
        is_metricsql = _METRICSQL_HOST.search(url.hostname or "") or url.port in _METRICSQL_PORTS
    except ValueError:  # not a URL
        return StoreKind.PROMETHEUS
    return StoreKind.METRICSQL if is_metricsql or _METRICSQL_PATH.search(url.path) else StoreKind.PROMETHEUS
