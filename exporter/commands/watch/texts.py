"""A rollout in a few words: step, share, versions, pods, phase."""

from __future__ import annotations

from typing import TYPE_CHECKING

from exporter.commands.rollout_source import step_place
from exporter.commands.watch.state import is_away, set_weight, urgency
from exporter.durations import duration as duration_text
from exporter.rollouts.events.wording import image_texts
from exporter.rollouts.explain.words import percent
from exporter.web.model import Urgency

if TYPE_CHECKING:
    from collections.abc import Iterator

    from exporter.commands.rollout_source import RolloutObject


def phase_text(rollout: RolloutObject, now: float) -> str:
    """Return the phase and the time in it, or how long no controller has shown the rollout."""
    phase, since = rollout["phase"] or "unknown", rollout["phase_since"]
    if is_away(rollout) and rollout["last_seen"]:
        return f"{phase}, seen {duration_text(now - rollout['last_seen'])} ago"
    return f"{phase} {duration_text(now - since)}" if since and rollout["phase"] else phase


def step_text(rollout: RolloutObject) -> str:
    """Return the step, counted from 1, or where the update stopped; "" without one."""
    place = step_place(rollout)
    if not place:
        return ""
    return f"step {place[0]} of {place[1]}{'' if rollout['stopped_at'] is None else ', stopped'}"


def has_share(rollout: RolloutObject) -> bool:
    """Return whether the canary's share has a meaning: of a canary that is not at rest."""
    return rollout["fraction"] is not None and urgency(rollout) is not Urgency.REST


def share_text(rollout: RolloutObject) -> str:
    """Return the canary's share, and the weight that is set if it is another one; "" if there is none."""
    if not has_share(rollout):
        return ""
    share, weight = rollout["fraction"]["best"], set_weight(rollout)
    text = "unknown" if share is None else percent(share)
    is_equal = weight is None or percent(weight) == text
    return f"canary {text}" if is_equal or weight is None else f"canary {text}, set {percent(weight)}"


def pods_text(rollout: RolloutObject) -> str:
    """Return the pods by role, with how many of them are ready where that is known and not all; "" without pods."""
    pods, ready = rollout["pods"], rollout.get("pods_ready") or {}
    counts = [
        f"{count} {role}{f' ({ready[role]} ready)' if ready.get(role, count) != count else ''}"
        for role, count in (pods or {}).items()
    ]
    return f"pods {', '.join(counts)}" if counts else ""


def facts(rollout: RolloutObject) -> Iterator[str]:
    """Yield step, share, versions and pods, as far as there are any."""
    texts = (step_text(rollout), share_text(rollout), image_texts(rollout), pods_text(rollout))
    return filter(None, texts)
