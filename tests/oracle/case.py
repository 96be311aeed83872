"""One case of the oracle: its pages, what two peers made of them, and what we make of them, all as lines of text."""

from __future__ import annotations

import json
import lzma
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from exporter.metrics import Failure, ScrapeResult, Source
from exporter.otlp.encode.encoder import Encoder
from exporter.otlp.encode.protobuf import Identity, otlp_json
from exporter.rollouts.policy import TrackingPolicy
from exporter.rollouts.tracker import RolloutTracker
from exporter.scrape.cache import ScrapeCache
from exporter.scrape.response import Asked, PageReader

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

CASES: Final = Path(__file__).parent / "cases"
EVIDENCE: Final = b'# TYPE workqueue_adds_total counter\nworkqueue_adds_total{name="leads"} 1\n'
"""What makes a page a leader's: only a leader's families pass."""

_AT: Final = 1_800_000_000
_INTERVAL: Final = 2
_GRACE: Final = 60
_OURS: Final = ("argo_rollouts_controller_leader", "rollouts_exporter_", 'workqueue_adds_total{name="leads"}')
_LONG: Final = 300


class Pushed:
    """The metrics of one scrape in OTLP: a line for each point, and a line about each metric by its name."""

    def __init__(self, metrics: Iterable[Mapping[str, Any]], frame: int) -> None:
        self.points: set[str] = set()
        self.metrics: dict[str, str] = {}
        for metric in metrics:
            (kind,) = {"gauge", "sum", "histogram", "summary"} & metric.keys()
            points = {_point(metric["name"], point, f"T{frame}") for point in metric[kind]["dataPoints"]}
            points = {point for point in points if not point.startswith(_OURS)}
            self.points |= points
            if points:
                self.metrics[metric["name"]] = _about(metric, kind)


class Case:
    """A case as it lies in the directory of cases; the collector's last frame is of a failed scrape after all pages."""

    def __init__(self, file: str) -> None:
        text = (CASES / file).read_bytes()
        told = json.loads(lzma.decompress(text) if file.endswith(".xz") else text)
        self.collector = [Pushed(metrics, frame) for frame, metrics in enumerate(told["collector"])]
        self._series: list[dict[str, Any]] = told["prometheus"]
        self._content_type: str = told["content_type"]
        self._limit: int = told["scrape_config"].get("sample_limit", 0)
        self._answers: list[tuple[int, bytes]] = [(page["status"], page["body"].encode()) for page in told["pages"]]

    def pages(self, evidence: bytes = b"") -> list[ScrapeResult]:
        """Read the pages, `evidence` put at the end of those that end with a whole line."""
        interner = ScrapeCache()
        most = self._limit + bool(evidence) if self._limit else 0
        asked = [Asked(Source.ARGO, "argo-a", at, most=most) for at in self._times()[:-1]]
        readers = [PageReader(one, interner, lambda _: True) for one in asked]
        return [
            self._page(reader, status, body + evidence if body.endswith(b"\n") else body)
            for reader, (status, body) in zip(readers, self._answers, strict=True)
        ]

    def _times(self) -> range:
        return range(_AT, _AT + _INTERVAL * (len(self._answers) + 1), _INTERVAL)

    def _page(self, reader: PageReader, status: int, body: bytes) -> ScrapeResult:
        reader.begin(status, {"Content-Type": self._content_type})
        reader.feed(body)
        return reader.close(None, 0.0)

    def pushed(self) -> list[Pushed]:
        """Return what is pushed after each page, after a failed scrape, and at the end of the grace after that."""
        watch = RolloutTracker(TrackingPolicy(grace=_GRACE, derive=False))
        encoder = Encoder(Identity(()))
        failed = self._times()[-1]
        down = Failure("unanswered", "")
        pages = self.pages(EVIDENCE)
        pages += [ScrapeResult(Source.ARGO, "argo-a", at, failure=down) for at in (failed, failed + _GRACE)]
        cycles = [watch.process(page.scraped_at, [page]) for page in pages]
        return [
            Pushed(
                _metrics(request.body for request in encoder.requests(cycle)), int(cycle.timestamp - _AT) // _INTERVAL
            )
            for cycle in cycles
        ]

    def stored(self, frame: int) -> set[str]:
        """Return the samples that Prometheus stored for a page."""
        return {
            _sample(series["labels"]["__name__"], series["labels"].items(), value)
            for series in self._series
            for at, value in series["samples"]
            if at == f"T{frame}" and value != "STALE"
        }


def read(page: ScrapeResult) -> set[str]:
    """Return the samples of a page."""
    return {
        _sample(series.name, series.labels, value)
        for family in page.families.values()
        for series, value in zip(family.series, family.values, strict=True)
    }


def difference(ours: set[str], theirs: set[str]) -> list[str]:
    """Return the lines that only we say, after "+ ", and those that only they say, after "- "."""
    return sorted([f"+ {line}" for line in ours - theirs] + [f"- {line}" for line in theirs - ours])


def _metrics(bodies: Iterable[bytes]) -> Iterator[Mapping[str, Any]]:
    for body in bodies:
        for resource in otlp_json(body)["resourceMetrics"]:
            for scope in resource["scopeMetrics"]:
                yield from scope["metrics"]


def _about(metric: Mapping[str, Any], kind: str) -> str:
    rest = {key: value for key, value in metric[kind].items() if key != "dataPoints"}
    text = _short(metric.get("description", ""))
    return f"{kind} {sorted(rest.items())} {text!r} {metric.get('unit', '')} {sorted(_pairs(metric['metadata']))}"


def _point(name: str, point: Mapping[str, Any], now: str) -> str:
    head = _series(name, _pairs(point.get("attributes", [])))
    value = _number(point["asDouble"]) if "asDouble" in point else _distribution(point)
    nanoseconds = point["timeUnixNano"]
    at = f"T{(int(nanoseconds) / 1e9 - _AT) / _INTERVAL:g}" if nanoseconds.isdigit() else nanoseconds
    told = [head, "ended" if point.get("flags") else "", value, "" if at == now else f"@{at}"]
    return " ".join(filter(None, told))


def _distribution(point: Mapping[str, Any]) -> str:
    """Spell a histogram or a summary; the sum of an ended one is left out, since only we send it."""
    edges = [*map(_number, point.get("explicitBounds", [])), "+Inf"]
    counts = point.get("bucketCounts", [])
    total = "none" if counts and "sum" not in point else _number(point.get("sum", 0))
    told = [] if point.get("flags") else [f"count {point.get('count', 0)} sum {total}"]
    told += [f"{edge}:{count}" for edge, count in zip(edges[-len(counts) :], counts, strict=True)] if counts else []
    told += [
        f"{_number(one.get('quantile', 0))}={_number(one.get('value', 0))}" for one in point.get("quantileValues", [])
    ]
    return " ".join(told)


def _sample(name: str, labels: Iterable[tuple[str, str]], value: float | str) -> str:
    """Spell a sample, its edges as numbers: Prometheus writes `1` as `1.0`."""
    return f"{_series(name, [(key, _edge(key, text)) for key, text in labels])} {_number(value)}"


def _edge(key: str, text: str) -> str:
    try:
        return _number(text) if key in {"le", "quantile"} else text
    except ValueError:
        return text


def _series(name: str, labels: Iterable[tuple[str, str]]) -> str:
    told = ",".join(f'{key}="{_short(value)}"' for key, value in sorted(labels) if key != "__name__")
    return f"{name}{{{told}}}" if told else name


def _number(value: float | str) -> str:
    """Spell a number in one way; the recorded JSON has lost the sign of zero."""
    return repr(float(value) + 0.0).removesuffix(".0")


def _pairs(attributes: Any) -> list[tuple[str, str]]:
    if isinstance(attributes, dict):
        return list(attributes.items())
    return [(one["key"], one["value"].get("stringValue", "")) for one in attributes]


def _short(text: str) -> str:
    return text if len(text) <= _LONG else f"{text[:60]}...({len(text.encode())} bytes)"
