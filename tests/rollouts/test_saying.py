"""What is said beside the numbers: infos that fade, families that pass, namespaces, the cap, and whose run it is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import pytest

from exporter.config.settings import NamespacesSection, SeriesSection, Settings
from exporter.metrics import Source
from exporter.rollouts.inputs.analysis_runs import owning_rollout
from exporter.rollouts.persistence import decode_state, encode_state
from exporter.rollouts.tracker import RolloutTracker
from exporter.scrape.response import ScrapeRequest
from exporter.service.wiring import tracking_policy
from tests.rollouts.told import Set, Told, controller, dead, kube, named, read

if TYPE_CHECKING:
    from tests.recorded import Recordings

PODS: Final = "argo_rollouts_pod_info"
REST: Final = Told(events={"RolloutUpdated": 1, "RolloutCompleted": 1}, replicas=(2, 2, 2, 0))
GOING: Final = Told("Paused", (2, 1, 3, 0), {"RolloutUpdated": 2, "RolloutCompleted": 1})
DONE: Final = Told("Completed", (2, 2, 2, 0), {"RolloutUpdated": 2, "RolloutCompleted": 2})
OLD, NEW, BOTH = (Set("old", 1, 2),), (Set("old", 1, 0), Set("new", 2, 2, 9)), (Set("old", 1, 2), Set("new", 2, 1, 9))


def mid_update(*, restart: bool = False) -> RolloutTracker:
    """A watch of a canary with a pod new-0, and then a promotion at 45 that makes it a stable one."""
    watch = RolloutTracker(tracking_policy(Settings()))
    watch.process(15, [controller(15, REST), kube(15, *OLD)])
    before = watch.process(30, [controller(30, GOING), kube(30, *BOTH)])
    assert named(before.families, PODS)["cart-new-0", "new-0", "canary", "new", "2", "n"] == 1
    return RolloutTracker(tracking_policy(Settings()), decode_state(encode_state(watch.state, "eu"), "eu")) if restart else watch


def infos_of_new_0(watch: RolloutTracker, at: float) -> tuple[dict[str, float], bool]:
    """Return the roles that pod cart-new-0 is said to have, and whether its series as a canary ends."""
    cycle = watch.process(at, [controller(at, DONE), kube(at, *NEW)])
    said = {labels[2]: value for labels, value in named(cycle.families, PODS).items() if labels[1] == "new-0"}
    return said, any("canary" in labels for labels in named(cycle.stale, PODS))


@pytest.mark.parametrize("restart", [False, True])
def test_a_pod_whose_role_changes_is_said_as_0_in_its_old_role_for_five_minutes_and_then_ends(*, restart: bool) -> None:
    watch = mid_update(restart=restart)
    for at in range(45, 345, 15):
        assert infos_of_new_0(watch, at) == ({"stable": 1.0, "canary": 0.0}, False), at
    assert infos_of_new_0(watch, 345) == ({"stable": 1.0}, True)
    assert infos_of_new_0(watch, 360) == ({"stable": 1.0}, False)


def test_a_role_that_changes_while_nobody_is_heard_fades_too() -> None:
    watch = mid_update()
    watch.process(45, [dead(45), kube(45, *NEW)])
    assert infos_of_new_0(watch, 60)[0] == {"stable": 1.0, "canary": 0.0}


def test_what_fades_of_a_rollout_that_is_deleted_ends_with_it() -> None:
    watch = mid_update()
    other = Told(name="other")
    watch.process(45, [controller(45, DONE, other), kube(45, *NEW)])
    watch.process(60, [controller(60, DONE, other), kube(60, *NEW)])
    gone = watch.process(75, [controller(75, other), kube(75, *NEW)])
    assert named(gone.families, PODS) == {}
    assert {labels[2] for labels in named(gone.stale, PODS)} == {"stable", "canary"}
    assert watch.process(90, [controller(90, other), kube(90, *NEW)]).stale == ()


def test_a_revision_that_changes_its_role_fades_as_its_pods_do() -> None:
    watch = mid_update()
    watch.process(45, [controller(45, DONE), kube(45, *NEW)])
    cycle = watch.process(60, [controller(60, DONE), kube(60, *NEW)])
    assert named(cycle.families, "argo_rollouts_revision_info") == {
        ("new", "2", "stable"): 1.0,
        ("new", "2", "canary"): 0.0,
    }


def test_namespaces_that_are_not_watched_are_not_spoken_of_and_what_is_in_none_is() -> None:
    watch = RolloutTracker(tracking_policy(Settings(namespaces=NamespacesSection(include=("shop",)))))
    version = 'argo_rollouts_controller_info{version="v1.8.3"} 1'
    lines = [*Told().lines(), *Told(namespace="pay").lines(), version, "process_start_time_seconds 1"]
    cycle = watch.process(15, [read(ScrapeRequest(Source.ARGO, "a", 15), *lines)])
    spoken = {series.label("namespace") for family in cycle.families for series in family.series}
    assert spoken == {"shop", ""}
    assert named(cycle.families, "argo_rollouts_controller_info") == {("v1.8.3",): 1.0}


@pytest.mark.parametrize("limit", [1, 10, 37, 10_000])
def test_series_beyond_the_limit_are_left_out_and_counted(limit: int) -> None:
    def said(most: int) -> tuple[int, int]:
        watch = RolloutTracker(tracking_policy(Settings(series=SeriesSection(limit=most))))
        cycle = watch.process(15, [controller(15, Told(), Told(name="pay"))])
        return sum(map(len, cycle.families)), watch.status.overflow

    every, _ = said(10_000)
    assert said(limit) == (min(limit, every), max(every - limit, 0))


def test_nothing_is_derived_where_that_is_switched_off_and_families_still_pass() -> None:
    watch = RolloutTracker(tracking_policy(Settings(series=SeriesSection(derive=False))))
    cycle = watch.process(15, [controller(15, Told())])
    families = {family.name for family in cycle.families}
    assert "rollout_info" in families
    assert families & {"argo_rollouts_phase", "argo_rollouts_updates_total"} == set()


KNOWN: Final = frozenset({("shop", "checkout"), ("shop", "checkout-6c68fb46d4-2"), ("shop", "a"), ("pay", "checkout")})


@pytest.mark.parametrize(
    ("name", "rollout"),
    [
        ("checkout-6c68fb46d4-2", "checkout"),
        ("checkout-6c68fb46d4-2-1", "checkout"),
        ("checkout-6c68fb46d4-2-1.1", "checkout"),
        ("checkout-6c68fb46d4-2-pre", "checkout"),
        ("checkout-6c68fb46d4-12-post.3", "checkout"),
        ("checkout-6c68fb46d4-2-0-compare", "checkout"),
        ("checkout-6c68fb46d4-2-7d9f8b5c4-3-1", "checkout-6c68fb46d4-2"),
        ("a-6c68fb46d4-2", "a"),
        ("a-6c68fb46d4-2.1", "a"),
        ("stranger-6c68fb46d4-2", None),
        ("checkout-6c68fb46d4", None),
        ("checkout-with-words-2", None),
        ("checkout", None),
        ("twice-run", None),
        ("", None),
    ],
)
def test_a_runs_owner_is_told_by_its_name_among_the_rollouts_that_are_known(name: str, rollout: str | None) -> None:
    assert owning_rollout("shop", name, KNOWN) == (None if rollout is None else ("shop", rollout))
    assert owning_rollout("elsewhere", name, KNOWN) is None


def test_a_pause_says_its_reason_while_it_lasts(recordings: Recordings) -> None:
    reasons: list[tuple[str, ...]] = []
    for _, cycle, _ in recordings.play("analysis", "full"):
        said = named(cycle.families, "argo_rollouts_pause_start_timestamp_seconds", "basket")
        if tuple(reason for (reason,) in said) not in reasons[-1:]:
            reasons.append(tuple(reason for (reason,) in said))
    assert reasons == [(), ("InconclusiveAnalysisRun",), (), ("CanaryPauseStep",), ()]
