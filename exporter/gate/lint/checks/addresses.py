"""Addresses that are rejected, that expose a credential, or that do not serve queries."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final
from urllib.parse import SplitResult, urlsplit

from exporter.gate.lint.inputs import rows

if TYPE_CHECKING:
    from collections.abc import Iterator

    from exporter.gate.lint.findings import Issue
    from exporter.gate.lint.inputs import LintInput, MetricView

ADDRESS: Final = ("provider", "prometheus", "address")
TIMEOUT: Final = ("provider", "prometheus", "timeout")
INSECURE: Final = ("provider", "prometheus", "insecure")
READ_URL: Final = "https://read-app-tsdb.last9.io/hot/v1/metrics/<cluster>/sender/<org>"
MAX_TIMEOUT: Final = 600
"""Seconds; a larger number was probably meant as milliseconds."""
_API_PATH: Final = re.compile(r"/api/v1(/(query|query_range|query_exemplars|series|labels|metadata))?/*$")
_READ_PATH: Final = re.compile(r"^/[a-z]+/v1/metrics/[^/]+/sender/[^/]+/?$")
_CLUSTER_SUFFIXES: Final = (".svc", ".local", ".internal", ".localhost")
_IP_OR_SERVICE: Final = re.compile(r"[\d.]+|[^.]+\.[^.]+")
"""An IPv4 address, or service.namespace: within a cluster, where plain HTTP is usual."""


def check_scheme(lint_input: LintInput) -> Iterator[Issue]:
    """Report addresses that the controller does not accept as a URL."""
    for metric in lint_input.prometheus_metrics:
        address, url = metric.text(*ADDRESS), _parse(metric)
        if address and "{{" not in address and not (url and url.scheme and url.netloc):
            reason = "the address has no scheme or no host: every measurement is an Error"
            yield metric.issue(ADDRESS, reason, "start it with https:// or http://")


def check_credential(lint_input: LintInput) -> Iterator[Issue]:
    """Report user and password in an address."""
    for metric, url in _urls(lint_input):
        if "@" in url.netloc:
            reason = "the address contains a credential, which everyone who may read AnalysisRuns can see"
            yield metric.issue(ADDRESS, reason, "remove it, and send it in the header Authorization, from a Secret")


def check_api_path(lint_input: LintInput) -> Iterator[Issue]:
    """Report addresses that end in /api/v1/query, which the controller appends."""
    for metric, url in _urls(lint_input):
        match = _API_PATH.search(url.path)
        if match:
            reason = f"the controller appends /api/v1/query to the address, which already ends in {match[0]}"
            yield metric.issue(ADDRESS, reason, "end the address before /api")


def check_query_part(lint_input: LintInput) -> Iterator[Issue]:
    """Report addresses with a query or a fragment."""
    for metric, url in _urls(lint_input):
        if url.query or url.fragment:
            reason = "the address contains ? or #: the controller replaces what follows with its own path and query"
            yield metric.issue(ADDRESS, reason, "end the address with its path")


def check_last9(lint_input: LintInput) -> Iterator[Issue]:
    """Report addresses at Last9 that are not a cluster's Read URL."""
    for metric, url in _urls(lint_input):
        host = url.hostname or ""
        if host.endswith("last9.io") and not _API_PATH.search(url.path):
            is_read_url = host.startswith("read-") and (_READ_PATH.match(url.path) or "{{" in url.path)
            if not is_read_url:
                reason = f"{host}{url.path} is not an address at which Last9 serves queries"
                hint = f"use the cluster's Read URL (Cluster > Settings > Read Data): {READ_URL}"
                yield metric.issue(ADDRESS, reason, hint)


def check_missing(lint_input: LintInput) -> Iterator[Issue]:
    """Report gates that leave the address to a variable of the controller."""
    for metric in lint_input.prometheus_metrics:
        if not metric.raw(*ADDRESS):
            reason = "there is no address: the controller uses its own ARGO_ROLLOUTS_PROMETHEUS_ADDRESS, if it is set"
            yield metric.issue(ADDRESS, reason, "set the address")


def check_plain_http(lint_input: LintInput) -> Iterator[Issue]:
    """Report credentials that are sent unencrypted out of the cluster."""
    for metric, url in _urls(lint_input):
        host = url.hostname or ""
        is_outside = "." in host and not host.endswith(_CLUSTER_SUFFIXES) and not _IP_OR_SERVICE.fullmatch(host)
        if url.scheme == "http" and (is_outside or host.endswith("last9.io")) and sends_credential(metric):
            yield metric.issue(ADDRESS, f"the credential is sent unencrypted to {host}", "use https://")


def check_no_credential(lint_input: LintInput) -> Iterator[Issue]:
    """Report gates that query Last9 without a credential."""
    for metric, url in _urls(lint_input):
        is_last9 = (url.hostname or "").endswith("last9.io")
        if is_last9 and "@" not in url.netloc and not sends_credential(metric):
            reason = "Last9 requires a credential: every measurement is an Error (401)"
            hint = "send the header Authorization with the value '{{args.NAME}}', from a Secret that contains 'Basic …'"
            yield metric.issue(ADDRESS, reason, hint)


def check_insecure(lint_input: LintInput) -> Iterator[Issue]:
    """Report TLS without verification of the certificate."""
    for metric in lint_input.prometheus_metrics:
        if metric.raw(*INSECURE) is True:
            reason = "insecure: true does not verify the certificate: the credential goes to whichever server responds"
            hint = "remove it; if the certificate is signed by your own CA, mount that CA in the controller"
            yield metric.issue(INSECURE, reason, hint)


def check_timeout(lint_input: LintInput) -> Iterator[Issue]:
    """Report timeouts that are rejected, that expire at once, or that are probably milliseconds."""
    for metric in lint_input.prometheus_metrics:
        value = metric.raw(*TIMEOUT)
        if value is None:
            continue
        if not isinstance(value, int) or isinstance(value, bool):
            reason = "timeout must be a whole number of seconds: the API server rejects the object"
        elif value <= 0:
            reason = f"timeout {value} expires at once: every measurement is an Error"
        elif value > MAX_TIMEOUT:
            reason = f"timeout {value} is {value // 60} minutes (it is in seconds): one slow query can block the run"
        else:
            continue
        yield metric.issue(TIMEOUT, reason, "write 30")


def sends_credential(metric: MetricView) -> bool:
    """Return whether a metric sends any credential."""
    headers = metric.raw("provider", "prometheus", "headers")
    names = {str(row.get("key", "")).lower() for row in rows(headers)}
    return bool(metric.raw("provider", "prometheus", "authentication")) or "authorization" in names


def _urls(lint_input: LintInput) -> Iterator[tuple[MetricView, SplitResult]]:
    """Yield the metrics whose address can be parsed, with the literal values of arguments in place."""
    return ((metric, url) for metric in lint_input.prometheus_metrics if (url := _parse(metric)))


def _parse(metric: MetricView) -> SplitResult | None:
    try:
        url = urlsplit(metric.text(*ADDRESS))
        url.port  # noqa: B018 - raises for a port that is not a number
    except ValueError:
        return None
    return url if metric.text(*ADDRESS) else None
