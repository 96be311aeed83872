"""The model of AnalysisTemplate, ClusterAnalysisTemplate and AnalysisRun: frozen dataclasses, one table of CRD fields.

Each attribute names its CRD field, the field's type and the version that introduced it. Reading (`read_spec`), writing
(`metric_json`), dropping what a version does not have (`drop_unsupported`) and the linter's checks of unknown, early
and mistyped fields (`crd_schema`) all follow that table.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, is_dataclass, replace
from enum import StrEnum
from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypeVar

from exporter.gate.controller import Feature, MinorVersion

if TYPE_CHECKING:
    from collections.abc import Callable

    from exporter.gate.controller import ControllerVersion

T = TypeVar("T")
IntOrText = int | str | None
_MAX_INT: Final = 2**63 - 1
PROVIDERS: Final = (
    "kayenta", "web", "datadog", "wavefront", "newRelic", "job", "cloudWatch", "graphite", "influxdb", "skywalking",
)  # fmt: skip
"""The providers other than `prometheus` and `plugin`."""
ALWAYS: Final[MinorVersion] = (0, 0)


class TemplateError(ValueError):
    """A template that no cluster accepts; the message begins with the path, such as spec.metrics[0].count."""


class ObjectKind(StrEnum):
    """The kinds of object that contain metrics."""

    TEMPLATE = "AnalysisTemplate"
    CLUSTER_TEMPLATE = "ClusterAnalysisTemplate"
    RUN = "AnalysisRun"


class FieldType(StrEnum):
    """The type of a CRD field."""

    TEXT = "text"
    INT_OR_TEXT = "int or text"
    INTEGER = "integer"
    FLAG = "flag"
    MAP = "map"
    LIST = "list"


@dataclass(frozen=True, slots=True)
class CrdField:
    """A field of the CRD: its path from the enclosing object, type, first version, and the class of its content."""

    path: tuple[str, ...]
    field_type: FieldType
    since: MinorVersion = ALWAYS
    item: type[Any] | None = None
    always_written: bool = False  # a field without omitempty in Go


def _field(path: str, kind: FieldType = FieldType.TEXT, default: Any = "", **options: Any) -> Any:  # noqa: ANN401 - as dataclasses.field
    """Declare an attribute by its CRD path; `secret` hides it in a repr."""
    in_repr = not options.pop("secret", False)
    metadata = {"crd": CrdField(tuple(path.split(".")), kind, **options)}
    return field(default=default, repr=in_repr, metadata=metadata)


def _map(path: str, item: type[Any], default: Any = None, **options: Any) -> Any:  # noqa: ANN401 - as dataclasses.field
    return _field(path, FieldType.MAP, default, item=item, **options)


def _list(path: str, item: type[Any] | None = None, **options: Any) -> Any:  # noqa: ANN401 - as dataclasses.field
    return _field(path, FieldType.LIST, (), item=item, **options)


@dataclass(frozen=True, slots=True)
class SecretKeyRef:
    """A key of a Secret."""

    name: str = _field("name")
    key: str = _field("key")


@dataclass(frozen=True, slots=True)
class Argument:
    """One of `args`: its value, or the source of it; neither if the user of the template supplies it."""

    name: str = _field("name")
    value: str | None = _field("value", default=None, secret=True)
    secret: SecretKeyRef | None = _map("valueFrom.secretKeyRef", SecretKeyRef)
    field_path: str | None = _field("valueFrom.fieldRef.fieldPath", default=None)


@dataclass(frozen=True, slots=True)
class HttpHeader:
    """An HTTP header, sent unchanged."""

    key: str = _field("key", always_written=True)
    value: str = _field("value", secret=True, always_written=True)


@dataclass(frozen=True, slots=True)
class OAuth2:
    """`authentication.oauth2`: client credentials."""

    token_url: str = _field("tokenUrl")
    client_id: str = _field("clientId")
    client_secret: str = _field("clientSecret", secret=True)
    scopes: tuple[str, ...] = _list("scopes")


@dataclass(frozen=True, slots=True)
class Sigv4:
    """`authentication.sigv4`: AWS signature, used only for an address that contains `aps-workspaces`."""

    region: str = _field("region")
    profile: str = _field("profile")
    role_arn: str = _field("roleArn")


@dataclass(frozen=True, slots=True)
class BasicAuth:
    """`authentication.basicAuth`, of controllers newer than 1.10."""

    username: str = _field("username")
    password: str = _field("password", secret=True)


@dataclass(frozen=True, slots=True)
class Authentication:
    """How the provider authenticates, apart from headers."""

    sigv4: Sigv4 = _map("sigv4", Sigv4, Sigv4())
    oauth2: OAuth2 = _map("oauth2", OAuth2, OAuth2(), since=Feature.OAUTH2.since)
    basic_auth: BasicAuth = _map("basicAuth", BasicAuth, BasicAuth(), since=Feature.BASIC_AUTH.since)


@dataclass(frozen=True, slots=True)
class RangeQuery:
    """`rangeQuery`: start and end are expressions such as `now() - duration("5m")`, step is a duration."""

    start: str = _field("start")
    end: str = _field("end")
    step: str = _field("step")


@dataclass(frozen=True, slots=True)
class PrometheusProvider:
    """`provider.prometheus`; `timeout` is in seconds, None means 30."""

    address: str = _field("address")
    query: str = _field("query")
    authentication: Authentication = _map("authentication", Authentication, Authentication())
    timeout: int | None = _field("timeout", FieldType.INTEGER, None)
    insecure: bool = _field("insecure", FieldType.FLAG, default=False)
    headers: tuple[HttpHeader, ...] = _list("headers", HttpHeader, since=Feature.HEADERS.since)
    range_query: RangeQuery | None = _map("rangeQuery", RangeQuery, since=Feature.RANGE_QUERY.since)


def _limit(path: str, since: MinorVersion = ALWAYS) -> Any:  # noqa: ANN401 - as dataclasses.field
    return _field(path, FieldType.INT_OR_TEXT, None, since=since)


@dataclass(frozen=True, slots=True)
class Metric:
    """One of `metrics`, its attributes in the order of the controller's JSON.

    Durations are text as in the YAML ("" for none); counts may be text, since a template's may be placeholders.
    """

    name: str = _field("name", always_written=True)
    interval: str = _field("interval")
    initial_delay: str = _field("initialDelay")
    count: IntOrText = _limit("count")
    success_condition: str = _field("successCondition")
    failure_condition: str = _field("failureCondition")
    failure_limit: IntOrText = _limit("failureLimit")
    inconclusive_limit: IntOrText = _limit("inconclusiveLimit")
    consecutive_error_limit: IntOrText = _limit("consecutiveErrorLimit")
    prometheus: PrometheusProvider | None = _map("provider.prometheus", PrometheusProvider)
    consecutive_success_limit: IntOrText = _limit("consecutiveSuccessLimit", Feature.CONSECUTIVE_SUCCESS_LIMIT.since)
    other_providers: tuple[str, ...] = ()
    """The names of the providers other than Prometheus."""


@dataclass(frozen=True, slots=True)
class DryRunRule:
    """A regular expression that selects metrics by name; they are measured, and do not decide."""

    metric_name: str = _field("metricName")


@dataclass(frozen=True, slots=True)
class RetentionRule:
    """How many measurements are retained of the metrics whose name a regular expression matches."""

    metric_name: str = _field("metricName")
    limit: int = _field("limit", FieldType.INTEGER, 0)


@dataclass(frozen=True, slots=True)
class TemplateRef:
    """Another template whose metrics are added."""

    template_name: str = _field("templateName")
    cluster_scope: bool = _field("clusterScope", FieldType.FLAG, default=False)


@dataclass(frozen=True, slots=True)
class AnalysisSpec:
    """The spec of a template or a run."""

    metrics: tuple[Metric, ...] = _list("metrics", Metric)
    args: tuple[Argument, ...] = _list("args", Argument)
    dry_run: tuple[DryRunRule, ...] = _list("dryRun", DryRunRule)
    retention: tuple[RetentionRule, ...] = _list("measurementRetention", RetentionRule)
    templates: tuple[TemplateRef, ...] = _list("templates", TemplateRef, since=(1, 7))
    terminate: bool = _field("terminate", FieldType.FLAG, default=False)


@dataclass(frozen=True, slots=True)
class AnalysisTemplate:
    """A template or run of a file; name and namespace are "" if it has none."""

    kind: ObjectKind
    name: str
    namespace: str
    spec: AnalysisSpec


_UNREAD: Final[Mapping[type[Any], tuple[CrdField, ...]]] = {
    Metric: tuple(CrdField(("provider", name), FieldType.MAP) for name in (*PROVIDERS, "plugin")),
    AnalysisSpec: (CrdField(("ttlStrategy",), FieldType.MAP, (1, 7)),),
}
"""Fields of the CRD that no attribute holds."""


CrdFields = tuple[tuple[str, Any, CrdField], ...]
_CRD_FIELDS: dict[type[Any], CrdFields] = {}
"""The table by class: `dataclasses.fields` is slow, and every metric of a run is read and written."""


def _crd_fields(cls: type[Any]) -> CrdFields:
    """Return the attributes of a class that are CRD fields: name, default and field."""
    if cls not in _CRD_FIELDS:
        attributes = (attribute for attribute in fields(cls) if attribute.metadata)
        _CRD_FIELDS[cls] = tuple((item.name, item.default, item.metadata["crd"]) for item in attributes)
    return _CRD_FIELDS[cls]


# Reading: strict, as the API server is. The linter reads the raw values instead, since it reports what fails here.


class SpecNode:
    """A value of a document and its path."""

    def __init__(self, value: object, path: str) -> None:
        self.value = value
        self.path = path

    def error(self, expected: str) -> TemplateError:
        """Return the error of a value that is not of the expected type."""
        return TemplateError(f"{self.path} must be {expected}")

    def __getitem__(self, key: str) -> SpecNode:
        """Return the value of a key, an empty node if it is absent. Raises TemplateError if this is not a map."""
        if self.value is None:
            return SpecNode(None, f"{self.path}.{key}")
        if not isinstance(self.value, Mapping):
            raise self.error("a map")
        return SpecNode(self.value.get(key), f"{self.path}.{key}".removeprefix("."))

    def map_keys(self) -> tuple[str, ...]:
        """Return the keys of a map, none if it is absent."""
        if self.value is not None and not isinstance(self.value, Mapping):
            raise self.error("a map")
        return tuple(map(str, self.value or ()))

    def map(self, read: Callable[[SpecNode], T]) -> tuple[T, ...]:
        """Read each item of a list; an absent list is empty."""
        if self.value is None:
            return ()
        if not isinstance(self.value, Sequence) or isinstance(self.value, str):
            raise self.error("a list")
        return tuple(read(SpecNode(item, f"{self.path}[{index}]")) for index, item in enumerate(self.value))

    def text(self) -> str:
        """Return text, "" if it is absent."""
        if self.value is None:
            return ""
        if not isinstance(self.value, str):
            raise self.error(f"text; put quotes around {self.value}")
        return self.value

    def integer(self) -> int | None:
        """Return a whole number, None if it is absent."""
        # A bool is an int in Python, but not in YAML.
        if self.value is not None and (not isinstance(self.value, int) or isinstance(self.value, bool)):
            raise self.error("a whole number")
        return self.value

    def int_or_text(self) -> IntOrText:
        """Return a whole number or text, None if it is absent."""
        return self.value if isinstance(self.value, str) else self.integer()

    def flag(self) -> bool:
        """Return true or false, false if it is absent."""
        if self.value is not None and not isinstance(self.value, bool):
            raise self.error("true or false")
        return bool(self.value)


_READERS: Final[Mapping[FieldType, Callable[[SpecNode], object]]] = {
    FieldType.TEXT: SpecNode.text,
    FieldType.INT_OR_TEXT: SpecNode.int_or_text,
    FieldType.INTEGER: SpecNode.integer,
    FieldType.FLAG: SpecNode.flag,
}


def read_template(document: Mapping[str, Any]) -> AnalysisTemplate:
    """Read a template or run. Raises TemplateError."""
    node = SpecNode(document, "")
    name, namespace = node["metadata"]["name"].text(), node["metadata"]["namespace"].text()
    return AnalysisTemplate(ObjectKind(document["kind"]), name, namespace, read_spec(document.get("spec")))


def read_spec(document: object) -> AnalysisSpec:
    """Read a spec. Raises TemplateError."""
    return _read(AnalysisSpec, SpecNode(document, "spec"))


def _read(cls: type[T], node: SpecNode) -> T:
    values = {name: _read_field(node, default, crd) for name, default, crd in _crd_fields(cls)}
    if cls is Metric:
        values["other_providers"] = _other_providers(node["provider"])
    return cls(**values)


def _read_field(node: SpecNode, default: object, crd: CrdField) -> object:
    for key in crd.path:
        node = node[key]
    if node.value is None and default is None:
        return None
    if crd.field_type is FieldType.MAP:
        assert crd.item is not None
        return _read(crd.item, node)
    if crd.field_type is FieldType.LIST:
        return node.map(partial(_read, crd.item) if crd.item else SpecNode.text)
    return default if node.value is None and crd.field_type is FieldType.INTEGER else _READERS[crd.field_type](node)


def _other_providers(provider: SpecNode) -> tuple[str, ...]:
    plugins = provider["plugin"].value
    names = tuple(name for name in PROVIDERS if provider[name].value is not None)
    return names + (tuple(plugins) if isinstance(plugins, Mapping) else ())


# Writing and selecting


def metric_json(metric: Metric) -> str:
    """Return a metric as the controller's JSON: its order of fields, empty ones omitted, < > & escaped."""
    document = _plain(metric)
    # Their content is never read: only their number decides, in the validation.
    document["provider"] |= {name: {} for name in metric.other_providers}
    text = json.dumps(document, ensure_ascii=False, separators=(",", ":"))
    # Go's encoding/json escapes these, and the messages of unresolved arguments quote the JSON.
    for char in "<>&\u2028\u2029":
        text = text.replace(char, f"\\u{ord(char):04x}")
    return text


def _plain(value: Any) -> Any:  # noqa: ANN401 - whatever an attribute holds
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    if not is_dataclass(value):
        return value
    document: dict[str, Any] = {}
    for name, _, crd in _crd_fields(type(value)):
        item = getattr(value, name)
        parent = document
        for key in crd.path[:-1]:
            parent = parent.setdefault(key, {})
        if crd.always_written or not _is_omitted(item):
            parent[crd.path[-1]] = _plain(item)
    return document


def _is_omitted(value: object) -> bool:
    """Return whether Go omits a value as empty; a number that is 0 is a pointer there, and is written."""
    return value is None or value is False or value in ("", ())


def drop_unsupported(value: T, controller: ControllerVersion) -> T:
    """Return a metric without the fields that a version's CRD does not have: its API server drops them silently."""
    changes: dict[str, Any] = {}
    for name, default, crd in _crd_fields(type(value)):
        item = getattr(value, name)
        if crd.since > controller.minor:
            changes[name] = default
        elif is_dataclass(item):
            changes[name] = drop_unsupported(item, controller)
    return replace(value, **changes) if changes else value  # type: ignore[type-var]


@dataclass(frozen=True, slots=True)
class FieldSchema:
    """A field of the CRD by its key; `fields` are those of the map, or of each map of the list (None: not checked)."""

    field_type: FieldType = FieldType.MAP
    since: MinorVersion = ALWAYS
    fields: dict[str, FieldSchema] | None = None


def crd_schema(cls: type[Any] = AnalysisSpec) -> dict[str, FieldSchema]:
    """Return the fields of a class, as the CRDs of 1.6 to the one after 1.10 have them."""
    schema: dict[str, FieldSchema] = {}
    for crd in (*(crd for _, _, crd in _crd_fields(cls)), *_UNREAD.get(cls, ())):
        parent = schema
        for key in crd.path[:-1]:
            children = parent.setdefault(key, FieldSchema(fields={})).fields
            assert children is not None
            parent = children
        parent[crd.path[-1]] = FieldSchema(crd.field_type, crd.since, crd_schema(crd.item) if crd.item else None)
    return schema


def int_value(value: IntOrText) -> int:
    """Return a count or limit as the controller reads it: 0 if it is absent or not a number."""
    if isinstance(value, int):
        return value
    # As strconv.Atoi; int() also takes 1_000, outer spaces and digits of other scripts.
    digits = (value or "").removeprefix("+").removeprefix("-")
    if not value or not digits.isascii() or not digits.isdigit():
        return 0
    # Of a number that overflows, the controller uses the largest one.
    magnitude = int(digits) if len(digits) < len(str(_MAX_INT)) else _MAX_INT
    return -magnitude if value.startswith("-") else magnitude


def effective_count(metric: Metric) -> int | None:
    """Return how many measurements complete a metric: 1 without count and interval, None (endless) without count."""
    if int_value(metric.count) == 0:
        return None if metric.interval else 1
    return int_value(metric.count)
