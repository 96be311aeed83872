"""Where a gate asks: addresses that are refused, that leak, or that answer nobody."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final
from urllib.parse import SplitResult, urlsplit

from exporter.gate.lint.inputs import rows

if TYPE_CHECKING:
    from collections.abc import Iterator

    from exporter.gate.lint.finding import Spot
    from exporter.gate.lint.inputs import Gates, Metric
    from exporter.gate.lint.manifest import Path

ADDRESS: Final = ("provider", "prometheus", "address")
READ_URL: Final = "https://read-app-tsdb.last9.io/hot/v1/metrics/<cluster>/sender/<org>"
LONGEST_TIMEOUT: Final = 600
_API: Final = re.compile(r"/api/v1(/(query|query_range|query_exemplars|series|labels|metadata))?/*$")
_READ_PATH: Final = re.compile(r"^/[a-z]+/v1/metrics/[^/]+/sender/[^/]+/?$")
_INSIDE: Final = (".svc", ".local", ".internal", ".localhost")


def scheme(gates: Gates) -> Iterator[Spot]:
    """Find addresses that the controller takes for none."""
    for metric, address in _addresses(gates):
        parts = _parts(address)
        if "{{" not in address and not (parts and parts.scheme and parts.netloc):
            yield metric.spot(
                ADDRESS,
                "the address has no scheme or no host: every measurement becomes Error",
                "begin it with https:// or http://",
            )


def credentials(gates: Gates) -> Iterator[Spot]:
    """Find user and password inside of an address."""
    for metric, address in _addresses(gates):
        parts = _parts(address)
        if parts and "@" in parts.netloc:
            yield metric.spot(
                ADDRESS,
                "the address holds a credential, which every AnalysisRun made from it shows to whoever may read runs",
                "take it out; send it as header Authorization from a Secret",
            )


def api_path(gates: Gates) -> Iterator[Spot]:
    """Find addresses to which /api/v1/query was appended: the controller does that."""
    for metric, address in _addresses(gates):
        parts = _parts(address)
        doubled = _API.search(parts.path) if parts else None
        if doubled is not None:
            yield metric.spot(
                ADDRESS,
                f"the controller appends /api/v1/query, and {doubled[0]} is there already",
                "end the address before /api",
            )


def query_part(gates: Gates) -> Iterator[Spot]:
    """Find addresses with a query or a fragment: what is appended lands behind it."""
    for metric, address in _addresses(gates):
        parts = _parts(address)
        if parts and (parts.query or parts.fragment):
            yield metric.spot(
                ADDRESS,
                "the address holds ? or #; the controller's own path and query replace what follows",
                "end the address with its path",
            )


def last9(gates: Gates) -> Iterator[Spot]:
    """Find addresses at Last9 that are not a cluster's Read URL."""
    for metric, address in _addresses(gates):
        parts = _parts(address)
        host = parts.hostname or "" if parts else ""
        if parts and host.endswith("last9.io") and not _API.search(parts.path):
            reads = host.startswith("read-") and (_READ_PATH.match(parts.path) or "{{" in parts.path)
            if not reads:
                yield metric.spot(
                    ADDRESS,
                    f"{host}{parts.path} is no address that Last9 is known to answer queries at",
                    f"take the cluster's Read URL (Cluster > Settings > Read Data): {READ_URL}",
                )


def missing(gates: Gates) -> Iterator[Spot]:
    """Find gates that leave the address to a variable of the controller."""
    for metric in gates.prometheus:
        if not metric.raw(*ADDRESS):
            yield metric.spot(
                ADDRESS,
                "without an address the controller asks its own ARGO_ROLLOUTS_PROMETHEUS_ADDRESS, or nobody",
                "name the address",
            )


def plain_http(gates: Gates) -> Iterator[Spot]:
    """Find credentials that travel unencrypted out of the cluster."""
    for metric, address in _addresses(gates):
        parts = _parts(address)
        host = (parts.hostname or "") if parts else ""
        outside = "." in host and not host.endswith(_INSIDE) and not re.fullmatch(r"[\d.]+|[^.]+\.[^.]+", host)
        if parts and parts.scheme == "http" and (outside or host.endswith("last9.io")) and proven(metric):
            yield metric.spot(ADDRESS, f"the credential travels unencrypted to {host}", "write https://")


def unproven(gates: Gates) -> Iterator[Spot]:
    """Find gates that ask Last9 without a credential."""
    for metric, address in _addresses(gates):
        parts = _parts(address)
        if parts and (parts.hostname or "").endswith("last9.io") and "@" not in parts.netloc and not proven(metric):
            yield metric.spot(
                ADDRESS,
                "Last9 answers nobody without a credential: every measurement becomes Error (401)",
                "send header Authorization with the value '{{args.NAME}}', from a Secret that holds 'Basic …'",
            )


def insecure(gates: Gates) -> Iterator[Spot]:
    """Find TLS without a look at the certificate."""
    for metric in gates.prometheus:
        if metric.raw("provider", "prometheus", "insecure") is True:
            yield metric.spot(
                ("provider", "prometheus", "insecure"),
                "insecure: true sends the credential to whoever answers",
                "leave it out; if the certificate is your own, mount its CA in the controller",
            )


def timeout(gates: Gates) -> Iterator[Spot]:
    """Find timeouts that are refused, that have passed at once, or that were meant as milliseconds."""
    place: Path = ("provider", "prometheus", "timeout")
    for metric in gates.prometheus:
        value = metric.raw(*place)
        if value is None:
            continue
        if not isinstance(value, int) or isinstance(value, bool):
            yield metric.spot(place, "timeout must be a whole number of seconds: the API server refuses it", "write 30")
        elif value <= 0:
            yield metric.spot(place, f"timeout {value} is over at once: every measurement becomes Error", "write 30")
        elif value > LONGEST_TIMEOUT:
            why = f"timeout {value} is {value // 60} minutes (it counts seconds), for which a run hangs on one query"
            yield metric.spot(place, why, "write 30")


def proven(metric: Metric) -> bool:
    """Say whether a metric sends any credential."""
    headers = metric.raw("provider", "prometheus", "headers")
    keys = {str(row.get("key", "")).lower() for row in rows(headers)}
    return bool(metric.raw("provider", "prometheus", "authentication")) or "authorization" in keys


def _addresses(gates: Gates) -> Iterator[tuple[Metric, str]]:
    """Return the addresses that are written, arguments in place as far as they are known."""
    return ((metric, text) for metric in gates.prometheus if (text := metric.text(*ADDRESS)))


def _parts(address: str) -> SplitResult | None:
    try:
        parts = urlsplit(address)
        parts.port  # noqa: B018 - a port that is none raises
    except ValueError:
        return None
    return parts
