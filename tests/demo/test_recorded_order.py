"""The simulated controller does what real ones did: the actions of a recording, played on its specs."""

from __future__ import annotations

import json
from itertools import groupby
from typing import TYPE_CHECKING, Any, Final

import pytest

from exporter.demo.simulator.cluster import SimulatedCluster
from exporter.demo.simulator.objects import (
    BlueGreenStrategy,
    CanaryStrategy,
    ObjectKey,
    Pause,
    RolloutSpec,
    SetCanaryScale,
    SetWeight,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from exporter.demo.simulator.objects import CanaryStep
    from exporter.metrics import ScrapeResult
    from tests.recorded import Recordings

EVENTS: Final = (
    "NewReplicaSetCreated",
    "RolloutAborted",
    "RolloutCompleted",
    "RolloutPaused",
    "RolloutResumed",
    "RolloutStepCompleted",
    "RolloutUpdated",
    "SkipSteps",
)
SETTLE_SECONDS: Final = 8.0
FRAME_SECONDS: Final = 0.1
History = list[tuple[str, str, bool]]
"""Stable and current revision by image, and whether the update is aborted, each time that one changes."""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("recording", "rollout"),
    [
        ("basic-canary", "shop/checkout"),
        ("abort", "shop/checkout"),
        ("traffic-canary", "shop/checkout"),
        ("bluegreen", "shop/front"),
        ("bluegreen", "pay/portal"),
        ("bluegreen", "shop/web"),
        ("rollback", "shop/checkout"),
        ("scale", "shop/checkout"),
        ("bg-aborts", "shop/kept"),
        ("bg-aborts", "shop/early"),
        ("bare", "shop/no-steps"),
        ("bare", "shop/one"),
        ("bare", "pay/stepless"),
        ("promote-full", "shop/routed"),
        ("promote-full", "pay/blue"),
        ("promote-full", "pay/skipper"),
        ("dynamic-abort", "shop/half"),
        ("dynamic-abort", "shop/whole"),
    ],
)
def test_revisions_and_events_follow_the_order_of_the_recording(
    recordings: Recordings, recording: str, rollout: str
) -> None:
    key = ObjectKey(*rollout.split("/"))
    truth, ticks = recordings.truth(recording), recordings.ticks(recording, "full")
    start, end = truth[0]["at"], truth[-1]["at"]
    objects = [item for frame in truth for item in frame["rollouts"] if (item["namespace"], item["name"]) == key]
    cluster = SimulatedCluster(1)
    cluster.create(_spec(objects[0]))
    cluster.advance(cluster.now + SETTLE_SECONDS)
    first, began = _simulated_events(cluster, key), cluster.now
    history: History = []
    actions = [action for action in _actions(recordings, recording, rollout) if action[0] >= start]
    while cluster.now < began + end - start:
        while actions and actions[0][0] - start <= cluster.now - began:
            _apply(cluster, key, actions.pop(0)[1])
        cluster.advance(cluster.now + FRAME_SECONDS)
        status = cluster.rollouts[key].status
        images = {item.hash: item.image for item in cluster.rollouts[key].replica_sets.values()}
        now = images.get(status.stable_hash, ""), images.get(status.current_hash, ""), bool(status.abort)
        history += [now] if history[-1:] != [now] else []
    assert [state for state in _recorded_history(objects) if state not in history] == []
    counted = {name: count - first.get(name, 0) for name, count in _simulated_events(cluster, key).items()}
    expected = _growth(_recorded_events(ticks[0].results, key), _recorded_events(ticks[-1].results, key))
    assert {name: count for name, count in counted.items() if count} == expected


def _spec(rollout: dict[str, Any]) -> RolloutSpec:
    spec = rollout["spec"]
    deadline = spec.get("progressDeadlineSeconds", 600)
    return RolloutSpec(
        rollout["namespace"],
        rollout["name"],
        rollout["images"][0],
        spec.get("replicas", 1),
        _strategy(spec["strategy"], spec.get("replicas", 1)),
        progress_deadline=deadline,
        progress_deadline_abort=spec.get("progressDeadlineAbort", False),
    )


def _strategy(strategy: dict[str, Any], replicas: int) -> CanaryStrategy | BlueGreenStrategy:
    blue_green, canary = strategy.get("blueGreen"), strategy.get("canary") or {}
    delays = {
        "scale_down_delay": float((blue_green or canary).get("scaleDownDelaySeconds", 30)),
        "abort_scale_down_delay": float((blue_green or canary).get("abortScaleDownDelaySeconds", 30)),
    }
    if blue_green is not None:
        manual, preview = not blue_green.get("autoPromotionEnabled", True), blue_green.get("previewReplicaCount")
        return BlueGreenStrategy(manual, float(blue_green.get("autoPromotionSeconds", 0)), preview, **delays)
    routing = canary.get("trafficRouting") or {}
    router = next((name.capitalize() for name in routing if name != "maxTrafficWeight"), "")
    steps = tuple(map(_step, canary.get("steps", ())))
    surge, unavailable = (_share(canary.get(name, "25%"), replicas) for name in ("maxSurge", "maxUnavailable"))
    dynamic = canary.get("dynamicStableScale", False)
    return CanaryStrategy(steps, router, surge, unavailable, dynamic_stable_scale=dynamic, **delays)


def _share(value: str | int, replicas: int) -> float:
    return int(value.removesuffix("%")) / 100 if isinstance(value, str) else value / replicas


def _step(step: dict[str, Any]) -> CanaryStep:
    if "setWeight" in step:
        return SetWeight(step["setWeight"])
    if "setCanaryScale" in step:
        return SetCanaryScale(step["setCanaryScale"].get("replicas"))
    duration = step["pause"].get("duration")
    return Pause(float(str(duration).removesuffix("s")) if duration is not None else None)


def _actions(recordings: Recordings, recording: str, rollout: str) -> Iterator[tuple[float, dict[str, Any]]]:
    for line in (recordings.folder / recording / "events.jsonl").read_text().splitlines():
        event = json.loads(line)
        if "patch" in event and rollout in event["what"].split():
            yield event["unix"], {"what": event["what"], **event["patch"]}


def _apply(cluster: SimulatedCluster, key: ObjectKey, action: dict[str, Any]) -> None:
    spec, status = action.get("spec", {}), action.get("status", {})
    if "template" in spec:
        cluster.deploy(*key, spec["template"]["spec"]["containers"][0]["image"])
    if "replicas" in spec:
        cluster.scale(*key, spec["replicas"])
    if "abort" in status:
        (cluster.abort if status["abort"] else cluster.retry)(*key)
    if status.get("promoteFull"):
        cluster.promote_full(*key)
    if "currentStepIndex" in status:
        step = cluster.rollouts[key].status.step_index or 0
        cluster.skip_steps(*key, status["currentStepIndex"] - step)
    elif "pauseConditions" in status:
        cluster.resume(*key)


def _recorded_history(objects: Iterable[dict[str, Any]]) -> History:
    """Return the history of an object; revisions are named by the image that was wanted when they became current."""
    images: dict[str, str] = {}
    states = []
    for item in objects:
        status = item["status"]
        current, stable = status.get("currentPodHash", ""), status.get("stableRS", "")
        if str(status.get("observedGeneration")) == str(item["generation"]):
            images.setdefault(current, item["images"][0])
        states.append((images.get(stable, ""), images.get(current, ""), bool(status.get("abort"))))
    return [state for state, _ in groupby(states) if all(state[:2])]


def _recorded_events(results: Iterable[ScrapeResult], key: ObjectKey) -> dict[str, int]:
    return {
        series.label("reason"): int(value)
        for result in results
        for series, value in result.samples("rollout_events_total")
        if (series.label("namespace"), series.label("name")) == key
    }


def _simulated_events(cluster: SimulatedCluster, key: ObjectKey) -> dict[str, int]:
    leader = cluster.controllers.leader
    assert leader
    return {reason: count for (of, reason), count in leader.counters.events.items() if of == key and reason in EVENTS}


def _growth(before: dict[str, int], after: dict[str, int]) -> dict[str, int]:
    growth = {reason: after.get(reason, 0) - before.get(reason, 0) for reason in EVENTS}
    return {reason: count for reason, count in growth.items() if count}
