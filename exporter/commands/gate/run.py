"""Tries a gate against the real endpoint, as the controller would: now, or at times that are over."""

from __future__ import annotations

import json
import os
import re
import time
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from rich.console import Console

from exporter import log
from exporter.commands.gate import display
from exporter.commands.gate.load import Gate, GateError, load, with_address
from exporter.config.section import ClientTlsSection
from exporter.config.values import parse_duration
from exporter.gate import explanation
from exporter.gate.analysis_run import Plan, Status, as_json, planned
from exporter.gate.arguments import resolved
from exporter.gate.expr import UnsupportedError
from exporter.gate.metric_provider import Store
from exporter.gate.provider import ADDRESS_VARIABLE, TIMEOUT
from exporter.gate.runner import Past, Present, attempt
from exporter.gate.simulation import Simulation
from exporter.gate.validation import pruned
from exporter.net.auth import basic_auth
from exporter.net.http import environment_proxy
from exporter.net.prometheus_api import PrometheusEndpoint
from exporter.net.prometheus_response import Hints
from exporter.net.tls import ClientTlsLoader

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from exporter.commands.gate.load import Given
    from exporter.gate.analysis_run import Plan
    from exporter.gate.controller import Controller
    from exporter.gate.runner import Clock, See
    from exporter.gate.template import Metric, Prometheus


CURES: Final = Hints(
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
        return time.time() - float(str(parse_duration(text[1:])))
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


def endpoint(asked: Prometheus) -> PrometheusEndpoint:
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
        headers |= {"Authorization": basic_auth(username, password or "")} if username else {}
    return PrometheusEndpoint(
        address=parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl(),
        headers=headers,
        tls=ClientTlsLoader(ClientTlsSection(insecure_skip_verify=asked.insecure)) if parts.scheme == "https" else None,
        timeout=TIMEOUT if asked.timeout is None else asked.timeout,
        proxy=environment_proxy(parts.scheme, parts.hostname or "") if parts.hostname else None,
        hints=CURES,
    )


# `gate run` from its options to its exit code.


# rooms


@dataclass(frozen=True, slots=True)
class Wish:
    """What the command line wants: the controller, the times, and what is printed."""

    controller: Controller
    as_json: bool = False
    explain: bool = False
    speed: float = 1.0
    start: float | None = None
    end: float | None = None
    step: float | None = None
    longest: float | None = None

    @property
    def times(self) -> Times:
        """Return when the gate is tried. Raises GateError for times that do not go together."""
        if (self.end is None) != (self.step is None) or (self.end is not None and self.start is None):
            raise GateError("--at, --until and --every go together")
        return Times(self.start, self.end, self.step, self.speed, self.longest)


async def play(given: Given, wish: Wish) -> int:
    """Try a gate, print what comes of it, and return the exit code: the worst of several tries. Raises GateError."""
    try:
        gate, plan = prepared(load(given, need_secrets=True), wish.controller)
        if isinstance(plan, Status):
            return conclude(Simulation(plan), wish)
        many = len(wish.times.starts()) > 1
        return await (_several if many else _single)(gate, plan, wish)
    except UnsupportedError as error:
        raise unsupported(error) from None


async def _single(gate: Gate, plan: Plan, wish: Wish) -> int:
    with display.Show(Console(stderr=wish.as_json), plan) as show:
        (done,) = [done async for _, done in trials(gate, plan, wish.controller, wish.times, show.see)]
    return conclude(done, wish)


async def _several(gate: Gate, plan: Plan, wish: Wish) -> int:
    code = 0
    async for start, done in trials(gate, plan, wish.controller, wish.times, _silent):
        code = max(code, display.code(done.status), key=WORST.index)
        _tell(start, done, wish)
    return code


WORST = (0, display.UNDECIDED, 3, 2, 1)
"""Exit codes from good to bad."""


def _silent(*_: object) -> None:
    pass


def _tell(start: float, done: Simulation, wish: Wish) -> None:
    if wish.as_json:
        print(json.dumps({"at": start, "status": as_json(done.status)}))  # noqa: T201 - one object a try
        return
    status = done.status
    counted = "; ".join(f"{one.name} {one.counts.successful} of {one.counts.count}" for one in status.results)
    said = log.REDACTOR.redact(status.message)
    print(f"{display.at(start)} {status.phase}{counted and f' ({counted})'}{said and f': {said}'}")  # noqa: T201


def conclude(done: Simulation, wish: Wish) -> int:
    """Print the end of a run, and return its exit code."""
    if wish.as_json:
        document = as_json(done.status)
        if wish.explain:
            document["explanations"] = [explanation.as_json(one) for one in done.told]
        lines = [json.dumps(document, sort_keys=True)]
    else:
        lines = [*(display.explained(done.told) if wish.explain else ()), *display.verdict(done.status)]
    for line in lines:
        print(log.REDACTOR.redact(line))  # noqa: T201
    return display.code(done.status)


def unsupported(error: UnsupportedError) -> GateError:
    """Return the refusal of a condition that cannot be judged here."""
    return GateError(f"it cannot be judged here, only by the controller: {error.message}")
