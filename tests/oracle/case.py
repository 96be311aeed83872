"""A case of the oracle: its pages, and what two peers and this exporter make of them, as lines of text."""

from __future__ import annotations

import json
import lzma
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from exporter.metrics import Failure, ScrapeResult, Source
from exporter.otlp.encode.encoder import Encoder
from exporter.otlp.encode.protobuf import Identity, otlp_json
from exporter.rollouts.model import TrackingPolicy
from exporter.rollouts.tracker import RolloutTracker
from exporter.scrape.cache import ScrapeCache
from exporter.scrape.response import ResponseParser, ScrapeRequest

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

CASES: Final = Path(__file__).parent / "cases"
LEADER_EVIDENCE: Final = b'# TYPE workqueue_adds_total counter\nworkqueue_adds_total{name="leads"} 1\n'
"""Makes a page that of a leader: other controllers' families are not passed through."""

_FIRST_SCRAPE: Final = 1_800_000_000
_INTERVAL: Final = 2
_GRACE: Final = 60
_ADDED_SERIES: Final = ("argo_rollouts_controller_leader", "rollouts_exporter_", 'workqueue_adds_total{name="leads"}')
_MAX_TEXT_LENGTH: Final = 300


class PushedMetrics:
    """The OTLP metrics of one scrape: a line for each point, and a line about each metric by its name."""

    def __init__(self, metrics: Iterable[Mapping[str, Any]], frame: int) -> None:
        self.points: set[str] = set()
        self.metrics: dict[str, str] = {}
        for metric in metrics:
            (kind,) = {"gauge", "sum", "histogram", "summary"} & metric.keys()
            points = {_point_text(metric["name"], point, f"T{frame}") for point in metric[kind]["dataPoints"]}
            points = {point for point in points if not point.startswith(_ADDED_SERIES)}
            self.points |= points
            if points:
                self.metrics[metric["name"]] = _metric_text(metric, kind)


class OracleCase:
    """A case of the directory `cases`; the collector's last frame is of a failed scrape after all pages."""

    def __init__(self, file: str) -> None:
        text = (CASES / file).read_bytes()
        case = json.loads(lzma.decompress(text) if file.endswith(".xz") else text)
        self.collector = [PushedMetrics(metrics, frame) for frame, metrics in enumerate(case["collector"])]
        self._series: list[dict[str, Any]] = case["prometheus"]
        self._content_type: str = case["content_type"]
        self._limit: int = case["scrape_config"].get("sample_limit", 0)
        self._responses: list[tuple[int, bytes]] = [(page["status"], page["body"].encode()) for page in case["pages"]]

    def scrape_results(self, evidence: bytes = b"") -> list[ScrapeResult]:
        """Parse the pages, with `evidence` appended to those that end with a complete line."""
        cache = ScrapeCache()
        sample_limit = self._limit + bool(evidence) if self._limit else 0
        requests = [
            ScrapeRequest(Source.ARGO, "argo-a", now, sample_limit=sample_limit) for now in self._timestamps()[:-1]
        ]
        readers = [ResponseParser(request, cache, lambda _: True) for request in requests]
        return [
            self._parse(reader, status, body + evidence if body.endswith(b"\n") else body)
            for reader, (status, body) in zip(readers, self._responses, strict=True)
        ]

    def _timestamps(self) -> range:
        return range(_FIRST_SCRAPE, _FIRST_SCRAPE + _INTERVAL * (len(self._responses) + 1), _INTERVAL)

    def _parse(self, reader: ResponseParser, status: int, body: bytes) -> ScrapeResult:
        reader.start(status, {"Content-Type": self._content_type})
        reader.feed(body)
        return reader.finish(None, 0.0)

    def push(self) -> list[PushedMetrics]:
        """Return what is pushed after each page, after a failed scrape, and at the end of its grace period."""
        tracker = RolloutTracker(TrackingPolicy(grace=_GRACE, derive=False))
        encoder = Encoder(Identity(()))
        failed = self._timestamps()[-1]
        results = self.scrape_results(LEADER_EVIDENCE)
        results += [
            ScrapeResult(Source.ARGO, "argo-a", now, failure=Failure("unanswered", ""))
            for now in (failed, failed + _GRACE)
        ]
        snapshots = [tracker.process(result.scraped_at, [result]) for result in results]
        return [
            PushedMetrics(
                _metrics(request.body for request in encoder.requests(snapshot)),
                int(snapshot.timestamp - _FIRST_SCRAPE) // _INTERVAL,
            )
            for snapshot in snapshots
        ]

    def stored(self, frame: int) -> set[str]:
        """Return the samples that Prometheus stored for a page."""
        return {
            _sample_text(series["labels"]["__name__"], series["labels"].items(), value)
            for series in self._series
            for time, value in series["samples"]
            if time == f"T{frame}" and value != "STALE"
        }


def samples_of(result: ScrapeResult) -> set[str]:
    """Return the samples of a page."""
    return {
        _sample_text(series.name, series.labels, value)
        for family in result.families.values()
        for series, value in family.samples()
    }


def difference(ours: set[str], theirs: set[str]) -> list[str]:
    """Return the lines that only we have, after "+ ", and those that only the peer has, after "- "."""
    return sorted([f"+ {line}" for line in ours - theirs] + [f"- {line}" for line in theirs - ours])


def _metrics(bodies: Iterable[bytes]) -> Iterator[Mapping[str, Any]]:
    for body in bodies:
        for resource in otlp_json(body)["resourceMetrics"]:
            for scope in resource["scopeMetrics"]:
                yield from scope["metrics"]


def _metric_text(metric: Mapping[str, Any], kind: str) -> str:
    rest = {key: value for key, value in metric[kind].items() if key != "dataPoints"}
    text = _shorten(metric.get("description", ""))
    return f"{kind} {sorted(rest.items())} {text!r} {metric.get('unit', '')} {sorted(_labels(metric['metadata']))}"


def _point_text(name: str, point: Mapping[str, Any], now: str) -> str:
    series = _series_text(name, _labels(point.get("attributes", [])))
    value = _number_text(point["asDouble"]) if "asDouble" in point else _distribution_text(point)
    nanoseconds = point["timeUnixNano"]
    time = f"T{(int(nanoseconds) / 1e9 - _FIRST_SCRAPE) / _INTERVAL:g}" if nanoseconds.isdigit() else nanoseconds
    parts = [series, "stale" if point.get("flags") else "", value, "" if time == now else f"@{time}"]
    return " ".join(filter(None, parts))


def _distribution_text(point: Mapping[str, Any]) -> str:
    """Format a histogram or a summary, without the sum of a stale one: only we send that."""
    bounds = [*map(_number_text, point.get("explicitBounds", [])), "+Inf"]
    counts = point.get("bucketCounts", [])
    total = "none" if counts and "sum" not in point else _number_text(point.get("sum", 0))
    parts = [] if point.get("flags") else [f"count {point.get('count', 0)} sum {total}"]
    parts += [f"{bound}:{count}" for bound, count in zip(bounds[-len(counts) :], counts, strict=True)] if counts else []
    parts += [
        f"{_number_text(item.get('quantile', 0))}={_number_text(item.get('value', 0))}"
        for item in point.get("quantileValues", [])
    ]
    return " ".join(parts)


def _sample_text(name: str, labels: Iterable[tuple[str, str]], value: float | str) -> str:
    """Format a sample, its bounds as numbers: Prometheus writes `1` as `1.0`."""
    return f"{_series_text(name, [(key, _label_value(key, text)) for key, text in labels])} {_number_text(value)}"


def _label_value(key: str, text: str) -> str:
    try:
        return _number_text(text) if key in {"le", "quantile"} else text
    except ValueError:
        return text


def _series_text(name: str, labels: Iterable[tuple[str, str]]) -> str:
    pairs = ",".join(f'{key}="{_shorten(value)}"' for key, value in sorted(labels) if key != "__name__")
    return f"{name}{{{pairs}}}" if pairs else name


def _number_text(value: float | str) -> str:
    """Format a number in one way; the recorded JSON has lost the sign of zero."""
    return repr(float(value) + 0.0).removesuffix(".0")


def _labels(attributes: Any) -> list[tuple[str, str]]:
    if isinstance(attributes, dict):
        return list(attributes.items())
    return [(attribute["key"], attribute["value"].get("stringValue", "")) for attribute in attributes]


def _shorten(text: str) -> str:
    return text if len(text) <= _MAX_TEXT_LENGTH else f"{text[:60]}...({len(text.encode())} bytes)"
