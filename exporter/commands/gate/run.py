"""Tries a gate against the real endpoint, as the controller would: now, or at times that are over."""

from __future__ import annotations

import os
import re
import time
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from exporter.commands.gate_file import Gate, GateError, with_address
from exporter.config.section import ClientTls
from exporter.config.values import seconds
from exporter.gate.arguments import resolved
from exporter.gate.asking import Store
from exporter.gate.assessment import Plan, planned
from exporter.gate.provider import ADDRESS_VARIABLE, TIMEOUT
from exporter.gate.read import ReadEndpoint, basic
from exporter.gate.refusal import Cures
from exporter.gate.trial import Past, Present, attempt
from exporter.gate.versions import pruned
from exporter.otlp.destination import proxy
from exporter.trust import Trust

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from exporter.gate.controller import Controller
    from exporter.gate.simulation import Simulation
    from exporter.gate.status import Status
    from exporter.gate.template import Metric, Prometheus
    from exporter.gate.trial import Clock, See

CURES: Final = Cures(
    address="provider.prometheus.address",
    credential="provider.prometheus.headers",
    tls="provider.prometheus.insecure",
    timeout="provider.prometheus.timeout",
)
A_DAY: Final = 86_400.0


@dataclass(frozen=True, slots=True)
class Times:
    """When a gate is tried: now, `speed` times as fast; or from `start` on, and again every `step` seconds until `end`.

    `longest` is after how many seconds it is terminated, None: when it ends by itself.
    """

    start: float | None = None
    end: float | None = None
    step: float | None = None
    speed: float = 1.0
    longest: float | None = None

    def starts(self) -> tuple[float, ...]:
        """Return the past times at which it is tried, none for now."""
        if self.start is None:
            return ()
        if self.end is None or self.step is None:
            return (self.start,)
        many = int((self.end - self.start) // self.step) + 1
        return tuple(self.start + place * self.step for place in range(max(many, 1)))


def moment(text: str) -> float:
    """Read a time: RFC 3339, Unix seconds, or so long ago, such as -2h. Raises ValueError."""
    if re.fullmatch(r"[0-9]+(\.[0-9]+)?", text):
        return float(text)
    if text.startswith("-"):
        return time.time() - float(str(seconds(text[1:])))
    found = datetime.fromisoformat(text)
    if found.tzinfo is None:
        raise ValueError(f"{text!r} has no time zone; write {text}Z for UTC")
    return found.timestamp()


def prepared(gate: Gate, controller: Controller) -> tuple[Gate, Plan | Status]:
    """Return the gate with the controller's address in place, and its plan. Raises UnsupportedError."""
    gate = Gate(gate.name, with_address(gate.spec, os.environ.get(ADDRESS_VARIABLE, "")), gate.secrets)
    return gate, planned(gate.spec, controller)


async def trials(
    gate: Gate, plan: Plan, controller: Controller, times: Times, see: See
) -> AsyncIterator[tuple[float, Simulation]]:
    """Yield each trial's start and end. Raises GateError, and UnsupportedError for a condition not judged here."""
    metrics = _with_secrets(gate, plan, controller)
    endpoints = {name: endpoint(metric.prometheus) for name, metric in metrics.items() if metric.prometheus}
    starts = times.starts()
    async with Store(metrics, endpoints, controller, live=not starts) as store:
        for start in starts or (time.time(),):
            clock: Clock = Past(start) if starts else Present(times.speed)
            longest = A_DAY if starts and times.longest is None else times.longest
            yield start, await attempt(plan, store.ask, clock, see, longest)


def _with_secrets(gate: Gate, plan: Plan, controller: Controller) -> Mapping[str, Metric]:
    values = {one.name: gate.secrets.get(one.name, one.value) for one in gate.spec.args}
    whole = (resolved(pruned(metric, controller), values) for metric in gate.spec.metrics)
    return {plain.name: metric for plain, metric in zip(plan.metrics, whole, strict=True)}


def endpoint(asked: Prometheus) -> ReadEndpoint:
    """Return where a metric is asked, and with which proof. Raises GateError for a proof that cannot be made here."""
    proof = asked.authentication
    if proof.oauth2.token_url:
        raise GateError("authentication.oauth2 is not made here; try the gate with a token in headers")
    if proof.sigv4.region or proof.sigv4.role_arn or proof.sigv4.profile:
        raise GateError("authentication.sigv4 is not made here; try the gate through a proxy that signs")
    parts = urlsplit(asked.address)
    headers = {header.key: header.value.strip() for header in asked.headers}
    if not any(name.lower() == "authorization" for name in headers):
        username, password = proof.basic_auth.username or parts.username, proof.basic_auth.password or parts.password
        headers |= {"Authorization": basic(username, password or "")} if username else {}
    return ReadEndpoint(
        address=parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl(),
        headers=headers,
        trust=Trust(ClientTls(insecure_skip_verify=asked.insecure)) if parts.scheme == "https" else None,
        timeout=TIMEOUT if asked.timeout is None else asked.timeout,
        proxy=proxy(parts.scheme, parts.hostname or "") if parts.hostname else None,
        cures=CURES,
    )
