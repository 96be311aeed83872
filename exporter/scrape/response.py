"""One response (status, headers, bytes) → one ScrapeResult: a complete page, or a Failure with a hint."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from exporter.metrics import Failure, ScrapeResult, Source
from exporter.net.masking import mask_secrets
from exporter.net.response import excerpt, status_text
from exporter.scrape.cache import unescape
from exporter.scrape.parser import Exposition, ExpositionError, ExpositionParser

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence

    from exporter.scrape.cache import ScrapeCache

OK: Final = 200
UNAUTHORIZED: Final = 401
TIMEOUT: Final = "timeout"
"""The reason of an exchange that took too long."""
_MAX_ERROR_BODY: Final = 64 * 1024
"""Bytes of an error's body that are read: the controller lists every duplicate metric in it."""
_MAX_LINE: Final = 160
"""Characters of a malformed line in a message or the log: enough for a series and its value."""
_MAX_ANSWER_BYTES: Final = 4096
"""Bytes of an answer that cannot be used that are held: each target that fails holds as many."""
_MAX_ANSWER_LINES, _MAX_ANSWER_LINE = 30, 200
_MAX_EXCERPT: Final = 300
"""Characters of an error's body in a message."""
# Anything but these is parsed as text 0.0.4, also an empty or unknown type (T52): file servers send no better one.
_UNSUPPORTED_TYPES: Final = {
    "text/html": "HTML",
    "application/json": "JSON",
    "application/openmetrics-text": "OpenMetrics",
    "application/vnd.google.protobuf": "protobuf",
}
_OTHER_EXPOSITIONS: Final = ("OpenMetrics", "protobuf")
# How the controller's client library reports two equal series; the white space in the braces differs between builds.
_LABEL: Final = re.compile(r'\s*+label:\s*\{\s*name:\s*"(\w++)"\s+value:\s*"((?:[^"\\]|\\.)*+)"\s*\}')
_DUPLICATE_METRIC: Final = re.compile(
    r'collected metric "?analysis_(?P<kind>run|template)_\w++"?\s*+'
    rf"\{{(?P<labels>(?:{_LABEL.pattern})++)[^\n]{{0,99}}?\}} was collected before"
)
_MAX_LISTED: Final = 5
"""Objects, and names of each, in a message."""


@dataclass(frozen=True, slots=True)
class ScrapeRequest:
    """What is scraped and when (Unix seconds); `sample_limit` bounds the samples of selected families, 0: no limit.

    `credential` is the key of the setting whose credential is sent, "" if none is.
    """

    source: Source
    target: str
    timestamp: float
    installation: str = "default"
    sample_limit: int = 0
    credential: str = ""

    @property
    def target_key(self) -> Hashable:
        """The key of the target's previous page in the cache."""
        return self.source, self.installation, self.target


@dataclass(slots=True)
class ResponseParser:
    """Parses a response as it streams in: `start`, `feed` until the end or until `aborted`, `finish`. Never raises.

    `redact` removes secrets from a line of the page that a message quotes.
    """

    request: ScrapeRequest
    cache: ScrapeCache
    is_selected: Callable[[str], bool]
    redact: Callable[[str], str] = str
    _failure: Failure | None = None
    _parser: ExpositionParser | None = None
    _begin: bytearray = field(default_factory=bytearray)
    _size: int = 0
    _status: int = 0

    def start(self, status: int, headers: Mapping[str, str]) -> None:
        """Check the status and the Content-Type; header names may have any case."""
        self._status = status
        if status != OK:
            return
        content_type = {name.lower(): value for name, value in headers.items()}.get("content-type", "")
        unsupported = _UNSUPPORTED_TYPES.get(content_type.partition(";")[0].strip().lower())
        if unsupported is not None:
            # Argo Rollouts and kube-state-metrics send what the request accepts, which is text alone.
            hint = f"check {self._setting('path')}"
            if unsupported in _OTHER_EXPOSITIONS:
                hint = (
                    "it was not asked for: a proxy in between replaces the header Accept; make it pass Accept on, "
                    f"or set {self._setting('targets')} to the addresses of the component itself"
                )
            message = f"responds with {unsupported}, not Prometheus text format 0.0.4; {hint}"
            self._failure = Failure("content_type", message)
            return
        previous_families = self.cache.previous_families(self.request.target_key)
        self._parser = ExpositionParser(self.cache, self.is_selected, self.request.sample_limit, previous_families)

    @property
    def aborted(self) -> bool:
        """Whether the rest of the body is not needed."""
        if self._parser is not None:
            return self._failure is not None
        return len(self._begin) >= self._begin_limit

    @property
    def _begin_limit(self) -> int:
        """Bytes that are held of the body: of an error's, its message has to be searched."""
        return _MAX_ERROR_BODY if self._status != OK else _MAX_ANSWER_BYTES

    def feed(self, block: bytes) -> None:
        """Parse the next decompressed bytes of the body."""
        self._size += len(block)
        if (room := self._begin_limit - len(self._begin)) > 0:
            self._begin += block[:room]
        if self._failure is not None or self._parser is None:
            return
        try:
            self._parser.feed(block)
        except ExpositionError as error:
            self._failure = self._parse_failure(error)

    def finish(self, failure: Failure | None, seconds: float) -> ScrapeResult:
        """Return the result; `failure` is what went wrong in the exchange, None if the body is complete."""
        # Our own first: an aborted parser ends the exchange early, which then fails, too.
        failure = self._failure or failure
        if failure is not None and failure.reason == TIMEOUT and self._parser is not None:
            self._store_progress(self._parser)
        exposition = Exposition({}, {}, 0)
        if failure is None and self._parser is None:
            failure = self._http_failure()
        elif failure is None and self._parser is not None:
            try:
                exposition = self._parser.finish()
                # The next page is compared with it.
                self.cache.store(self.request.target_key, exposition.families)
            except ExpositionError as error:
                failure = self._parse_failure(error)
        return ScrapeResult(
            source=self.request.source,
            target=self.request.target,
            scraped_at=self.request.timestamp,
            families=exposition.families,
            failure=failure,
            installation=self.request.installation,
            parse_errors=exposition.parse_errors,
            malformed_lines=tuple(map(self._quote, exposition.examples)),
            duration=seconds,
            sample_count=exposition.samples,
            size=self._size,
            answer=self._answer() if failure is not None else "",
        )

    def _store_progress(self, parser: ExpositionParser) -> None:
        """Store what was parsed in time if it is more than before: the next scrape has to parse only the rest.

        Else a page whose first parsing takes longer than the timeout would fail for ever.
        """
        families = parser.parsed_families
        previous = self.cache.previous_families(self.request.target_key)
        if sum(map(len, families.values())) > sum(map(len, previous.values())):
            self.cache.store(self.request.target_key, families)

    def _parse_failure(self, error: ExpositionError) -> Failure:
        targets = f"check {self._setting('targets')} and {self._setting('path')}"
        hint = {
            "sample_limit": f"raise {self._setting('limits.samples')} or export fewer families (series.pass_through)",
            "family_limit": f"{targets}, or export fewer families (series.pass_through)",
            "malformed": f"check what changes the page between the component and {self._setting('targets')}",
            "cut_short": "the component closed the connection early; if this persists, check its log",
            "not_exposition": targets,
        }[error.reason]
        example = f"; the first malformed line: {self._quote(error.example)}" if error.example else ""
        return Failure(error.reason, f"{error}; {hint}{example}")

    def _http_failure(self) -> Failure:
        text = self._begin.decode("utf-8", "replace")
        duplicates = _duplicate_metric_objects(text)
        if duplicates:
            return Failure("duplicate_metric", f"HTTP {self._status}: {_format_duplicates(duplicates)}")
        error = excerpt(mask_secrets(self.redact(text[:_MAX_ANSWER_BYTES])), _MAX_EXCERPT)
        hint = f"check {self._setting('targets')} and {self._setting('path')}"
        if self._status in (401, 403):
            hint = self._credential_hint()
        return Failure("http_status", f"HTTP {self._status}{': ' if error else ''}{error}; {hint}")

    def _credential_hint(self) -> str:
        """Return what to do about a 401 or 403; kube-rbac-proxy and the secure metrics of controllers send both."""
        if not self.request.credential:
            return f"set a credential: {self._setting('bearer_token_file')} or {self._setting('basic_auth')}"
        setting = self._setting(self.request.credential)
        if self._status == UNAUTHORIZED:
            return f"the credential of {setting} is not accepted: check that it is current, and for this server"
        if self.request.credential != "bearer_token_file":
            return f"the user of {setting} has no right to read the page: grant it, or use another one"
        return (
            f"the account of {setting} has no right to read the page: bind it to the ClusterRole system:monitoring, "
            "or to one that allows get on the nonResourceURLs /metrics"
        )

    def _quote(self, line: str) -> str:
        return excerpt(mask_secrets(self.redact(line)), _MAX_LINE)

    def _answer(self) -> str:
        """Return the start of the body with its lines, and the status, to look at; "" if nothing was answered."""
        if not self._status:
            return ""
        text = mask_secrets(self.redact(self._begin[:_MAX_ANSWER_BYTES].decode("utf-8", "replace")))
        lines = [excerpt(line, _MAX_ANSWER_LINE) for line in text.splitlines()[:_MAX_ANSWER_LINES]]
        return "\n".join((status_text(self._status), *lines))

    def _setting(self, key: str) -> str:
        return f"{self.request.source}.{key}"


def _duplicate_metric_objects(text: str) -> dict[str, dict[str, None]]:
    """Return the objects that repeat metric names, and the names: one object turns the controller's page into a 500."""
    names_by_object: dict[str, dict[str, None]] = {}
    for match in _DUPLICATE_METRIC.finditer(text):
        labels = {name: unescape(value) for name, value in _LABEL.findall(match["labels"])}
        object_name = "/".join(filter(None, (labels.get("namespace"), labels.get("name"))))
        scope = "" if "/" in object_name else "Cluster"
        kind = "AnalysisRun" if match["kind"] == "run" else f"{scope}AnalysisTemplate"
        names_by_object.setdefault(f"{kind} {object_name}", {})[repr(labels.get("metric", ""))] = None
    return names_by_object


def _format_duplicates(names_by_object: Mapping[str, Iterable[str]]) -> str:
    duplicates = [
        f"{name} repeats the metric name {_join_limited(list(names_by_object[name]))}" for name in names_by_object
    ]
    hint = "this breaks the controller's complete metrics page: give the metrics of each object different names"
    return f"{_join_limited(duplicates, '; ')}; {hint}"


def _join_limited(items: Sequence[str], separator: str = ", ") -> str:
    more = [f"{len(items) - _MAX_LISTED} more"] if len(items) > _MAX_LISTED else []
    return separator.join([*items[:_MAX_LISTED], *more])
