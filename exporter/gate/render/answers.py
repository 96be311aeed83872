"""The questions of `gate render` with their defaults: options, prompts and answer files derive from them."""

from __future__ import annotations

import base64
import binascii
import re
from contextlib import suppress
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any, Final, Self

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from exporter.gate import promql
from exporter.gate.controller import DEFAULT_VERSION, ControllerVersion, Feature, parse_version
from exporter.gate.dialect import READ_DELAYS, StoreKind, store_kind
from exporter.gate.go_format import format_duration, parse_duration
from exporter.gate.sequential import SequentialTest
from exporter.net.auth import basic_auth

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pydantic.fields import FieldInfo

NANOSECONDS: Final = 1_000_000_000
# Kubernetes' rule for names of most objects (RFC 1123), and Prometheus' for labels and metrics.
_OBJECT_NAME: Final = re.compile(r"[a-z0-9]([-a-z0-9.]*[a-z0-9])?")
_LABEL_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_METRIC_NAME: Final = re.compile(r"[A-Za-z_:][A-Za-z0-9_:]*")
# Put into PromQL and YAML as it is, so without anything that ends a string there.
_LABEL_VALUE: Final = re.compile(r"[^\s\"'`\\{}]+")
POD: Final = "pod"
READ_URL: Final = "https://read-app-tsdb.last9.io/hot/v1/metrics/{cluster}/sender/{organization}"


class Signal(StrEnum):
    """What a gate measures."""

    ERROR_RATE = "error-rate"
    LATENCY = "latency"
    SATURATION = "saturation"
    APM = "apm"
    COMPARISON = "comparison"
    ALERTS = "alerts"
    NEW_ERRORS = "new-errors"
    PROMQL = "promql"


class DecisionMethod(StrEnum):
    """How a gate decides: by a threshold of one value, or by evidence that grows from look to look."""

    THRESHOLD = "threshold"
    SEQUENTIAL = "sequential"


SEQUENTIAL_SIGNALS: Final = (Signal.ERROR_RATE, Signal.LATENCY)
"""Signals that count bad requests."""
SEQUENTIAL_COUNT: Final = 30
"""Default number of looks of the sequential test: an hour at the default interval."""
MIN_HISTORY_SECONDS: Final = 7200
"""Default age of a canary up to which its requests count; also how old the requests before the update are at least."""
MIN_TILE_SECONDS: Final = 60
"""Bad requests are counted per minute, or, with slower scrapes, per multiple of their interval."""
_THRESHOLD_ANSWERS: Final = {"success", "failure", "failures", "inconclusives", "higher_is_better", "no_data"}
_SEQUENTIAL_ANSWERS: Final = {"worse", "false_alarm", "miss", "slower_than", "min_events", "slo", "budget"}


class NoData(StrEnum):
    """The meaning of no traffic, no series or NaN."""

    PAUSE = "pause"
    FAIL = "fail"
    PASS = "pass"  # noqa: S105 - not a password


def _matches(pattern: re.Pattern[str], description: str) -> AfterValidator:
    def check(text: str) -> str:
        if text and not pattern.fullmatch(text):
            raise ValueError(f"{text!r} is not a {description}")
        return text

    return AfterValidator(check)


def _seconds(value: object) -> object:
    if not isinstance(value, str):
        return value
    nanoseconds = parse_duration(value)
    if nanoseconds <= 0 or nanoseconds % NANOSECONDS:
        raise ValueError(f"{value!r} is not a number of whole seconds above 0; write 30s or 2m")
    return nanoseconds // NANOSECONDS


def _supported(version: str) -> str:
    parse_version(version)
    return version


ObjectName = Annotated[str, _matches(_OBJECT_NAME, "name of a Kubernetes object")]
LabelName = Annotated[str, _matches(_LABEL_NAME, "name of a label")]
MetricName = Annotated[str, _matches(_METRIC_NAME, "name of a metric")]
LabelValue = Annotated[str, _matches(_LABEL_VALUE, "label value without quotes, braces, backslashes or white space")]
Seconds = Annotated[int, BeforeValidator(_seconds)]


class Answers(BaseModel):
    """The answers from which a gate is generated. The text under a field is the question, and the help of the option.

    The names are public: the keys of answer files and, with hyphens, the options.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True, allow_inf_nan=False)

    signal: Signal
    """What to measure."""
    test: DecisionMethod = DecisionMethod.THRESHOLD
    """How to decide: threshold (of one value), or sequential (error-rate, latency): evidence against the canary."""
    worse: float = Field(default=2.0, gt=1, le=1000)
    """Sequential: how many times as often as the stable a canary fails that must be found."""
    false_alarm: float = Field(default=0.01, gt=0, le=0.5)
    """Sequential: probability to fail a canary that is no worse than the stable."""
    miss: float = Field(default=0.05, gt=0, le=0.5)
    """Sequential: probability to pass a canary that is --worse times as bad."""
    service: LabelValue = Field(min_length=1)
    """The service: value of the label --service-label."""
    namespace: ObjectName = ""
    """Namespace of the Rollout, the template and the Secret."""
    address: str = ""
    """Read address: the part before /api/v1."""
    cluster_id: LabelValue = ""
    """Last9 cluster id; with the organization it gives the read address."""
    organization: LabelValue = ""
    """Last9 organization."""
    query: str = ""
    """With promql: the query. It may use {{args.X}} of service-name, canary-hash, namespace, rollout-name."""
    success: float | None = None
    """A measurement below this is good. Default: depends on the signal."""
    failure: float | None = None
    """A measurement at or above this is bad; between success and failure it is inconclusive."""
    higher_is_better: bool = False
    """Good is above --success, bad at or below --failure."""
    no_data: NoData = NoData.PAUSE
    """Meaning of no traffic, no series or NaN: pause (inconclusive), fail, or pass."""
    interval: Seconds = 120
    """Time between measurements."""
    count: int = Field(default=5, ge=1, le=1000)
    """Number of measurements. Sequential: 30, after which it pauses undecided."""
    failures: int = Field(default=3, ge=1)
    """Number of bad measurements at which the gate fails."""
    inconclusives: int = Field(default=3, ge=1)
    """Number of inconclusive measurements at which the rollout pauses."""
    window: Seconds | None = None
    """Range of each measurement. Default: the interval, and at least four scrapes. Sequential: the last 2h count."""
    scrape_interval: Seconds = 30
    """Interval at which the metrics are scraped or pushed."""
    read_delay: Seconds = 30
    """Delay until a sample can be read; `verify` measures it. Default where MetricsQL is evaluated: 45s."""
    weight: int = Field(default=10, ge=1, le=99)
    """The canary's weight in percent while the gate runs."""
    next_weight: int = Field(default=25, ge=2, le=100)
    """The weight in percent after the gate has passed."""
    cluster_scope: bool = False
    """Write a ClusterAnalysisTemplate, for all namespaces; each needs the Secret."""
    name: ObjectName = ""
    """Name of the template. Default: last9-SIGNAL."""
    rollout: ObjectName = ""
    """Name of the Rollout. Default: the service."""
    secret_name: ObjectName = Field(default="last9-read", min_length=1)
    """Name of the Secret."""
    secret_key: str = Field(default="authorization", pattern=r"^[-._a-zA-Z0-9]+$")
    """Key of the Secret that contains the header."""
    controller: Annotated[str, AfterValidator(_supported)] = DEFAULT_VERSION
    """Version of the Argo Rollouts controller."""
    metric: MetricName = ""
    """Metric to query. Default: depends on the signal."""
    service_label: LabelName = Field(default="service", min_length=1)
    """Label that contains the service."""
    pod_label: LabelName = POD
    """Label that contains the pod; empty if the metrics have none: then canary and stable are measured together."""
    errors: str = 'status=~"5.."'
    """Label matcher of bad requests."""
    environment: LabelValue = "prod"
    """With apm: the value of the label env."""
    quantile: float = Field(default=0.95, gt=0, lt=1)
    """With latency: the quantile."""
    slower_than: float = Field(default=0.5, gt=0)
    """Sequential latency: a request that takes longer is bad; the bound of a bucket, as in the label le."""
    min_events: int = Field(default=10, ge=1)
    """Sequential: nothing is decided below this number of bad requests of canary and stable."""
    slo: float = Field(default=0.999, gt=0, lt=1)
    """Sequential: the service's objective, the share of good requests in 30 days."""
    budget: float = Field(default=0.02, gt=0, le=1)
    """Sequential: the share of the month's error budget at which the canary fails, whatever the evidence."""
    error_label: LabelName = Field(default="route", min_length=1)
    """With new-errors: the label whose values are compared, such as a route or an exception."""
    store: StoreKind = StoreKind.AUTO
    """What evaluates the queries: prometheus, metricsql (VictoriaMetrics, Last9), or auto, by the address."""

    @property
    def version(self) -> ControllerVersion:
        """Return the controller's version."""
        return parse_version(self.controller)

    @property
    def read_address(self) -> str:
        """Return the read address, "" if it is left to the user of the template."""
        if self.address or not self.cluster_id:
            return self.address.rstrip("/")
        return READ_URL.format(cluster=self.cluster_id, organization=self.organization)

    @property
    def template_name(self) -> str:
        """Return the template's name."""
        prefix = "sequential-" if self.is_sequential else ""
        return self.name or f"last9-{prefix}{self.signal}"

    @property
    def rollout_name(self) -> str:
        """Return the Rollout's name."""
        return self.rollout or self.service

    @property
    def is_sequential(self) -> bool:
        """Return whether the gate is a sequential test."""
        return self.test is DecisionMethod.SEQUENTIAL

    @property
    def sequential_test(self) -> SequentialTest:
        """Return the parameters of the sequential test."""
        return SequentialTest(self.worse, self.false_alarm, self.miss)

    @property
    def is_metricsql(self) -> bool:
        """Return whether the store evaluates MetricsQL."""
        return store_kind(self.store, self.read_address) is StoreKind.METRICSQL

    def parse_query(self, text: str) -> promql.Query:
        """Parse a query in the language of the store. Raises PromQLError."""
        return promql.parse(text, store_kind(self.store, self.read_address))

    @property
    def tile(self) -> int:
        """Return the seconds in which the sequential test counts bad requests; a multiple of the scrape interval."""
        # A rate needs two samples. VictoriaMetrics' also has the one before its range, but not at the first tile.
        minimum = max(MIN_TILE_SECONDS, (2 if self.is_metricsql else 1) * self.scrape_interval)
        return -(-minimum // self.scrape_interval) * self.scrape_interval

    @property
    def history(self) -> int:
        """Return the age of a canary in seconds up to which the sequential test counts its requests."""
        return self.window or max(MIN_HISTORY_SECONDS, self.duration)

    @property
    def duration(self) -> int:
        """Return the seconds from the gate's start to its last measurement."""
        return self.delay + (self.count - 1) * self.interval

    @property
    def range(self) -> int:
        """Return the range of the query in seconds; for --query, the longest range in it."""
        if self.query:
            return self._max_range()
        if self.is_sequential:
            # Prometheus counts between the samples inside of a range, VictoriaMetrics from the sample before it: with
            # one more scrape in the range there, and one range per step here, every request is counted once.
            return self.tile + (0 if self.is_metricsql else self.scrape_interval)
        # A rate needs two samples; twice as many leave room for a scrape that fails or is late.
        return self.window or max(self.interval, 4 * self.scrape_interval)

    def _max_range(self) -> int:
        try:
            ranges = promql.ranges(self.parse_query(self.query).expression)
            return round(max((seconds for _, seconds in ranges), default=0))
        except promql.PromQLError:
            return 0

    @property
    def delay(self) -> int:
        """Return the time before the first measurement in seconds."""
        return self.range + self.read_delay

    @model_validator(mode="before")
    @classmethod
    def _defaults(cls, values: Any) -> Any:  # noqa: ANN401 - whatever the user wrote
        if not isinstance(values, dict):
            return values
        sequential = {"count": SEQUENTIAL_COUNT} if values.get("test") == DecisionMethod.SEQUENTIAL else {}
        # A new error stays counted, so later measurements only repeat it.
        once = {"failures": 1} if values.get("signal") == Signal.NEW_ERRORS else {}
        return {**sequential, **once, **_default_delay(values), **values}

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        for is_wrong, message in self._contradictions():
            if is_wrong:
                raise ValueError(message)
        return self

    def _contradictions(self) -> tuple[tuple[Any, str], ...]:
        """Return whether each pair of answers contradicts itself, and the message."""
        if self.is_sequential:
            return (*self._general_contradictions(), *self._sequential_contradictions())
        needs_more, two_scrapes = "needs a --count of at least as many", 2 * self.scrape_interval
        sequential = ", ".join(map(_option, sorted(_SEQUENTIAL_ANSWERS & self.model_fields_set)))
        return (
            *self._general_contradictions(),
            (sequential, f"{sequential} and --test sequential must be set together"),
            (self.failures > self.count, f"--failures {self.failures} {needs_more} measurements"),
            (self.inconclusives > self.count, f"--inconclusives {self.inconclusives} {needs_more}"),
            (0 < self.range < two_scrapes, "--window (or the query's range) contains fewer than two scrapes"),
            # One bad moment is part of more measurements than are tolerated.
            (
                # -(-a // b) is a / b rounded up.
                1 < self.failures <= -(-self.range // self.interval),
                "one bad moment is enough to reach --failures: raise --interval or shorten --window",
            ),
        )

    def _general_contradictions(self) -> tuple[tuple[Any, str], ...]:
        return (
            (bool(self.cluster_id) != bool(self.organization), "--cluster-id and --organization must be set together"),
            ((self.signal is Signal.PROMQL) != bool(self.query), "--query and --signal promql must be set together"),
            (self.interval < self.scrape_interval, "--interval is shorter than --scrape-interval"),
            (self.next_weight <= self.weight, "--next-weight must be above --weight"),
        )

    def _sequential_contradictions(self) -> tuple[tuple[Any, str], ...]:
        signals = " or ".join(SEQUENTIAL_SIGNALS)
        thresholds = ", ".join(map(_option, sorted(_THRESHOLD_ANSWERS & self.model_fields_set)))
        early = (
            f"--test sequential needs --controller 1.8 or later: {self.controller} has no consecutiveSuccessLimit, "
            "without which a canary could fail early but not pass early"
        )
        length, history = format_duration(self.duration), format_duration(self.history)
        return (
            (self.signal not in SEQUENTIAL_SIGNALS, f"--test sequential counts bad requests: use --signal {signals}"),
            (thresholds, f"{thresholds} cannot be set with --test sequential: --false-alarm and --miss decide"),
            (not self.version.supports(Feature.CONSECUTIVE_SUCCESS_LIMIT), early),
            (
                self.pod_label != POD,
                "--test sequential needs request metrics with the label pod, which it joins with those of the exporter",
            ),
            (self.duration > self.history, f"the gate may last {length}, but --window counts only {history}"),
        )


def _default_delay(values: Mapping[str, Any]) -> dict[str, int]:
    """Return the delay of the store until a sample can be read, nothing for a kind of store that does not exist."""
    address = values.get("address") or (READ_URL if values.get("cluster_id") else "")
    with suppress(ValueError):
        store = store_kind(StoreKind(values.get("store") or StoreKind.AUTO), str(address))
        return {"read_delay": READ_DELAYS[store]}
    return {}


def _option(name: str) -> str:
    return f"--{name.replace('_', '-')}"


QUESTIONS: Final[Mapping[str, FieldInfo]] = Answers.model_fields
"""Each field by its name, in the order of the options."""


@dataclass(frozen=True, slots=True)
class Credential:
    """User and password of Basic authentication; hidden in a repr."""

    user: str = field(repr=False)
    password: str = field(repr=False)

    @property
    def header(self) -> str:
        """Return the value of the header Authorization."""
        return basic_auth(self.user, self.password)


def parse_credential(text: str) -> Credential:
    """Parse `user:password`, its base64, or the header `Basic …`; line breaks and white space in base64 are ignored.

    Raises ValueError, without the text, for anything else.
    """
    joined = "".join(text.split())
    words = text.split(None, 1)
    encoded = "".join(words[1].split()) if len(words) > 1 and words[0].lower() == "basic" else ""
    # Plain text cannot be taken for base64, which has no colon.
    pair = _decode_pair(encoded) if encoded else _decode_pair(joined) or text.strip()
    user, colon, password = (pair or "").partition(":")
    if not (user and colon and password) or not f"{user}{password}".isprintable():
        raise ValueError(
            "the credential must be user:password, its base64, or Basic and its base64; at Last9 the user is the"
            " cluster id and the password a read token of that cluster"
        )
    return Credential(user, password)


def _decode_pair(text: str) -> str | None:
    """Return the user:password that a base64 text contains, None if it contains none."""
    try:
        pair = base64.b64decode(text, validate=True).decode().strip()
    except (binascii.Error, ValueError):
        return None
    return pair if ":" in pair else None
