"""Translates OTLP names to Prometheus names, as stores and Last9 do on ingestion.

The rules are those of the OpenTelemetry specification ("Prometheus and OpenMetrics Compatibility") and of the
translator that the collector, Prometheus and VictoriaMetrics (`-opentelemetry.usePrometheusNaming`) share.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from opentelemetry.proto.metrics.v1.metrics_pb2 import Metric

UNITS: Final = {
    "d": "days", "h": "hours", "min": "minutes", "s": "seconds", "ms": "milliseconds", "us": "microseconds",
    "ns": "nanoseconds", "By": "bytes", "KiBy": "kibibytes", "MiBy": "mebibytes", "GiBy": "gibibytes",
    "TiBy": "tibibytes", "KBy": "kilobytes", "MBy": "megabytes", "GBy": "gigabytes", "TBy": "terabytes",
    "m": "meters", "V": "volts", "A": "amperes", "J": "joules", "W": "watts", "g": "grams", "Cel": "celsius",
    "Hz": "hertz", "%": "percent", "1": "", "": "",
}  # fmt: skip # a table
PER: Final = {"s": "second", "m": "minute", "h": "hour", "d": "day", "w": "week", "mo": "month", "y": "year"}


def metric_name(metric: Metric) -> str:
    """Return the stored name of a metric, without the suffixes of a histogram's series."""
    kind = metric.WhichOneof("data")
    words = re.findall(r"[a-zA-Z0-9:]+", metric.name)
    main, _, per = metric.unit.partition("/")
    for word in (_unit(main, UNITS), _unit(per, PER)):
        if word and word not in words:
            words += ["per", word] if word in PER.values() else [word]
    if kind == "sum" and metric.sum.is_monotonic:
        words = [word for word in words if word != "total"] + ["total"]
    if kind == "gauge" and metric.unit == "1":
        words = [word for word in words if word != "ratio"] + ["ratio"]
    name = "_".join(words)
    return f"_{name}" if name[:1].isdigit() else name


def _unit(unit: str, names: dict[str, str]) -> str:
    return "" if "{" in unit else names.get(unit.strip(), unit.strip())


def label_name(key: str) -> str:
    """Return the label name under which an attribute is stored."""
    name = re.sub(r"[^a-zA-Z0-9_]", "_", key)
    if name[:1].isdigit():
        return f"key_{name}"
    return f"key{name}" if name.startswith("_") and not name.startswith("__") else name
