"""AnalysisTemplate, ClusterAnalysisTemplate and AnalysisRun as frozen values, named as in their YAML."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

IntOrText = int | str | None


class Kind(StrEnum):
    """The kinds of object that hold metrics."""

    TEMPLATE = "AnalysisTemplate"
    CLUSTER = "ClusterAnalysisTemplate"
    RUN = "AnalysisRun"


@dataclass(frozen=True, slots=True)
class SecretKey:
    """Which key of which Secret holds a value."""

    name: str
    key: str


@dataclass(frozen=True, slots=True)
class Argument:
    """One of `args`: its value, or where that comes from; neither: whoever uses the template gives it."""

    name: str
    value: str | None = field(default=None, repr=False)
    secret: SecretKey | None = None
    field_path: str | None = None


@dataclass(frozen=True, slots=True)
class Header:
    """One HTTP header, sent as it is."""

    key: str
    value: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class OAuth2:
    """`authentication.oauth2`: client credentials."""

    token_url: str = ""
    client_id: str = ""
    client_secret: str = field(default="", repr=False)
    scopes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Sigv4:
    """`authentication.sigv4`: Amazon's signature, which only an address with `aps-workspaces` gets."""

    region: str = ""
    profile: str = ""
    role_arn: str = ""


@dataclass(frozen=True, slots=True)
class BasicAuth:
    """`authentication.basicAuth`, of controllers newer than 1.10."""

    username: str = ""
    password: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class Authentication:
    """How the provider proves who it is, beside the headers."""

    sigv4: Sigv4 = Sigv4()
    oauth2: OAuth2 = OAuth2()
    basic_auth: BasicAuth = BasicAuth()


@dataclass(frozen=True, slots=True)
class RangeQuery:
    """`rangeQuery`: start and end are expressions such as `now() - duration("5m")`, step is a duration."""

    start: str = ""
    end: str = ""
    step: str = ""


@dataclass(frozen=True, slots=True)
class Prometheus:
    """`provider.prometheus`; `timeout` is in seconds, None: 30."""

    address: str = ""
    query: str = ""
    authentication: Authentication = Authentication()
    timeout: int | None = None
    insecure: bool = False
    headers: tuple[Header, ...] = ()
    range_query: RangeQuery | None = None


@dataclass(frozen=True, slots=True)
class Metric:
    """One of `metrics`. Durations are text as in the YAML ("" for none), counts may be text, as a template's are.

    `others` are the providers that are not Prometheus.
    """

    name: str
    interval: str = ""
    initial_delay: str = ""
    count: IntOrText = None
    success_condition: str = ""
    failure_condition: str = ""
    failure_limit: IntOrText = None
    inconclusive_limit: IntOrText = None
    consecutive_error_limit: IntOrText = None
    consecutive_success_limit: IntOrText = None
    prometheus: Prometheus | None = None
    others: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Retention:
    """How many measurements of the metrics whose name a regular expression finds are kept."""

    metric_name: str
    limit: int = 0


@dataclass(frozen=True, slots=True)
class Reference:
    """Another template whose metrics are added."""

    template_name: str
    cluster_scope: bool = False


@dataclass(frozen=True, slots=True)
class Spec:
    """What a template or a run asks for; `dry_run` are regular expressions that find names of metrics."""

    metrics: tuple[Metric, ...] = ()
    args: tuple[Argument, ...] = ()
    dry_run: tuple[str, ...] = ()
    retention: tuple[Retention, ...] = ()
    templates: tuple[Reference, ...] = ()
    terminate: bool = False


@dataclass(frozen=True, slots=True)
class Template:
    """One object of a file: its kind, name and namespace ("" for none), and its spec."""

    kind: Kind
    name: str
    namespace: str
    spec: Spec


def whole(value: IntOrText) -> int:
    """Return a count or limit as a number, as the controller does: text that is none, and nothing at all, are 0."""
    if isinstance(value, int):
        return value
    digits = (value or "").removeprefix("+").removeprefix("-")
    return int(value) if value and digits.isascii() and digits.isdigit() else 0


def effective_count(metric: Metric) -> int | None:
    """Return how many measurements complete a metric: 1 without count and interval, None (endless) without count."""
    if whole(metric.count) == 0:
        return None if metric.interval else 1
    return whole(metric.count)
