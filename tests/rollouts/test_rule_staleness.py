"""What ends and when, and what is said meanwhile: the rules T41 to T43, T47 to T49 and T57."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import pytest

from exporter.config.settings import Settings
from exporter.metrics import Failure, ScrapeResult, Source
from exporter.rollouts.tracker import RolloutTracker
from exporter.scrape.response import ScrapeRequest
from exporter.service.wiring import parser_factory, tracking_policy

if TYPE_CHECKING:
    from collections.abc import Iterable

    from exporter.metrics import MetricFamily, MetricsSnapshot

READERS: Final = parser_factory(Settings())
GRACE: Final = Settings().lifecycle.grace
KUBE: Final = Source.KUBE_STATE_METRICS
UP: Final = "rollouts_exporter_target_up"


def shown(at: float, phases: dict[str, str], target: str = "a:8090") -> ScrapeResult:
    """The page of a controller that shows rollouts by name and phase; with none, that of a standby."""
    lines = (
        f'rollout_info{{name="{name}",namespace="shop",phase="{phase}",strategy="canary"}} 1'
        for name, phase in phases.items()
    )
    return read(ScrapeRequest(Source.ARGO, target, at), "process_start_time_seconds 1", *lines)


def kube(at: float) -> ScrapeResult:
    """The page of a kube-state-metrics that knows one pod of one rollout."""
    return read(
        ScrapeRequest(KUBE, "a:8090", at),
        'kube_replicaset_owner{namespace="shop",replicaset="cart-1",owner_kind="Rollout",owner_name="cart"} 1',
        'kube_replicaset_status_replicas{namespace="shop",replicaset="cart-1"} 1',
        'kube_pod_info{namespace="shop",pod="p",uid="u",created_by_kind="ReplicaSet",created_by_name="cart-1"} 1',
    )


def read(asked: ScrapeRequest, *lines: str) -> ScrapeResult:
    reader = READERS(asked)
    reader.start(200, {})
    reader.feed("".join(f"{line}\n" for line in lines).encode())
    return reader.finish(None, 0.01)


def failed(at: float, source: Source = Source.ARGO) -> ScrapeResult:
    return ScrapeResult(source, "a:8090", at, failure=Failure("refused", "nobody listens"))


def watched(at: float = 0.0) -> RolloutTracker:
    """A watch whose leader is known from a tick before."""
    watch = RolloutTracker(tracking_policy(Settings()))
    watch.process(at, [shown(at, {"cart": "Completed", "pay": "Completed"})])
    return watch


def named(families: Iterable[MetricFamily], name: str = "", rollout: str = "") -> dict[str, float]:
    return {
        repr(series): value
        for family in families
        for series, value in zip(family.series, family.values, strict=True)
        if family.name.startswith(name) and rollout in (series.label("name"), "")
    }


def up(cycle: MetricsSnapshot) -> dict[str, float]:
    return {one.rpartition("=")[2][1:-2]: value for one, value in named(cycle.families, UP).items()}


def test_what_a_steady_leader_shows_no_longer_is_ended_once() -> None:
    watch = watched()
    before = watch.process(15, [shown(15, {"cart": "Completed", "pay": "Completed"})])
    gone = watch.process(30, [shown(30, {"cart": "Completed"})])
    assert named(gone.stale).keys() == named(before.families, rollout="pay").keys()
    assert named(gone.stale).keys().isdisjoint(named(gone.families))
    assert watch.process(45, [shown(45, {"cart": "Completed"})]).stale == ()


def test_a_failed_scrape_is_told_and_ends_nothing_before_the_grace_does_and_then_all_of_it_once() -> None:
    watch = watched()
    before = watch.process(15, [shown(15, {"cart": "Paused"})])
    for at in (30, 45, 60, 75):
        cycle = watch.process(at, [failed(at)])
        assert (up(cycle), cycle.stale) == ({"a:8090": 0}, ())
        assert named(cycle.families, "rollout_info") == {}
    last = watch.process(30 + GRACE, [failed(30 + GRACE)])
    assert named(last.stale).keys() >= named(before.families, "rollout_info").keys()
    assert watch.process(45 + GRACE, [failed(45 + GRACE)]).stale == ()


def test_a_leader_that_is_back_within_the_grace_has_ended_nothing() -> None:
    watch = watched()
    assert watch.process(15, [failed(15)]).stale == ()
    back = watch.process(30, [shown(30, {"cart": "Completed", "pay": "Completed"})])
    assert {family.name for family in back.stale} == {"argo_rollouts_unknown"}
    assert len(named(back.families, "rollout_info")) == 2


@pytest.mark.parametrize("leads", [1.0, 0.0])
def test_a_target_that_its_source_names_no_longer_ends_at_once_with_all_its_own_series(leads: float) -> None:
    watch = watched()
    both = watch.process(15, [shown(15, {"cart": "Completed"}), shown(15, {}, "b:8090")])
    assert up(both) == {"a:8090": 1, "b:8090": 1}
    one = watch.process(30, [shown(30, {"cart": "Completed"}) if leads else failed(30)])
    assert up(one) == {"a:8090": leads}
    own = [name for name in named(both.families) if '"b:8090"' in name]
    assert len(own) == 5
    assert sorted(named(one.stale)) == sorted(own)


def test_the_first_page_of_a_new_leader_proves_nothing() -> None:
    watch = watched()
    first = watch.process(15, [failed(15), shown(15, {"cart": "Completed"}, "b:8090")])
    assert named(first.stale) == {}
    assert named(first.families, "argo_rollouts_phase_transitions_total", "pay"), "a counter goes on"
    assert not named(first.families, "argo_rollouts_update_in_progress", "pay"), "a gauge is withheld"


def test_what_a_page_with_a_bad_line_lacks_has_not_gone() -> None:
    watch = watched()
    assert watch.process(15, [shown(15, {"cart": "Completed", 'pay",name="pay': "Completed"})]).stale == ()
    assert named(watch.process(30, [shown(30, {"cart": "Completed"})]).stale)


def test_the_empty_page_of_a_standby_ends_nothing_of_its_leaders() -> None:
    watch = watched()
    alive = {"cart": "Completed", "pay": "Completed"}
    assert watch.process(15, [shown(15, {}, "b:8090"), shown(15, alive)]).stale == ()
    assert watch.process(30, [shown(30, {}, "b:8090"), failed(30)]).stale == ()
    assert watch.process(45, [shown(45, {}, "b:8090"), shown(45, {})]).stale == ()


def test_a_change_of_phase_ends_the_old_info_and_flips_the_one_hot_without_a_gap() -> None:
    watch = watched()
    cycle = watch.process(15, [shown(15, {"cart": "Progressing", "pay": "Completed"})])
    (ended,) = named(cycle.stale)
    assert ended == 'rollout_info{name="cart",namespace="shop",phase="Completed",strategy="canary"}'
    phases = named(cycle.families, "argo_rollouts_phase", "cart")
    assert phases['argo_rollouts_phase{namespace="shop",name="cart",phase="Completed"}'] == 0
    assert phases['argo_rollouts_phase{namespace="shop",name="cart",phase="Progressing"}'] == 1


def test_what_follows_from_a_source_that_is_silent_is_withheld_and_ends_with_the_grace() -> None:
    watch = watched()
    argo = {"cart": "Completed"}
    before = watch.process(15, [shown(15, argo), kube(15)])
    pods = named(before.families, "argo_rollouts_pod").keys()
    assert len(pods) > 2
    silent = [watch.process(at, [shown(at, argo), failed(at, source=KUBE)]) for at in range(30, 121, 15)]
    assert [named(cycle.families, "argo_rollouts_pod") for cycle in silent] == [{}] * len(silent)
    assert [cycle.timestamp for cycle in silent if named(cycle.stale).keys() >= pods] == [30 + GRACE]
    assert [cycle.timestamp for cycle in (before, *silent)] == [*range(15, 121, 15)]


def test_a_source_that_is_not_due_is_heard_as_it_was_last_and_for_the_grace_at_most() -> None:
    watch = watched()
    argo = {"cart": "Completed"}
    watch.process(15, [shown(15, argo), kube(15)])
    told = {
        at: named(watch.process(at, [shown(at, argo)]).families, "argo_rollouts_pod_info") for at in range(30, 106, 15)
    }
    assert [at for at, pods in told.items() if pods] == [at for at in told if at <= 15 + GRACE]
    ages = named(watch.process(120, [shown(120, argo)]).families, "rollouts_exporter_source_age_seconds")
    assert sorted(ages.values()) == [0, 105]
