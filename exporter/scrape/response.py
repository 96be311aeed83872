"""One answer (status, headers, bytes) → one Page: whole, or nothing but its trouble."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from exporter.metrics import Failure, ScrapeResult, Source
from exporter.scrape.cache import unescape
from exporter.scrape.parser import Exposition, ExpositionError, Parser

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence

    from exporter.scrape.cache import ScrapeCache

OK: Final = 200
_EXPLAINED: Final = 64 * 1024
_QUOTED: Final = 300
# Anything but these is read as text 0.0.4: a blank or unknown type falls back to it (T52), as file servers need.
_OTHER_TYPES: Final = {
    "text/html": "HTML",
    "application/json": "JSON",
    "application/openmetrics-text": "OpenMetrics",
    "application/vnd.google.protobuf": "protobuf",
}
# The controller's words (facts/observed.md 3.6.2); the white space inside the braces differs between builds.
_LABEL: Final = re.compile(r'\s*+label:\s*\{\s*name:\s*"(\w++)"\s+value:\s*"((?:[^"\\]|\\.)*+)"\s*\}')
_DUPLICATE: Final = re.compile(
    r'collected metric "?analysis_(?P<kind>run|template)_\w++"?\s*+'
    rf"\{{(?P<labels>(?:{_LABEL.pattern})++)[^\n]{{0,99}}?\}} was collected before"
)
_LISTED: Final = 5


@dataclass(frozen=True, slots=True)
class Asked:
    """Who was asked and when; `most` bounds the samples of wanted families."""

    source: Source
    target: str
    at: float
    installation: str = "default"
    most: int = 0

    @property
    def who(self) -> Hashable:
        """What tells one address from another."""
        return self.source, self.installation, self.target


@dataclass(slots=True)
class PageReader:
    """Takes an answer as it streams in: `begin`, `feed` until `broken` or done, `close`. Never raises."""

    asked: Asked
    interner: ScrapeCache
    wanted: Callable[[str], bool]
    _trouble: Failure | None = None
    _parser: Parser | None = None
    _explanation: bytearray = field(default_factory=bytearray)
    _status: int = 0

    def begin(self, status: int, headers: Mapping[str, str]) -> None:
        """Judge the status line and the Content-Type; header names are taken in any case."""
        self._status = status
        kind = {name.lower(): value for name, value in headers.items()}.get("content-type", "")
        other = _OTHER_TYPES.get(kind.partition(";")[0].strip().lower())
        if status != OK:
            return
        if other is not None:
            self._trouble = Failure(
                "content_type", f"answers {other}, not Prometheus text format 0.0.4; check {self._setting('path')}"
            )
            return
        self._parser = Parser(self.interner, self.wanted, self.asked.most, self.interner.former(self.asked.who))

    @property
    def broken(self) -> bool:
        """Tell that further bytes are of no use."""
        if self._trouble is not None:
            return True
        return self._parser is None and len(self._explanation) >= _EXPLAINED

    def feed(self, block: bytes) -> None:
        """Take decompressed bytes of the body."""
        if self._trouble is not None:
            return
        if self._parser is None:
            self._explanation += block[: _EXPLAINED - len(self._explanation)]
            return
        try:
            self._parser.feed(block)
        except ExpositionError as error:
            self._trouble = self._told(error)

    def close(self, trouble: Failure | None, seconds: float) -> ScrapeResult:
        """Return the page; `trouble` is what went wrong on the way, None when the body came whole."""
        trouble = self._trouble or trouble
        exposition = None
        if trouble is None and self._parser is None:
            trouble = self._refused()
        elif trouble is None:
            try:
                exposition = self._parser.finish() if self._parser else None
            except ExpositionError as error:
                trouble = self._told(error)
        if exposition is not None and trouble is None:
            self.interner.keep(self.asked.who, exposition.families)
        return self._page(exposition, trouble, seconds)

    def _page(self, exposition: Exposition | None, trouble: Failure | None, seconds: float) -> ScrapeResult:
        asked = self.asked
        return ScrapeResult(
            source=asked.source,
            target=asked.target,
            scraped_at=asked.at,
            families=exposition.families if exposition else {},
            failure=trouble,
            installation=asked.installation,
            parse_errors=exposition.malformed if exposition else {},
            duration=seconds,
            samples=exposition.samples if exposition else 0,
        )

    def _told(self, error: ExpositionError) -> Failure:
        cure = {
            "sample_limit": f"raise {self._setting('limits.samples')} or want fewer families (series.pass_through)",
            "cut_short": "the component stopped in mid-answer; if it lasts, look at its log",
            "not_exposition": f"check {self._setting('targets')} and {self._setting('path')}",
        }[error.reason]
        return Failure(error.reason, f"{error}; {cure}")

    def _refused(self) -> Failure:
        text = self._explanation.decode("utf-8", "replace")
        repeated = _repeated(text)
        if repeated:
            return Failure("duplicate_metric", f"HTTP {self._status}: {_in_words(repeated)}")
        first = " ".join(text.split())[:_QUOTED]
        told = f"HTTP {self._status}{': ' if first else ''}{first}"
        return Failure("http_status", f"{told}; {self._cure()}")

    def _cure(self) -> str:
        if self._status in (401, 403):
            return f"give a credential: {self._setting('bearer_token_file')} or {self._setting('basic_auth')}"
        return f"check {self._setting('targets')} and {self._setting('path')}"

    def _setting(self, key: str) -> str:
        return f"{self.asked.source}.{key}"


def _repeated(text: str) -> dict[str, dict[str, None]]:
    """Return the objects that repeat metric names, and which: each turns the controller's whole page into a 500."""
    found: dict[str, dict[str, None]] = {}
    for match in _DUPLICATE.finditer(text):
        labels = {name: unescape(value) for name, value in _LABEL.findall(match["labels"])}
        where = "/".join(filter(None, (labels.get("namespace"), labels.get("name"))))
        scope = "" if "/" in where else "Cluster"
        kind = "AnalysisRun" if match["kind"] == "run" else f"{scope}AnalysisTemplate"
        found.setdefault(f"{kind} {where}", {})[repr(labels.get("metric", ""))] = None
    return found


def _in_words(repeated: Mapping[str, Iterable[str]]) -> str:
    each = [f"{one} repeats the metric name {_listed(list(names))}" for one, names in repeated.items()]
    return (
        f"{_listed(each, '; ')}; this breaks the controller's whole metrics page: give the metrics of each object "
        "different names"
    )


def _listed(items: Sequence[str], between: str = ", ") -> str:
    more = [f"{len(items) - _LISTED} more"] if len(items) > _LISTED else []
    return between.join([*items[:_LISTED], *more])
