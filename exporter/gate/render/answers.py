"""The questions that a gate is made from, each with its default: options, prompts and files all come from here."""

from __future__ import annotations

import re
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any, Final, Self

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from exporter.gate import promql
from exporter.gate.controller import DEFAULT, Controller, controller
from exporter.gate.go_format import duration

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pydantic.fields import FieldInfo

NANO: Final = 1_000_000_000
_OBJECT: Final = re.compile(r"[a-z0-9]([-a-z0-9.]*[a-z0-9])?")
_LABEL: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_METRIC: Final = re.compile(r"[A-Za-z_:][A-Za-z0-9_:]*")
_VALUE: Final = re.compile(r"[^\s\"'`\\{}]+")
READ_URL: Final = "https://read-app-tsdb.last9.io/hot/v1/metrics/{cluster}/sender/{organization}"


class Signal(StrEnum):
    """What a gate looks at."""

    ERROR_RATE = "error-rate"
    LATENCY = "latency"
    SATURATION = "saturation"
    APM = "apm"
    COMPARISON = "comparison"
    PROMQL = "promql"


class NoData(StrEnum):
    """What no traffic, no series or NaN means."""

    PAUSE = "pause"
    FAIL = "fail"
    PASS = "pass"  # noqa: S105 - no password


def _matching(pattern: re.Pattern[str], what: str) -> AfterValidator:
    def check(text: str) -> str:
        if text and not pattern.fullmatch(text):
            raise ValueError(f"{text!r} is no {what}")
        return text

    return AfterValidator(check)


def _seconds(value: object) -> object:
    if not isinstance(value, str):
        return value
    nanoseconds = duration(value)
    if nanoseconds <= 0 or nanoseconds % NANO:
        raise ValueError(f"{value!r} is not a number of whole seconds above 0; write 30s or 2m")
    return nanoseconds // NANO


def _known(version: str) -> str:
    controller(version)
    return version


ObjectName = Annotated[str, _matching(_OBJECT, "name of a Kubernetes object")]
LabelName = Annotated[str, _matching(_LABEL, "name of a label")]
MetricName = Annotated[str, _matching(_METRIC, "name of a metric")]
LabelValue = Annotated[str, _matching(_VALUE, "label value without quotes, braces, backslashes or white space")]
Seconds = Annotated[int, BeforeValidator(_seconds)]


class Answers(BaseModel):
    """What a gate is made from. The text under a field is the question.

    The aliases are the names in files of answers, and with hyphens those of the options.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True, allow_inf_nan=False)

    signal: Signal = Field(alias="signal")
    """What to look at."""
    service: LabelValue = Field(alias="service", min_length=1)
    """The service, as the metrics' label names it."""
    namespace: ObjectName = Field(alias="namespace", default="")
    """Namespace of the Rollout, the template and the Secret."""
    address: str = Field(alias="address", default="")
    """Read address: what comes before /api/v1."""
    cluster_id: LabelValue = Field(alias="cluster_id", default="")
    """Last9 cluster id, from which the read address is made, together with the organization."""
    organization: LabelValue = Field(alias="organization", default="")
    """Last9 organization."""
    query: str = Field(alias="query", default="")
    """With promql: the query; {{args.X}} may stand in it: service-name, canary-hash, namespace, rollout-name."""
    success: float | None = Field(alias="success", default=None)
    """A measurement below this is good; unset: the signal's own."""
    failure: float | None = Field(alias="failure", default=None)
    """A measurement at or above this is bad; between the two it is inconclusive."""
    higher_is_better: bool = Field(alias="higher_is_better", default=False)
    """Good is above `success`, bad at or below `failure`."""
    no_data: NoData = Field(alias="no_data", default=NoData.PAUSE)
    """What no traffic, no series or NaN means: pause (inconclusive), fail, or pass."""
    interval: Seconds = Field(alias="interval", default=120)
    """Time between measurements."""
    count: int = Field(alias="count", default=5, ge=1, le=1000)
    """How many measurements."""
    failures: int = Field(alias="failures", default=3, ge=1)
    """The gate fails at so many bad measurements."""
    inconclusives: int = Field(alias="inconclusives", default=3, ge=1)
    """The rollout pauses at so many inconclusive measurements."""
    window: Seconds | None = Field(alias="window", default=None)
    """Range that each measurement looks at; unset: the interval, and at least four scrapes."""
    scrape_interval: Seconds = Field(alias="scrape_interval", default=30)
    """How often the metrics are scraped or pushed."""
    read_delay: Seconds = Field(alias="read_delay", default=30)
    """How long until what is written can be read; `rollouts-exporter verify` measures it."""
    weight: int = Field(alias="weight", default=10, ge=1, le=99)
    """The canary's weight in percent while it is judged."""
    next_weight: int = Field(alias="next_weight", default=25, ge=2, le=100)
    """The weight after the gate has passed."""
    cluster_scope: bool = Field(alias="cluster_scope", default=False)
    """Write a ClusterAnalysisTemplate, for all namespaces; each needs the Secret."""
    name: ObjectName = Field(alias="name", default="")
    """Name of the template; unset: last9-SIGNAL."""
    rollout: ObjectName = Field(alias="rollout", default="")
    """Name of the Rollout; unset: the service's."""
    secret_name: ObjectName = Field(alias="secret_name", default="last9-read", min_length=1)
    """Name of the Secret."""
    secret_key: str = Field(alias="secret_key", default="authorization", pattern=r"^[-._a-zA-Z0-9]+$")
    """Key of the Secret that holds the header."""
    controller: Annotated[str, AfterValidator(_known)] = Field(alias="controller", default=DEFAULT)
    """Argo Rollouts' version."""
    metric: MetricName = Field(alias="metric", default="")
    """Metric to ask for; unset: the signal's own."""
    service_label: LabelName = Field(alias="service_label", default="service", min_length=1)
    """Label that names the service."""
    pod_label: LabelName = Field(alias="pod_label", default="pod")
    """Label that names the pod; empty: the metrics have none, and canary and stable are seen together."""
    errors: str = Field(alias="errors", default='status=~"5.."')
    """Matcher of bad requests."""
    environment: LabelValue = Field(alias="environment", default="prod")
    """With apm: the env label."""
    quantile: float = Field(alias="quantile", default=0.95, gt=0, lt=1)
    """With latency: the quantile."""

    @property
    def version(self) -> Controller:
        """Return the controller's version."""
        return controller(self.controller)

    @property
    def read_address(self) -> str:
        """Return where to ask, "" when that is left open."""
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
        """Return the range of the query in seconds; of a query of one's own, the longest in it."""
        if self.query:
            return self._longest()
        return self.window or max(self.interval, 4 * self.scrape_interval)

    def _longest(self) -> int:
        try:
            return round(max((span for _, span in promql.ranges(promql.read(self.query).expression)), default=0))
        except promql.PromQLError:
            return 0

    @property
    def delay(self) -> int:
        """Return the time before the first measurement in seconds."""
        return self.range + self.read_delay

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        for wrong, why in self._faults():
            if wrong:
                raise ValueError(why)
        return self

    def _faults(self) -> tuple[tuple[Any, str], ...]:
        """Return what contradicts itself, each with its cure."""
        return (
            (bool(self.cluster_id) != bool(self.organization), "--cluster-id and --organization go together"),
            ((self.signal is Signal.PROMQL) != bool(self.query), "--query and --signal promql go together"),
            (self.failures > self.count, f"{self.failures} failures need a --count of as many measurements"),
            (self.inconclusives > self.count, f"{self.inconclusives} inconclusives need a --count of as many"),
            (self.interval < self.scrape_interval, "--interval is shorter than --scrape-interval"),
            (0 < self.range < 2 * self.scrape_interval, "--window (or the query's range) holds less than two scrapes"),
            (self.next_weight <= self.weight, "--next-weight is not above --weight"),
            (self.window_hides, "one bad moment is enough to exceed --failures: raise --interval or shorten --window"),
        )

    @property
    def window_hides(self) -> bool:
        """Say whether one bad moment is in more measurements than are tolerated."""
        return 1 < self.failures <= -(-self.range // self.interval)


QUESTIONS: Final[Mapping[str, FieldInfo]] = {str(field.alias): field for field in Answers.model_fields.values()}
"""Each field by its public name, in the order of the options."""
