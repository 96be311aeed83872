"""What no single setting can tell: whether the settings agree with each other, and whether their files are there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pydantic_core import PydanticCustomError

from exporter.config.otel import MessageAndHint, check_header_value, decode_headers, error_hint
from exporter.config.schema import SettingPath, iter_sections, iter_settings, value_format
from exporter.config.section import BasicAuthSection, ClientTlsSection, ServerTlsSection
from exporter.config.settings import CLUSTER_ATTRIBUTES, Settings
from exporter.config.sources import ScrapeSource
from exporter.config.yaml_lines import os_fault
from exporter.net.files import SecretFile

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path as File

_TOLERANCE = 1e-6
_VOLATILE_ATTRIBUTES = (
    "service.instance.id",
    "k8s.pod.name",
    "k8s.pod.uid",
    "k8s.pod.ip",
    "host.name",
    "container.id",
    "process.pid",
)


@dataclass(frozen=True, slots=True)
class CrossFieldIssue:
    """A disagreement, told at the setting that can cure it."""

    path: SettingPath
    message: str
    hint: str


def _sources(settings: Settings) -> list[tuple[SettingPath, ScrapeSource]]:
    return [(path, one) for path, one in iter_sections(settings) if isinstance(one, ScrapeSource) and one.targets]


def installations(settings: Settings) -> Iterator[CrossFieldIssue]:
    """Installations have names of their own, and targets."""
    names = [installation.name for installation in settings.argo]
    for number, installation in enumerate(settings.argo):
        if installation.name in names[:number]:
            problem = f"two installations are named {installation.name!r}"
            yield CrossFieldIssue(("argo", number, "name"), problem, "give each a `name` of its own")
        if not installation.targets:
            problem = f"the installation {installation.name!r} has no targets"
            yield CrossFieldIssue(("argo", number, "targets"), problem, "name its controllers, as host:port")


def timeouts(settings: Settings) -> Iterator[CrossFieldIssue]:
    """Scrapes end before the next one begins."""
    for path, source in _sources(settings):
        if source.timeout > source.interval:
            problem = f"{source.timeout:g}s is longer than the interval of {source.interval:g}s"
            yield CrossFieldIssue((*path, "timeout"), problem, "shorten `timeout`, or lengthen `interval`")


def intervals(settings: Settings) -> Iterator[CrossFieldIssue]:
    """Every interval is a multiple of the smallest, which is the tick."""
    sources = _sources(settings)
    tick = min((source.interval for _, source in sources), default=1.0)
    for path, source in sources:
        ticks = source.interval / tick
        if abs(ticks - round(ticks)) > _TOLERANCE:
            problem = f"{source.interval:g}s is no multiple of the smallest interval, {tick:g}s"
            yield CrossFieldIssue(
                (*path, "interval"), problem, f"write {tick * max(1, round(ticks)):g}s, or change the smallest"
            )


def certificates(settings: Settings) -> Iterator[CrossFieldIssue]:
    """Certificates come with their keys."""
    for path, tls in iter_sections(settings):
        if isinstance(tls, ClientTlsSection | ServerTlsSection) and (tls.cert_file is None) != (tls.key_file is None):
            given, lacking = ("cert_file", "key_file") if tls.key_file is None else ("key_file", "cert_file")
            yield CrossFieldIssue((*path, given), f"is set without {lacking}", f"set `{lacking}` too, or neither")


def passwords(settings: Settings) -> Iterator[CrossFieldIssue]:
    """Every user name comes with one password."""
    for path, auth in iter_sections(settings):
        if not isinstance(auth, BasicAuthSection):
            continue
        given = [key for key in ("password", "password_file") if getattr(auth, key) is not None]
        if len(given) > 1:
            yield CrossFieldIssue((*path, "password"), "is set, and `password_file` too", "keep one, best the file")
        elif bool(auth.username) != bool(given):
            at = given[0] if given else "username"
            lacking = "username" if given else "password_file"
            yield CrossFieldIssue((*path, at), f"is set without {lacking}", f"set `{lacking}` too")


def single_credentials(settings: Settings) -> Iterator[CrossFieldIssue]:
    """Each peer is shown one credential."""
    for path, source in _sources(settings):
        given = {
            "bearer_token_file": source.bearer_token_file is not None,
            "basic_auth.username": bool(source.basic_auth.username),
            "headers.authorization": "authorization" in source.headers,
        }
        yield from _single_credential(path, [key for key, present in given.items() if present])
    otlp = settings.otlp
    given = {
        "authorization_file": otlp.authorization_file is not None,
        "headers.authorization": "authorization" in otlp.headers,
    }
    yield from _single_credential(("otlp",), [key for key, present in given.items() if present])


def _single_credential(path: SettingPath, given: list[str]) -> Iterator[CrossFieldIssue]:
    if len(given) > 1:
        text = " and ".join(given)
        yield CrossFieldIssue((*path, *given[0].split(".")), f"{text} both give credentials", "keep one of them")


def read_section(settings: Settings) -> Iterator[CrossFieldIssue]:
    """Whoever reads back names one address, and shows one credential."""
    at, read = ("read",), settings.read
    if read.address and (read.last9.cluster or read.last9.organization):
        yield CrossFieldIssue((*at, "address"), "is set, and `last9` too", "keep one of them")
    for given, lacking in (("cluster", "organization"), ("organization", "cluster")):
        if getattr(read.last9, given) and not getattr(read.last9, lacking):
            yield CrossFieldIssue(
                (*at, "last9", given), f"is set without {lacking}", f"set `{lacking}` too, or `address`"
            )
    passwords = [key for key in ("password", "password_file") if getattr(read, key) is not None]
    users = ["username"] if read.username else []
    if read.authorization_file is not None:
        yield from _single_credential(at, ["authorization_file", *users, *passwords][:2])
    elif len(passwords) > 1:
        yield CrossFieldIssue((*at, "password"), "is set, and `password_file` too", "keep one, best the file")
    elif passwords and not read.user:
        yield CrossFieldIssue((*at, passwords[0]), "is set without username", "set `username` too")
    elif users and not passwords:
        yield CrossFieldIssue((*at, "username"), "is set without password_file", "set `password_file` too")


def endpoint_scheme(settings: Settings) -> Iterator[CrossFieldIssue]:
    """OTLP over HTTP needs a URL."""
    endpoint = settings.otlp.endpoint
    if endpoint and settings.otlp.protocol == "http/protobuf" and not endpoint.has_scheme:
        advice = f"write https://{endpoint} (http:// for plain text), or set `otlp.protocol: grpc`"
        yield CrossFieldIssue(("otlp", "endpoint"), "has no scheme", advice)


def unverified_grpc(settings: Settings) -> Iterator[CrossFieldIssue]:
    """OTLP over gRPC always verifies whom it talks to: the library has no way not to."""
    if settings.otlp.protocol == "grpc" and settings.otlp.tls.insecure_skip_verify:
        advice = "name the server's certificate in `otlp.tls.ca_file` and its name in `otlp.tls.server_name`"
        yield CrossFieldIssue(("otlp", "tls", "insecure_skip_verify"), "is not possible with grpc", advice)


def backoff(settings: Settings) -> Iterator[CrossFieldIssue]:
    """Back-off begins no longer than it ends."""
    retry = settings.otlp.retry
    if retry.initial > retry.longest:
        problem = f"{retry.initial:g}s is longer than `longest`, {retry.longest:g}s"
        yield CrossFieldIssue(("otlp", "retry", "initial"), problem, "shorten `initial`, or lengthen `longest`")


def cluster_attribute(settings: Settings) -> Iterator[CrossFieldIssue]:
    """Who pushes says which cluster it is, or that one is enough: else equal rollouts of two clusters merge."""
    if settings.otlp.endpoint and not any(settings.attributes.get(key) for key in CLUSTER_ATTRIBUTES):
        advice = (
            "set `attributes: {k8s.cluster.name: <name>}`, "
            "or `attributes: {k8s.cluster.name: none}` to say that one cluster is enough"
        )
        yield CrossFieldIssue(
            ("otlp", "endpoint"), "series are pushed without an attribute that names the cluster", advice
        )


def volatile_attributes(settings: Settings) -> Iterator[CrossFieldIssue]:
    """Identity stays the same over a restart (a warning only)."""
    for key in _VOLATILE_ATTRIBUTES:
        if key in settings.identity():
            problem = "changes with each restart or pod, and every series with it"
            yield CrossFieldIssue(("attributes", key), problem, f"remove it, or set `attributes: {{{key}: none}}`")


CHECKS: tuple[tuple[Callable[[Settings], Iterator[CrossFieldIssue]], frozenset[str]], ...] = (
    (installations, frozenset({"argo", "name", "targets"})),
    (timeouts, frozenset({"argo", "interval", "timeout", "targets"})),
    (intervals, frozenset({"argo", "interval", "targets"})),
    (certificates, frozenset({"cert_file", "key_file"})),
    (passwords, frozenset({"username", "password", "password_file"})),
    (single_credentials, frozenset({"headers"})),
    (read_section, frozenset({"address", "cluster", "organization", "username", "password", "password_file"})),
    (endpoint_scheme, frozenset({"endpoint", "protocol"})),
    (unverified_grpc, frozenset({"protocol", "insecure_skip_verify"})),
    (backoff, frozenset({"initial", "longest"})),
    (cluster_attribute, frozenset({"endpoint", "attributes", *CLUSTER_ATTRIBUTES})),
)
"""Each check, and the keys that it reads: it is left out when one of those is spoiled already."""


def file_issues(settings: Settings) -> Iterator[CrossFieldIssue]:
    """Every file that is named exists and can be read; a secret file holds what can be sent."""
    for path, value, field in iter_settings(settings):
        kind = value_format(field).kind
        if value is not None and kind in {"file", "secret file"}:
            remarks = _secret_file_problems(str(path[-1]), value) if kind == "secret file" else _unreadable_file(value)
            yield from (CrossFieldIssue(path, problem, advice) for problem, advice in remarks)


def _unreadable_file(file: File) -> Iterator[MessageAndHint]:
    try:
        file.open("rb").close()
    except (OSError, ValueError) as error:
        problem, _ = os_fault(error)
        yield f"{file} {problem}", "check the path, and that the file is mounted and readable"


def _secret_file_problems(key: str, file: File) -> Iterator[MessageAndHint]:
    try:
        text = SecretFile(file).read()
    except OSError:
        yield from _unreadable_file(file)
    except ValueError:
        yield f"{file} is not UTF-8 text", "write the secret as text"
    else:
        yield from ((f"{file}: {problem}", advice) for problem, advice in _secret_problems(key, text))


def _secret_problems(key: str, text: str) -> Iterator[MessageAndHint]:
    if not text:
        yield "is empty", "write the secret into it"
    elif key == "headers_file":
        _, refused, strange = decode_headers(text)
        yield from (*refused, *strange)
    elif key != "password_file":
        try:
            check_header_value(text)
        except PydanticCustomError as error:
            yield error.message(), error_hint(error)
