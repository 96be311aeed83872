"""The questions of `gate render` with their defaults: options, prompts and answer files derive from them."""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any, Final, Self

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from exporter.gate import promql
from exporter.gate.controller import DEFAULT_VERSION, ControllerVersion, parse_version
from exporter.gate.go_format import parse_duration
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
READ_URL: Final = "https://read-app-tsdb.last9.io/hot/v1/metrics/{cluster}/sender/{organization}"


class Signal(StrEnum):
    """What a gate measures."""

    ERROR_RATE = "error-rate"
    LATENCY = "latency"
    SATURATION = "saturation"
    APM = "apm"
    COMPARISON = "comparison"
    PROMQL = "promql"


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
    """Number of measurements."""
    failures: int = Field(default=3, ge=1)
    """Number of bad measurements at which the gate fails."""
    inconclusives: int = Field(default=3, ge=1)
    """Number of inconclusive measurements at which the rollout pauses."""
    window: Seconds | None = None
    """Range of each measurement. Default: the interval, and at least four scrapes."""
    scrape_interval: Seconds = 30
    """Interval at which the metrics are scraped or pushed."""
    read_delay: Seconds = 30
    """Delay until a sample can be read; `rollouts-exporter verify` measures it."""
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
    pod_label: LabelName = "pod"
    """Label that contains the pod; empty if the metrics have none: then canary and stable are measured together."""
    errors: str = 'status=~"5.."'
    """Label matcher of bad requests."""
    environment: LabelValue = "prod"
    """With apm: the value of the label env."""
    quantile: float = Field(default=0.95, gt=0, lt=1)
    """With latency: the quantile."""

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
        return self.name or f"last9-{self.signal}"

    @property
    def rollout_name(self) -> str:
        """Return the Rollout's name."""
        return self.rollout or self.service

    @property
    def range(self) -> int:
        """Return the range of the query in seconds; for --query, the longest range in it."""
        if self.query:
            return self._max_range()
        # A rate needs two samples; twice as many leave room for a scrape that fails or is late.
        return self.window or max(self.interval, 4 * self.scrape_interval)

    def _max_range(self) -> int:
        try:
            return round(max((seconds for _, seconds in promql.ranges(promql.parse(self.query).expression)), default=0))
        except promql.PromQLError:
            return 0

    @property
    def delay(self) -> int:
        """Return the time before the first measurement in seconds."""
        return self.range + self.read_delay

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        for is_wrong, message in self._contradictions():
            if is_wrong:
                raise ValueError(message)
        return self

    def _contradictions(self) -> tuple[tuple[Any, str], ...]:
        """Return whether each pair of answers contradicts itself, and the message."""
        needs_more, two_scrapes = "needs a --count of at least as many", 2 * self.scrape_interval
        return (
            (bool(self.cluster_id) != bool(self.organization), "--cluster-id and --organization must be set together"),
            ((self.signal is Signal.PROMQL) != bool(self.query), "--query and --signal promql must be set together"),
            (self.failures > self.count, f"--failures {self.failures} {needs_more} measurements"),
            (self.inconclusives > self.count, f"--inconclusives {self.inconclusives} {needs_more}"),
            (self.interval < self.scrape_interval, "--interval is shorter than --scrape-interval"),
            (0 < self.range < two_scrapes, "--window (or the query's range) contains fewer than two scrapes"),
            (self.next_weight <= self.weight, "--next-weight must be above --weight"),
            # One bad moment is part of more measurements than are tolerated.
            (
                # -(-a // b) is a / b rounded up.
                1 < self.failures <= -(-self.range // self.interval),
                "one bad moment is enough to reach --failures: raise --interval or shorten --window",
            ),
        )


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
