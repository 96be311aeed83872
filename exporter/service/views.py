"""The fleet as a picture for people: plain values for /api/rollouts, the status page and `explain`."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from exporter.web.views import RolloutRow, TargetRow

if TYPE_CHECKING:
    from exporter.rollouts.inference.join import Rollout
    from exporter.rollouts.output.targets import Target


def rollout(one: Rollout, seen: float) -> dict[str, Any]:
    """Return all that is known of a rollout, by which evidence, as JSON values; `seen`: when it was shown last."""
    life, reading = one.life, one.sighting.reading
    return {
        "namespace": one.key[0],
        "name": one.key[1],
        "strategy": life.strategy,
        "phase": reading.phase if reading is not None else None,
        "phase_since": life.phases.start,
        "standing": life.standing.value,
        "evidence": life.evidence,
        "update": {"kind": life.update.kind, "since": life.update.since} if life.update is not None else None,
        "controller": life.process.target,
        "last_seen": seen,
        "router": life.router,
        "revisions": {"wanted": life.hashes.current, "stable": life.hashes.stable},
        "replicas": _replicas(one),
        "fraction": _fraction(one),
        "pods": dict(Counter(role.value for _, role in one.roles)) if one.sighting.workload is not None else None,
        "updates": {str(result): count for result, count in life.results.items()},
        "unknown": list(one.unknown),
    }


def _replicas(one: Rollout) -> dict[str, float] | None:
    reading = one.sighting.reading
    if reading is None or reading.replicas is None:
        return None
    replicas = reading.replicas
    return {
        "desired": replicas.desired,
        "updated": replicas.updated,
        "available": replicas.available,
        "unavailable": replicas.unavailable,
    }


def _fraction(one: Rollout) -> dict[str, Any] | None:
    if one.fraction is None:
        return None
    found = one.fraction
    return {"best": found.best, "method": found.method, "why": found.why, "estimates": dict(found.estimates)}


def rollout_row(one: Rollout) -> RolloutRow:
    """Return a rollout's row of the status page."""
    reading, fraction = one.sighting.reading, one.fraction
    return RolloutRow(
        namespace=one.key[0],
        name=one.key[1],
        phase=reading.phase if reading is not None else "",
        strategy=one.life.strategy,
        fraction=fraction.best if fraction is not None else None,
        method=fraction.method if fraction is not None else "",
        updating={"settled": False, "aborted": False, "updating": True}.get(one.life.standing.value),
        unknown=one.unknown,
    )


def target_row(one: Target, now: float) -> TargetRow:
    """Return a target's row of the status page."""
    page = one.page
    state = one.verdict.value if one.verdict is not None else "down" if page.failure is not None else "up"
    return TargetRow(
        source=page.source.value,
        address=page.target,
        state=state,
        installation=page.installation,
        age=None if one.good is None else max(now - one.good, 0.0),
        trouble=page.failure.message if page.failure is not None else "",
    )
