"""Checks between settings, and of the files that settings name."""

from __future__ import annotations

import os
import re
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from exporter.config.outputs import Endpoint
from exporter.config.schema import FILE_KINDS, dotted, iter_sections, iter_settings
from exporter.config.section import BasicAuthSection, ClientTlsSection, ServerTlsSection
from exporter.config.settings import CLUSTER_ATTRIBUTES, Settings
from exporter.config.sources import ScrapeSource
from exporter.config.targets import parse_targets
from exporter.config.values import (
    MessageAndHint,
    SecretText,
    SettingError,
    check_header_value,
    decode_headers,
    matches_any,
    split_address,
)
from exporter.config.yaml_lines import os_error_issue
from exporter.net.credential_shape import credential_fault
from exporter.net.files import SecretFile

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from exporter.config.model import SettingPath

_TOLERANCE = 1e-6
"""Rounding error allowed in the ratio of two intervals, such as 0.3 s to 0.1 s."""
# What SDKs and collectors add by themselves: OpenTelemetry's for Python invents a service.instance.id at each start.
_VOLATILE_ATTRIBUTES = (
    "service.instance.id",
    "k8s.pod.name",
    "k8s.pod.uid",
    "k8s.pod.ip",
    "host.name",
    "container.id",
    "process.pid",
)


_LAST9_HOSTS = ("*.last9.io", "*.last9.cloud")
"""Hosts that take points with basic authentication alone."""
_REMOTE_WRITE = re.compile(r"/(api/v1/(write|push)|sender/[^/]+/write)(/v1/metrics)?/?$")
"""Paths of Prometheus remote write: Prometheus and its like, Mimir and Loki, Last9."""
_PLACEHOLDER = re.compile(
    r"\$\{[A-Za-z_][^}]*\}|\$\([A-Za-z_]\w*\)|\{\{.+\}\}|^<[^<>]+>$|/<[^/<>]+>|\bCHANGE_?ME\b|\byour[-_]\w+",
    re.IGNORECASE,
)
"""Of a shell or a .env file, of Kubernetes, of templates, and of manuals."""
_KERNEL_DIRECTORIES = (Path("/proc"), Path("/sys"))
_PLAIN_PATH = re.compile(r"[a-z0-9/._-]+")
"""Base64 of more than a few bytes has upper-case letters, which the usual paths of mounts have not."""
_SECRET_AS_PATH = (
    "is not the path of a file, and looks like a secret, so it is not shown",
    "write the secret into a file, and the absolute path of that file here",
)


@dataclass(frozen=True, slots=True)
class CrossFieldIssue:
    """A conflict between settings; `path` is the setting to change, `kind` as in ConfigIssue."""

    path: SettingPath
    message: str
    hint: str
    kind: str = ""


def _enabled_sources(settings: Settings) -> list[tuple[SettingPath, ScrapeSource]]:
    sections = iter_sections(settings)
    return [(path, section) for path, section in sections if isinstance(section, ScrapeSource) and section.targets]


def installations(settings: Settings) -> Iterator[CrossFieldIssue]:
    """Every installation has a unique name, and targets."""
    names = [installation.name for installation in settings.argo]
    for index, installation in enumerate(settings.argo):
        if installation.name in names[:index]:
            message = f"two installations are named {installation.name!r}"
            yield CrossFieldIssue(("argo", index, "name"), message, "set a unique `name` for each")
        if not installation.targets:
            message = f"the installation {installation.name!r} has no targets"
            yield CrossFieldIssue(("argo", index, "targets"), message, "write its controllers as host:port")


def target_labels(settings: Settings) -> Iterator[CrossFieldIssue]:
    """The targets of a source have different labels."""
    for path, source in _enabled_sources(settings):
        try:
            parse_targets(source.targets, source.path)
        except SettingError as error:
            yield CrossFieldIssue((*path, "targets"), str(error), error.hint)


def timeouts(settings: Settings) -> Iterator[CrossFieldIssue]:
    """A scrape ends before the next one starts."""
    for path, source in _enabled_sources(settings):
        if source.timeout > source.interval:
            message = f"{source.timeout:g}s is longer than the interval of {source.interval:g}s"
            yield CrossFieldIssue((*path, "timeout"), message, "shorten `timeout`, or lengthen `interval`")


def intervals(settings: Settings) -> Iterator[CrossFieldIssue]:
    """Every interval is a multiple of the smallest, at which cycles run."""
    sources = _enabled_sources(settings)
    tick_seconds = min((source.interval for _, source in sources), default=1.0)
    for path, source in sources:
        multiple = source.interval / tick_seconds
        if abs(multiple - round(multiple)) > _TOLERANCE:
            message = f"{source.interval:g}s is not a multiple of the smallest interval, {tick_seconds:g}s"
            hint = f"write {tick_seconds * max(1, round(multiple)):g}s, or change the smallest"
            yield CrossFieldIssue((*path, "interval"), message, hint)


def certificates(settings: Settings) -> Iterator[CrossFieldIssue]:
    """A certificate comes with its key."""
    for path, tls in iter_sections(settings):
        if isinstance(tls, ClientTlsSection | ServerTlsSection) and (tls.cert_file is None) != (tls.key_file is None):
            present, missing = ("cert_file", "key_file") if tls.key_file is None else ("key_file", "cert_file")
            yield CrossFieldIssue((*path, present), f"is set without {missing}", f"set `{missing}` too, or neither")


def passwords(settings: Settings) -> Iterator[CrossFieldIssue]:
    """A user name comes with one password."""
    for path, auth in iter_sections(settings):
        if not isinstance(auth, BasicAuthSection):
            continue
        keys = [key for key in ("password", "password_file") if getattr(auth, key) is not None]
        if len(keys) > 1:
            yield _two_passwords(path)
        elif bool(auth.username) != bool(keys):
            present, missing = (keys[0], "username") if keys else ("username", "password_file")
            yield CrossFieldIssue((*path, present), f"is set without {missing}", f"set `{missing}` too")


def _two_passwords(path: SettingPath) -> CrossFieldIssue:
    return CrossFieldIssue((*path, "password"), "is set, and `password_file` too", "keep one, preferably the file")


def single_credentials(settings: Settings) -> Iterator[CrossFieldIssue]:
    """Each source and the OTLP endpoint get at most one credential."""
    for path, source in _enabled_sources(settings):
        yield from _single_credential(path, source.credentials)
    otlp = settings.otlp
    if otlp.authorization_file is not None and "authorization" in otlp.headers:
        yield from _single_credential(("otlp",), ("authorization_file", "headers.authorization"))


def _single_credential(path: SettingPath, keys: Sequence[str]) -> Iterator[CrossFieldIssue]:
    """Yield an issue if more than one setting, with these keys below a path, has a credential."""
    if len(keys) > 1:
        message = f"{' and '.join(keys)} both set credentials"
        yield CrossFieldIssue((*path, *keys[0].split(".")), message, "keep one of them")


def read_section(settings: Settings) -> Iterator[CrossFieldIssue]:
    """Section `read` has one address and one credential."""
    path, read = ("read",), settings.read
    if read.address and (read.last9.cluster or read.last9.organization):
        yield CrossFieldIssue((*path, "address"), "is set, and `last9` too", "keep one of them")
    for present, missing in (("cluster", "organization"), ("organization", "cluster")):
        if getattr(read.last9, present) and not getattr(read.last9, missing):
            hint = f"set `{missing}` too, or `address`"
            yield CrossFieldIssue((*path, "last9", present), f"is set without {missing}", hint)
    keys = [key for key in ("password", "password_file") if getattr(read, key) is not None]
    if read.authorization_file is not None:
        others = ["username"] * bool(read.username) + keys
        yield from _single_credential(path, ["authorization_file", *others][:2])
    elif len(keys) > 1:
        yield _two_passwords(path)
    elif keys and not read.user:
        yield CrossFieldIssue((*path, keys[0]), "is set without username", "set `username` too")
    elif read.username and not keys:
        yield CrossFieldIssue((*path, "username"), "is set without password_file", "set `password_file` too")


def shadow_gates(settings: Settings) -> Iterator[CrossFieldIssue]:
    """Shadow gates have a template, a store to query, and derived series."""
    for index, gate in enumerate(settings.gates):
        if gate.template is None:
            yield CrossFieldIssue(("gates", index, "template"), "is not set", "write the file of an AnalysisTemplate")
    if settings.gates and not settings.read.url:
        yield CrossFieldIssue(("gates",), "there is no store to query", "set `read.address`, or `read.last9`")
    if settings.gates and not settings.series.derive:
        yield CrossFieldIssue(("gates",), "updates are unknown without derived series", "set `series.derive: true`")


def change_events(settings: Settings) -> Iterator[CrossFieldIssue]:
    """Change events have a refresh token, unless they are only logged."""
    last9 = settings.last9
    has_token = last9.refresh_token is not None or last9.refresh_token_file is not None
    if last9.change_events.enabled and not last9.change_events.dry_run and not has_token:
        hint = "set `last9.refresh_token_file`, or `last9.change_events.dry_run: true` to see them in the log"
        yield CrossFieldIssue(("last9", "change_events", "enabled"), "there is no refresh token", hint)


def webhooks(settings: Settings) -> Iterator[CrossFieldIssue]:
    """Every webhook has a unique name, and one URL."""
    names = [webhook.name for webhook in settings.webhooks]
    for index, webhook in enumerate(settings.webhooks):
        path = ("webhooks", index)
        if webhook.name in names[:index]:
            message = f"two webhooks are named {webhook.name!r}"
            yield CrossFieldIssue((*path, "name"), message, "set a unique `name` for each")
        if (webhook.url is None) == (webhook.url_file is None):
            yield CrossFieldIssue((*path, "url_file"), "there is not one URL", "set either `url_file` or `url`")


def other_signals(settings: Settings) -> Iterator[CrossFieldIssue]:
    """Log records and traces have an endpoint to go to."""
    for signal, is_on in (("logs", settings.otlp.logs), ("traces", settings.otlp.traces)):
        if is_on and settings.otlp.endpoint is None:
            yield CrossFieldIssue(("otlp", signal), "there is no endpoint", "set `otlp.endpoint`")


def endpoint_scheme(settings: Settings) -> Iterator[CrossFieldIssue]:
    """OTLP over HTTP needs a URL."""
    endpoint = settings.otlp.endpoint
    if endpoint and settings.otlp.protocol == "http/protobuf" and not endpoint.has_scheme:
        hint = f"write https://{endpoint.address} (http:// for plain text), or set `otlp.protocol: grpc`"
        yield CrossFieldIssue(("otlp", "endpoint"), "has no scheme", hint)


def unverified_grpc(settings: Settings) -> Iterator[CrossFieldIssue]:
    """OTLP over gRPC always verifies the server's certificate: grpcio has no option to skip it."""
    if settings.otlp.protocol == "grpc" and settings.otlp.tls.insecure_skip_verify:
        hint = "set the server's certificate in `otlp.tls.ca_file` and its name in `otlp.tls.server_name`"
        yield CrossFieldIssue(("otlp", "tls", "insecure_skip_verify"), "is not supported with grpc", hint)


def backoff(settings: Settings) -> Iterator[CrossFieldIssue]:
    """The first back-off is not longer than the longest."""
    retry = settings.otlp.retry
    if retry.initial > retry.longest:
        message = f"{retry.initial:g}s is longer than `longest`, {retry.longest:g}s"
        yield CrossFieldIssue(("otlp", "retry", "initial"), message, "shorten `initial`, or lengthen `longest`")


def cluster_attribute(settings: Settings) -> Iterator[CrossFieldIssue]:
    """Pushed series name their cluster, or omit it on purpose: otherwise equal rollouts of two clusters merge."""
    if settings.otlp.endpoint and not any(settings.attributes.get(key) for key in CLUSTER_ATTRIBUTES):
        message = "series are pushed without an attribute that names the cluster"
        hint = (
            "set `attributes: {k8s.cluster.name: <name>}`, "
            "or `attributes: {k8s.cluster.name: none}` if there is only one cluster"
        )
        yield CrossFieldIssue(("otlp", "endpoint"), message, hint)


def volatile_attributes(settings: Settings) -> Iterator[CrossFieldIssue]:
    """Identity attributes stay the same after a restart (a warning only)."""
    for key in _VOLATILE_ATTRIBUTES:
        if key in settings.identity():
            message = "changes with each restart or pod, and every series with it"
            yield CrossFieldIssue(("attributes", key), message, f"remove it, or set `attributes: {{{key}: none}}`")


def remote_write_endpoint(settings: Settings) -> Iterator[CrossFieldIssue]:
    """Points are not pushed over OTLP to a URL of Prometheus remote write, which has another protocol."""
    endpoint = settings.otlp.endpoint
    if endpoint and _REMOTE_WRITE.search(split_address(endpoint.address).path):
        hint = "write the endpoint for OTLP: at Last9 https://otlp.last9.io (Integrations > OpenTelemetry)"
        message = "is a URL of Prometheus remote write, which does not take OTLP"
        yield CrossFieldIssue(("otlp", "endpoint"), message, hint, "remote_write_endpoint")


def impossible_directory(settings: Settings) -> Iterator[CrossFieldIssue]:
    """The directory of the database can be one: no file is in its place, and it can hold files."""
    directory = settings.storage.directory
    if directory is None:
        return
    path, hint = ("storage", "directory"), "write an absolute path on a volume, such as /var/lib/rollouts-exporter"
    parents = (directory.absolute(), *directory.absolute().parents)
    kernel = next((parent for parent in _KERNEL_DIRECTORIES if parent in parents), None)
    if kernel is not None:
        yield CrossFieldIssue(path, f"{directory} is in {kernel}, which stores no files", hint, "impossible_directory")
    elif (blocking := next(filter(_is_no_directory, parents), None)) is not None:
        yield CrossFieldIssue(path, f"{blocking} is not a directory", hint, "impossible_directory")


def _is_no_directory(path: Path) -> bool:
    try:
        return path.exists() and not path.is_dir()
    except OSError:  # not for this user to see
        return False


def malformed_credentials(settings: Settings) -> Iterator[CrossFieldIssue]:
    """Each Authorization header has a form that a server can accept."""
    for path, value in _authorizations(settings):
        fault = credential_fault(value, 0.0)
        if fault is not None:
            yield CrossFieldIssue(path, fault.text, fault.hint, f"credential_{fault.name}")


def _authorizations(settings: Settings) -> Iterator[tuple[SettingPath, str]]:
    """Yield the Authorization headers of all settings; of files, those that can be read."""
    for path, value, _ in iter_settings(settings):
        if path[-1] == "authorization" and isinstance(value, SecretText):
            yield path, value.text
        elif path[-1] in {"authorization_file", "headers_file"} and value is not None:
            with suppress(OSError, ValueError):  # file_issues reports them
                text = SecretFile(value).read()
                header = text if path[-1] == "authorization_file" else decode_headers(text)[0].get("authorization")
                # file_issues reports a line break within it.
                yield from [(path, header)] if header and len(header.splitlines()) == 1 else []


def last9_credential(settings: Settings) -> Iterator[CrossFieldIssue]:
    """Last9 gets a credential, and one of basic authentication."""
    endpoint = settings.otlp.endpoint
    if endpoint is None or not matches_any(split_address(endpoint.address).hostname or "", _LAST9_HOSTS):
        return
    headers = [(path, value) for path, value in _authorizations(settings) if path[0] == "otlp"]
    hint = "set LAST9_AUTH_HEADER, or write `Basic …` into otlp.authorization_file (Integrations > OpenTelemetry)"
    otlp = settings.otlp
    if not (headers or otlp.headers or otlp.headers_file or otlp.authorization_file):
        yield CrossFieldIssue(("otlp", "endpoint"), "Last9 refuses points without a credential", hint, "no_credential")
    for path, value in headers:
        if not value.lower().startswith("basic ") and credential_fault(value, 0.0) is None:
            yield CrossFieldIssue(path, "is not `Basic `, which Last9 requires", hint, "credential_scheme")


def placeholders(settings: Settings) -> Iterator[CrossFieldIssue]:
    """No value is a placeholder, such as ${CLUSTER}: nothing replaces it."""
    for path, value, _ in iter_settings(settings):
        if path[-1] == "authorization" or path[0] == "gates":  # malformed_credentials; templates have their own
            continue
        match = next(filter(None, map(_PLACEHOLDER.search, _setting_texts(value))), None)
        if match is not None:
            text = "a placeholder" if isinstance(value, SecretText) else f"the placeholder {match[0].strip('/')}"
            hint = "write the value itself; variables of the environment set settings, and are not replaced in the file"
            yield CrossFieldIssue(path, f"has {text}, which nothing replaces", hint, "placeholder")


def _setting_texts(value: object) -> Sequence[str]:
    if isinstance(value, SecretText):
        return (value.text,)
    if isinstance(value, Endpoint):
        return (value.text,)
    if isinstance(value, tuple):
        return [text for text in value if isinstance(text, str)]
    return (str(value),) if isinstance(value, str | Path) else ()


def shared_targets(settings: Settings) -> Iterator[CrossFieldIssue]:
    """No target is under two sources, or under two installations."""
    users: dict[tuple[str, int, str], str] = {}
    for path, source in _enabled_sources(settings):
        targets = []
        with suppress(SettingError):  # target_labels reports it
            targets = list(parse_targets(source.targets, source.path))
        # Another query is another selection of the same page.
        addresses = ((target.host, target.port, target.path.partition("?")[0]) for target in targets)
        for address in dict.fromkeys(addresses):
            name = dotted(path, single_installation=len(settings.argo) == 1)
            other = users.setdefault(address, name)
            if other != name:
                message = f"{address[0]}:{address[1]} is a target of {other}, too"
                hint = f"remove it from one of the two: {_shared_hint(other, name)}"
                yield CrossFieldIssue((*path, "targets"), message, hint, "shared_target")


def _shared_hint(first: str, second: str) -> str:
    if first.startswith("argo") and second.startswith("argo"):
        return "the rollouts of one controller would belong to two installations"
    if first.startswith("argo"):
        return "controllers and kube-state-metrics are different components"
    return "custom-resource state in a kube-state-metrics that also shows pods drops these whenever a CRD changes"


def unwritable_directory(settings: Settings) -> Iterator[CrossFieldIssue]:
    """The directory of the database is writable, if it exists: what is checked may be for another machine."""
    directory = settings.storage.directory
    with suppress(OSError):
        if directory is not None and directory.is_dir() and not os.access(directory, os.W_OK | os.X_OK):
            hint = "check its owner and mode, and the pod's fsGroup"
            message = f"{directory} is not writable for this user"
            yield CrossFieldIssue(("storage", "directory"), message, hint, "unwritable_directory")


CHECKS: tuple[tuple[Callable[[Settings], Iterator[CrossFieldIssue]], frozenset[str]], ...] = (
    (installations, frozenset({"argo", "name", "targets"})),
    (target_labels, frozenset({"argo", "targets", "path"})),
    (timeouts, frozenset({"argo", "interval", "timeout", "targets"})),
    (intervals, frozenset({"argo", "interval", "targets"})),
    (certificates, frozenset({"cert_file", "key_file"})),
    (passwords, frozenset({"username", "password", "password_file"})),
    (single_credentials, frozenset({"headers"})),
    (read_section, frozenset({"address", "cluster", "organization", "username", "password", "password_file"})),
    (shadow_gates, frozenset({"gates", "template", "address", "cluster", "organization", "derive"})),
    (change_events, frozenset({"enabled", "dry_run", "refresh_token", "refresh_token_file"})),
    (webhooks, frozenset({"webhooks", "name", "url", "url_file"})),
    (other_signals, frozenset({"endpoint", "logs", "traces"})),
    (endpoint_scheme, frozenset({"endpoint", "protocol"})),
    (unverified_grpc, frozenset({"protocol", "insecure_skip_verify"})),
    (backoff, frozenset({"initial", "longest"})),
    (cluster_attribute, frozenset({"endpoint", "attributes", *CLUSTER_ATTRIBUTES})),
    (remote_write_endpoint, frozenset({"endpoint"})),
)
"""Each check, and the keys that it reads: a check is skipped if one of them already has an error."""

WARNINGS: tuple[Callable[[Settings], Iterator[CrossFieldIssue]], ...] = (
    volatile_attributes,
    malformed_credentials,
    last9_credential,
    placeholders,
    shared_targets,
    impossible_directory,
    unwritable_directory,
)
"""What works in some environment, or does no harm by itself: an exporter starts with it."""


def file_issues(settings: Settings) -> Iterator[CrossFieldIssue]:
    """Every file that a setting names can be read; a secret file has valid contents."""
    for path, value, field in iter_settings(settings):
        kind = field.format.kind
        if value is not None and kind in FILE_KINDS:
            problems = _secret_file_problems(str(path[-1]), value) if kind == "secret file" else _file_problems(value)
            yield from (CrossFieldIssue(path, message, hint) for message, hint in problems)


def _file_problems(file: Path) -> Iterator[MessageAndHint]:
    try:
        # Files are opened, since only that shows whether their permissions suffice.
        file.open("rb").close()
    except (OSError, ValueError) as error:
        message, _ = os_error_issue(error)
        if _is_surely_path(file):
            yield f"{file} {message}", "check the path, and that the file is mounted and readable"
        else:
            yield _SECRET_AS_PATH


def _is_surely_path(file: Path) -> bool:
    """Return whether a path may be shown: a token may begin with a slash, but not with a directory that exists."""
    try:
        is_deep = file.is_absolute() and len(file.parents) > 1
        return is_deep and (bool(_PLAIN_PATH.fullmatch(str(file))) or file.parents[-2].is_dir())
    except (OSError, ValueError):
        return False


def _secret_file_problems(key: str, file: Path) -> Iterator[MessageAndHint]:
    try:
        text = SecretFile(file).read()
    except OSError:
        yield from _file_problems(file)
    except ValueError as error:
        yield str(error), "write the secret as text"
    else:
        yield from ((f"{file}: {message}", hint) for message, hint in _secret_problems(key, text))


def _secret_problems(key: str, text: str) -> Iterator[MessageAndHint]:
    if not text:
        yield "is empty", "write the secret into it"
    elif key == "headers_file":
        _, invalid_values, invalid_items = decode_headers(text)
        yield from (*invalid_values, *invalid_items)
    elif key != "password_file":
        try:
            check_header_value(text)
        except SettingError as error:
            yield str(error), error.hint
