"""Sections of the outputs: pushing over OTLP, the exporter's own pages, and reading back what was pushed."""

from __future__ import annotations

import re
from collections.abc import Mapping  # noqa: TC003 - the annotations are read
from dataclasses import asdict, dataclass, field
from typing import Annotated, Literal
from urllib.parse import quote

from exporter.config import values
from exporter.config.errors import quoted, without_secrets
from exporter.config.model import Section
from exporter.config.notify import ChangeEventsSection
from exporter.config.section import BasicAuthSection, ClientTlsSection, ServerTlsSection
from exporter.config.values import SecretText  # noqa: TC001 - the annotations are read

METRICS_PATH = "/v1/metrics"
LAST9_READ_URL = "https://read-app-tsdb.last9.io/hot/v1/metrics/{cluster}/sender/{organization}"
"""Read URL as the page Cluster > Settings > Read Data of Last9 shows it."""
# Paths of the API that users copy together with the address.
_API_PATH = re.compile(r"/api/v1(/(query|query_range|query_exemplars|series|labels|metadata|write|read))?/*$")
_DNS_TARGET = re.compile(r"dns:(?://([^/]*)/)?([^/].*)", re.IGNORECASE)
"""A gRPC target that names its resolver, the one that gRPC uses anyway, and maybe the address of a name server."""
_HTTP_SCHEME = re.compile(r"https?://", re.IGNORECASE)
_RETRY_CODE = re.compile(r"([+-]?)([0-9]{3}|[A-Z_]+)")
_GRPC_ERRORS = frozenset({
    "CANCELLED", "UNKNOWN", "INVALID_ARGUMENT", "DEADLINE_EXCEEDED", "NOT_FOUND", "ALREADY_EXISTS",
    "PERMISSION_DENIED", "RESOURCE_EXHAUSTED", "FAILED_PRECONDITION", "ABORTED", "OUT_OF_RANGE", "UNIMPLEMENTED",
    "INTERNAL", "UNAVAILABLE", "DATA_LOSS", "UNAUTHENTICATED",
})  # fmt: skip # all statuses of gRPC but OK
_HTTP_ERRORS = range(400, 600)
# It becomes a part of a URL, unquoted.
_Slug = Annotated[str, values.text_format(r"^[A-Za-z0-9._-]*$")]


@dataclass(frozen=True, slots=True)
class Endpoint:
    """An OTLP endpoint as written; `exact` is a complete URL to which no path is added (E02)."""

    text: str = field(repr=False)
    exact: bool = False

    @property
    def has_scheme(self) -> bool:
        """Whether the text starts with http:// or https://."""
        return _HTTP_SCHEME.match(self.text) is not None

    @property
    def dns_target(self) -> re.Match[str] | None:
        """The name server and the address of a gRPC target `dns:[//name server/]address`, None for another form."""
        return _DNS_TARGET.fullmatch(self.text)

    @property
    def address(self) -> str:
        """The text without `dns:///`."""
        return self.dns_target[2] if self.dns_target else self.text

    @property
    def url(self) -> str:
        """URL for OTLP/HTTP: /v1/metrics is appended after one slash, unless the path ends with it (E01)."""
        parts = values.split_address(self.text)
        if self.exact:
            return parts._replace(path=parts.path or "/").geturl()
        path = parts.path.rstrip("/").removesuffix(METRICS_PATH)
        return parts._replace(path=path + METRICS_PATH).geturl()

    def __str__(self) -> str:
        # To be shown, so without the query, which may be a token.
        return without_secrets(self.text)


def parse_endpoint(value: object) -> Endpoint:
    """Parse an endpoint; whether it needs a scheme depends on the protocol and is checked later."""
    endpoint = value if isinstance(value, Endpoint) else Endpoint(str(value).strip())
    parts = values.split_address(endpoint.address)
    if endpoint.dns_target and (parts.scheme or parts.path):
        raise values.SettingError("has dns: before something else than host:port", "write dns:///host:port")
    return endpoint


_ENDPOINT_KIND = "URL; for grpc also host:port or dns:///host:port"
EndpointSetting = Annotated[Endpoint, values.ValueFormat(_ENDPOINT_KIND, parse=parse_endpoint)]
_PROTOCOLS = ("http/protobuf", "grpc")


def parse_protocol(value: object) -> str:
    """Return the protocol in lower case. Raise on http/json (E08)."""
    if isinstance(value, str) and value.strip().lower() == "http/json":
        message = "http/json is not supported, since backends reject it with status 400"
        raise values.SettingError(message, "write http/protobuf or grpc")
    return values.parse_choice(_PROTOCOLS, value)


def parse_retry_code(value: object) -> str:
    """Return a status with its sign, "-" for one that is not to be retried: of HTTP (400 to 599) or of gRPC."""
    match = _RETRY_CODE.fullmatch(str(value).strip().upper())
    is_known = match and (match[2] in _GRPC_ERRORS or (match[2].isdecimal() and int(match[2]) in _HTTP_ERRORS))
    if not match or not is_known:
        hint = "write HTTP statuses from 400 to 599 or names such as INTERNAL; with a minus, not to be retried"
        raise values.SettingError(f"{quoted(str(value))} is not the status of an error", hint)
    return ("-" if match[1] == "-" else "") + match[2]


RetryCodes = Annotated[tuple[str, ...], values.list_format("list of statuses, with a minus or not", parse_retry_code)]


@dataclass(frozen=True, slots=True)
class RequestSection(Section):
    """Maximum size of an OTLP request."""

    # More than the usual 1,000 points (E19), since each request costs a round trip, which may be 50 ms.
    points: values.PositiveInt = 5000
    """Maximum number of data points in a request."""
    # With less, labels of a usual length make points that fit into no request.
    bytes: Annotated[int, values.size_format(64 * values.KIB, 64 * values.MIB)] = 4 * values.MIB
    """Maximum size of a request before compression, 64KiB to 64MiB; most gRPC servers accept at most 4MiB."""


@dataclass(frozen=True, slots=True)
class ResponseSection(Section):
    """Maximum size of a response to an OTLP request."""

    bytes: Annotated[int, values.size_format(values.KIB, 64 * values.MIB)] = 4 * values.MIB
    """Maximum size of a response after decompression, 1KiB to 64MiB; a longer one is an error that is not retried."""


@dataclass(frozen=True, slots=True)
class RetrySection(Section):
    """Back-off after a failed request; a server's Retry-After is a minimum."""

    initial: values.PositiveSeconds = 0.5
    """First back-off; it doubles after each failure, with jitter."""
    longest: values.PositiveSeconds = 1.5
    """Maximum back-off: delivery resumes at most this long after the backend is available again."""
    hold: values.PositiveSeconds = 300.0
    """Maximum back-off while a credential or an address is refused (401, 403, 404, a web page instead of an answer);
    only a small request is sent then, until one is accepted. A changed credential is tried at once."""
    strict: bool = False
    """Whether to retry only what the OTLP specification allows, and to drop the rest. By default every 5xx is retried,
    and a wrong credential or address holds delivery; requests that fail for minutes while others are accepted are
    dropped in part (reason `poison`)."""
    codes: RetryCodes = ()
    """Exceptions: statuses that are retried, too, and with a minus those that are not, such as `[408, -501, -INTERNAL]`
    (HTTP statuses, or names of gRPC statuses)."""


@dataclass(frozen=True, slots=True)
class OtlpSection(Section):
    """Push over OTLP; off without an endpoint."""

    endpoint: EndpointSetting | None = None
    """Base URL to push to, such as https://otlp.last9.io; for HTTP, /v1/metrics is appended unless the URL ends with
    it; unset: no push, only /metrics is served."""
    protocol: Annotated[
        Literal["http/protobuf", "grpc"], values.ValueFormat(" | ".join(_PROTOCOLS), parse=parse_protocol)
    ] = "http/protobuf"
    """Protocol of the push."""
    insecure: bool = False
    """For grpc and an endpoint without scheme: true for plain text, false for TLS (E04)."""
    headers: values.Headers = field(default_factory=dict)
    """Headers of each request, or gRPC metadata; the values are secret."""
    headers_file: values.SecretFilePath | None = None
    """File with additional headers in the format of OTEL_EXPORTER_OTLP_HEADERS, or one per line; they override
    `headers`; reloaded when it changes; unset: none."""
    authorization_file: values.SecretFilePath | None = None
    """File with the complete value of the Authorization header; reloaded when it changes; unset: none."""
    compression: Literal["gzip", "none"] = "gzip"
    """Compression of each request."""
    timeout: values.PositiveOrZeroSeconds = 10.0  # the default of the specification (E07)
    """Timeout of a request; 0: no limit."""
    logs: bool = False
    """Whether to push a log record for each transition, to /v1/logs of the same endpoint."""
    traces: bool = False
    """Whether to push a trace of each update when it ends, to /v1/traces of the same endpoint."""
    grace: values.NonNegativeSeconds = 10.0
    """How long to deliver queued requests at shutdown; Kubernetes kills a pod after 30s by default."""
    tls: ClientTlsSection = ClientTlsSection()
    request: RequestSection = RequestSection()
    response: ResponseSection = ResponseSection()
    retry: RetrySection = RetrySection()

    @property
    def url(self) -> str:
        """URL for OTLP/HTTP; "" if nothing is pushed."""
        return self.endpoint.url if self.endpoint else ""

    def url_of(self, signal: str) -> str:
        """URL for OTLP/HTTP of another signal, such as logs: its path instead of that of the metrics."""
        path, _, query = self.url.partition("?")
        return f"{path.removesuffix(METRICS_PATH)}/v1/{signal}{'?' if query else ''}{query}"

    @property
    def grpc_target(self) -> tuple[str, bool]:
        """Target for gRPC, such as host:port ("": nothing is pushed), and whether to use TLS.

        A scheme overrides `insecure` (E04).
        """
        if self.endpoint is None:
            return "", False
        parts = values.split_address(self.endpoint.address)
        use_tls = parts.scheme == "https" if parts.scheme else not self.insecure
        host = values.bracketed(parts.hostname or "")
        dns_target = self.endpoint.dns_target
        resolver = f"dns://{dns_target[1]}/" if dns_target and dns_target[1] else ""
        # A port that is not given is that of the scheme (E03).
        return f"{resolver}{host}:{parts.port or (443 if use_tls else 80)}", use_tls


LINK_NAMES = ("namespace", "name", "hash")
"""What a link may have in braces: a rollout, and the pod template hash of its newest revision."""
_BRACES = re.compile(r"\{(\w+)\}")


def check_link(value: object) -> str:
    """Check a link of the page of a rollout."""
    text = values.parse_text(value)
    if not values.split_address(_BRACES.sub("x", text.strip())).scheme:
        raise values.SettingError(f"{quoted(text)} has no scheme", "write https://host/path")
    if unknown := sorted(set(_BRACES.findall(text)) - set(LINK_NAMES)):
        names = ", ".join(f"{{{name}}}" for name in LINK_NAMES)
        raise values.SettingError(f"has {{{unknown[0]}}}, which is not filled in", f"write {names}")
    return text.strip()


def filled_link(link: str, fills: Mapping[str, str]) -> str:
    """Return a link with its names filled in, quoted for any part of an address."""
    return _BRACES.sub(lambda match: quote(fills[match[1]], safe=""), link)


_LINKS_FORMAT = values.ValueFormat(
    "mapping of labels to addresses", parse=check_link, parse_pairs=values.parse_attributes
)


@dataclass(frozen=True, slots=True)
class WebSection(Section):
    """The exporter's own pages: /, /metrics, /api/rollouts, /healthz, /readyz."""

    listen: values.ListenAddress = ":9464"  # the port of OpenTelemetry's Prometheus exporters
    """Address to listen on; without a host: all addresses."""
    basic_auth: BasicAuthSection = BasicAuthSection()
    """User name and password of the pages; /healthz and /readyz need none."""
    tls: ServerTlsSection = ServerTlsSection()
    links: Annotated[Mapping[str, str], _LINKS_FORMAT] = field(default_factory=dict)
    """Links on the page of a rollout, by their label: addresses of Last9, Grafana, Argo CD …, in which {namespace},
    {name} and {hash} (of the newest revision's pods) are filled in."""

    @property
    def address(self) -> tuple[str | None, int]:
        """Host (None: all) and port to listen on."""
        host, _, port = self.listen.rpartition(":")
        return host.strip("[]") or None, int(port)


def check_read_address(value: object) -> str:
    """Check the address of a Prometheus HTTP API: the URL before /api/v1."""
    address = values.parse_text(value).strip()
    parts = values.split_address(address)
    if not parts.scheme:
        hint = f"write https://{without_secrets(address)} (http:// for plain text)"
        raise values.SettingError(f"{quoted(address)} has no scheme", hint)
    if parts.query or parts.fragment:
        raise values.SettingError("has a query or a fragment", "write the address alone")
    if _API_PATH.search(parts.path):
        raise values.SettingError("ends in /api/v1, which is appended to it", "write the part before /api/v1")
    if parts.path.rstrip("/").endswith("/write"):
        raise values.SettingError(
            "is a remote write URL", "write the address to read from; at Last9 it is the Read URL"
        )
    return address.rstrip("/")


@dataclass(frozen=True, slots=True)
class Last9Section(Section):
    """A cluster of Last9 instead of `address`: its Read URL (Cluster > Settings > Read Data shows it)."""

    cluster: _Slug = ""
    """Cluster id, also the default user name; empty: `address` is used."""
    organization: _Slug = ""
    """Slug of the organisation, the last part of the Read URL."""


@dataclass(frozen=True, slots=True)
class ReadSection(Section):
    """Read access to the store, for the command `verify` and for `gates`; off without an address."""

    address: Annotated[str, values.ValueFormat("URL", parse=check_read_address)] | None = None
    """URL of a Prometheus HTTP API, without /api/v1; unset: `last9` is used, or nothing is read."""
    last9: Last9Section = Last9Section()
    username: str = ""
    """User name of basic authentication; empty: the cluster id of `last9`, or no authentication."""
    password: SecretText | None = None
    """Password, at Last9 a read token of the cluster; `password_file` is preferred."""
    password_file: values.SecretFilePath | None = None
    """File with the password."""
    authorization_file: values.SecretFilePath | None = None
    """File with the complete value of the Authorization header, instead of user name and password; unset: none."""
    tls: ClientTlsSection = ClientTlsSection()
    timeout: values.PositiveSeconds = 30.0
    """Timeout of a request."""

    @property
    def url(self) -> str:
        """URL without /api/v1; "" if nothing is read."""
        last9_url = self.last9.cluster and LAST9_READ_URL.format(**asdict(self.last9))
        return self.address or last9_url

    @property
    def user(self) -> str:
        """User name of basic authentication; "" for none."""
        return self.username or self.last9.cluster


def check_api_address(value: object) -> str:
    """Check the address of Last9's API: an http:// or https:// URL, without a query."""
    address = values.parse_text(value).strip().rstrip("/")
    parts = values.split_address(address)
    if not parts.scheme or parts.query or parts.fragment:
        raise values.SettingError("is not the base address of an API", "write https://app.last9.io")
    return address


@dataclass(frozen=True, slots=True)
class Last9ApiSection(Section):
    """API of Last9, for change events and the dashboards of `last9 apply`; off without a refresh token."""

    address: Annotated[str, values.ValueFormat("URL", parse=check_api_address)] | None = None
    """Base URL of the API, such as https://app.last9.io; unset: that of the refresh token."""
    organization: _Slug = ""
    """Slug of the organisation; empty: that of the token."""
    region: _Slug = ""
    """Region of the cluster, such as ap-south-1, which the API wants to read a dashboard."""
    refresh_token: SecretText | None = None
    """Refresh token with write scope; `refresh_token_file` is preferred."""
    refresh_token_file: values.SecretFilePath | None = None
    """File with the refresh token; reloaded when it changes; unset: `refresh_token`."""
    delete_refresh_token: SecretText | None = None
    """Refresh token with delete scope, for `last9 remove` alone; `delete_refresh_token_file` is preferred."""
    delete_refresh_token_file: values.SecretFilePath | None = None
    """File with the refresh token with delete scope; unset: `delete_refresh_token`."""
    change_events: ChangeEventsSection = ChangeEventsSection()


_ARGUMENTS_FORMAT = values.ValueFormat("mapping of names to values", parse_pairs=values.parse_attributes)


@dataclass(frozen=True, slots=True)
class ShadowGateSection(Section):
    """A gate that only reports what it would have done, for the updates of some rollouts."""

    template: values.FilePath | None = None
    """File with the AnalysisTemplate, and with those that it refers to; address and credential of its metrics are
    replaced by those of `read`."""
    rollouts: values.ObjectGlobList = ()
    """Rollouts to evaluate it for, as namespace/name globs; of several gates with one template the first that matches
    applies; empty: all."""
    args: Annotated[Mapping[str, str], _ARGUMENTS_FORMAT] = field(default_factory=dict)
    """Arguments of the template; not secret. By default service-name and rollout-name are the name of the rollout,
    namespace is its namespace, and canary-hash the pod template hash of the update."""

    def matches(self, namespace: str, name: str) -> bool:
        """Return whether the gate is for a rollout."""
        return not self.rollouts or values.matches_any(f"{namespace}/{name}", self.rollouts)
