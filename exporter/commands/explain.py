"""One rollout in plain words: its state, the evidence, and how the canary fraction came about."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from aiohttp import ClientError, ClientSession, ClientTimeout

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_TIMEOUT: Final = 10.0
_STANDING: Final = {
    "settled": "no update is under way",
    "updating": "an update is under way",
    "aborted": "the update was aborted, and the wanted revision is not served",
    "unknown": "it is not known whether an update is under way",
}
_METHODS: Final = {
    "weight": "weight: what the controller set on the router",
    "ready_pods": "ready_pods: ready canary pods per ready canary and stable pods",
    "pods": "pods: updated per available and unavailable replicas, the controller's gauges",
    "replicas": "replicas: updated per desired replicas, at most 1",
}
_UNKNOWN: Final = {
    "no_leader": "no controller that leads shows it at present",
    "not_shown": "the controller that leads does not show it, but that does not prove yet that it is gone",
    "update": "it was first seen in the middle of something; the next event or phase will tell",
    "fraction": "no method can compute the canary's share now",
    "pods": "kube-state-metrics does not show its pods, or not all of them",
    "roles": "nothing tells which revision its pods belong to: it was first seen in the middle of an update, or the "
    "revision annotation of ReplicaSets is not allow-listed",
    "phase": "the controller names a phase that this exporter does not know",
}


class ExplainError(Exception):
    """Why nothing can be explained; the message names the cure."""


async def fetch(address: str) -> list[Mapping[str, Any]]:
    """Ask a running exporter for its rollouts. Raises ExplainError."""
    url = f"{address if '://' in address else f'http://{address}'}".rstrip("/") + "/api/rollouts"
    try:
        async with ClientSession(timeout=ClientTimeout(total=_TIMEOUT)) as session, session.get(url) as response:
            if response.status != 200:  # noqa: PLR2004 - HTTP's own number
                raise ExplainError(f"{url} answers {response.status}; is it a rollouts-exporter? check --address")
            answer = await response.json()
    except (ClientError, TimeoutError, OSError, json.JSONDecodeError) as error:
        raise ExplainError(f"{url} does not answer ({error}); check --address, or name a recording") from None
    found: list[Mapping[str, Any]] = answer["rollouts"]
    return found


def find(rollouts: list[Mapping[str, Any]], wanted: str) -> Mapping[str, Any]:
    """Return the rollout NAMESPACE/NAME. Raises ExplainError with the names there are."""
    for one in rollouts:
        if f"{one['namespace']}/{one['name']}" == wanted:
            return one
    names = ", ".join(f"{one['namespace']}/{one['name']}" for one in rollouts) or "none"
    raise ExplainError(f"no rollout {wanted} is known; there are: {names}")


def explain(one: Mapping[str, Any]) -> Iterator[str]:
    """Say a rollout, as /api/rollouts gives it, in plain words, a line at a time."""
    yield f"{one['namespace']}/{one['name']} ({one['strategy'] or 'strategy unknown'})"
    yield from _state(one)
    yield from _revisions(one)
    yield from _fraction(one)
    for reason in one["unknown"]:
        yield f"  not known ({reason}): {_UNKNOWN.get(reason, reason)}"


def _state(one: Mapping[str, Any]) -> Iterator[str]:
    phase = one["phase"]
    if phase is None:
        yield f"  phase: not said since {_when(one['last_seen'])}, when {one['controller']} showed it last"
    else:
        yield f"  phase: {phase} since {_when(one['phase_since'])}, says the controller at {one['controller']}"
    yield f"  standing: {_STANDING[one['standing']]} (evidence: {one['evidence']})"
    update = one["update"]
    if update is not None:
        since = "before it was first seen" if update["since"] is None else _when(update["since"])
        yield f"  update: {update['kind']}, since {since}"
    ended = ", ".join(f"{count} {result}" for result, count in one["updates"].items())
    yield f"  updates that ended since it was first seen: {ended or 'none'}"


def _revisions(one: Mapping[str, Any]) -> Iterator[str]:
    revisions = one["revisions"]
    yield f"  revisions: wanted {revisions['wanted'] or 'unknown'}, stable {revisions['stable'] or 'unknown'}"
    if one["replicas"] is not None:
        yield "  replicas: " + ", ".join(f"{count:g} {state}" for state, count in one["replicas"].items())
    if one["pods"] is not None:
        yield "  pods: " + (", ".join(f"{count} {role}" for role, count in one["pods"].items()) or "none")


def _fraction(one: Mapping[str, Any]) -> Iterator[str]:
    fraction = one["fraction"]
    if fraction is None:
        yield "  canary fraction: none, for this strategy has no canary, or no controller shows it"
        return
    best = "unknown" if fraction["best"] is None else f"{fraction['best']:.3g} by {fraction['method']}"
    yield f"  canary fraction: {best}: {fraction['why']}"
    yield f"  traffic router: {'yes' if one['router'] else 'none known'}"
    for method, words in _METHODS.items():
        value = fraction["estimates"].get(method)
        yield f"    {words}: {'cannot be computed' if value is None else f'{value:.3g}'}"


def _when(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
