"""The sections that say where the series go: OTLP, and our own pages."""

from __future__ import annotations

from collections.abc import Mapping  # noqa: TC003 - pydantic reads the annotations
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, PlainSerializer, PlainValidator

from exporter.config.otel import HEADERS_FORMAT, HeaderName, HeaderValue
from exporter.config.section import BasicAuthSection, ClientTlsSection, Section, ServerTlsSection
from exporter.config.values import (
    MIB,
    ByteSize,
    DirectoryPath,
    ListenAddress,
    NonNegativeSeconds,
    PositiveInt,
    PositiveSeconds,
    SecretFilePath,
    ValueFormat,
    lowercase,
    split_address,
    value_error,
)

METRICS_PATH = "/v1/metrics"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where OTLP goes, as written; `exact` is a whole URL to which no path is added (E02)."""

    text: str
    exact: bool = False

    @property
    def has_scheme(self) -> bool:
        """Whether it says http:// or https://."""
        return "://" in self.text

    @property
    def url(self) -> str:
        """The URL that OTLP/HTTP posts to: /v1/metrics is added unless it ends so, with one slash between (E01)."""
        parts = split_address(self.text)
        if self.exact:
            return parts._replace(path=parts.path or "/").geturl()
        path = parts.path.rstrip("/").removesuffix(METRICS_PATH)
        return parts._replace(path=path + METRICS_PATH).geturl()

    def __str__(self) -> str:
        return self.text


def parse_endpoint(value: object) -> Endpoint:
    """Check an endpoint given as text; whether it needs a scheme is for the protocol to say."""
    written = value if isinstance(value, Endpoint) else Endpoint(str(value).strip())
    split_address(written.text)
    return written


def parse_protocol(value: object) -> object:
    """Fold the protocol's case; refuse http/json by name (E08)."""
    word = lowercase(value)
    if word == "http/json":
        raise value_error("http/json is not spoken, since stores answer 400 to it", "write http/protobuf or grpc")
    return word


class RequestSection(Section):
    """How large one OTLP request may be."""

    points: PositiveInt = 5000
    """Data points in one request."""
    bytes: ByteSize = Field(default=4 * MIB, le=64 * MIB)
    """Bytes of one request before compression; most gRPC servers take 4MiB at most."""


class RetrySection(Section):
    """How soon a failed request is tried again; a Retry-After of the server is a minimum."""

    initial: PositiveSeconds = 0.5
    """First back-off; it doubles, with jitter."""
    longest: PositiveSeconds = 1.5
    """Longest back-off, and so about the longest time that deliveries lag behind the backend's return."""


class QueueSection(Section):
    """What is kept while the backend cannot be reached; the oldest is dropped first, and counted."""

    bytes: ByteSize = 64 * MIB
    """Bytes of ready, compressed requests."""
    age: PositiveSeconds = 86_400.0
    """Age at which a request is given up."""
    directory: DirectoryPath | None = None
    """Directory, this exporter's own, for what waits: it outlives restarts and kills there; unset: memory only."""
    fsync: Annotated[Literal["always", "interval", "never"], BeforeValidator(lowercase)] = "interval"
    """When what is written is made safe against a crash of the machine: always at once, every second (interval),
    or when the system does it (never); a crash of the process loses nothing in any case."""


class OtlpSection(Section):
    """Pushing over OTLP."""

    endpoint: (
        Annotated[
            Endpoint, PlainValidator(parse_endpoint), PlainSerializer(str), ValueFormat("URL; for grpc also host:port")
        ]
        | None
    ) = None
    """Where to push: the base URL, such as https://otlp.last9.io; /v1/metrics is added for HTTP unless it ends so;
    unset: nothing is pushed, /metrics is served only."""
    protocol: Annotated[Literal["http/protobuf", "grpc"], BeforeValidator(parse_protocol)] = "http/protobuf"
    """How to push."""
    insecure: bool = False
    """For grpc and an endpoint without scheme only: true is plain text, false TLS (E04)."""
    headers: Annotated[Mapping[HeaderName, HeaderValue], HEADERS_FORMAT] = Field(default_factory=dict)
    """Headers of each request, or gRPC metadata; the values are secret."""
    headers_file: SecretFilePath | None = None
    """File with further headers as in OTEL_EXPORTER_OTLP_HEADERS, also one a line; they win over `headers`;
    read again when it changes; unset: none."""
    authorization_file: SecretFilePath | None = None
    """File with the whole value of the Authorization header; read again when it changes; unset: none."""
    compression: Annotated[Literal["gzip", "none"], BeforeValidator(lowercase)] = "gzip"
    """Compression of each request."""
    timeout: NonNegativeSeconds = 10.0
    """How long one request may take; 0: no limit."""
    grace: NonNegativeSeconds = 10.0
    """How long deliveries may go on once the process is told to stop; Kubernetes kills it after 30s unless told."""
    tls: ClientTlsSection = ClientTlsSection()
    """TLS towards the endpoint."""
    request: RequestSection = RequestSection()
    """How large one request may be."""
    retry: RetrySection = RetrySection()
    """How soon a failed request is tried again."""
    queue: QueueSection = QueueSection()
    """What is kept meanwhile."""

    @property
    def url(self) -> str:
        """The URL that OTLP/HTTP posts to; "" when nothing is pushed."""
        return self.endpoint.url if self.endpoint else ""

    @property
    def grpc_target(self) -> tuple[str, bool]:
        """The host:port that gRPC dials ("": none), and whether with TLS: a scheme beats `insecure` (E04)."""
        if self.endpoint is None:
            return "", False
        parts = split_address(self.endpoint.text)
        secure = parts.scheme == "https" if parts.scheme else not self.insecure
        host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
        return f"{host}:{parts.port or (443 if secure else 80)}", secure


class WebSection(Section):
    """Our own pages: /, /metrics, /api/rollouts, /healthz, /readyz."""

    listen: ListenAddress = ":9464"
    """Address to listen at; without a host: at all of them."""
    basic_auth: BasicAuthSection = BasicAuthSection()
    """User name and password that readers must give; /healthz and /readyz stay open."""
    tls: ServerTlsSection = ServerTlsSection()
    """Certificate to serve with."""

    @property
    def address(self) -> tuple[str | None, int]:
        """Host (None: all) and port to listen at."""
        host, _, port = self.listen.rpartition(":")
        return host.strip("[]") or None, int(port)
