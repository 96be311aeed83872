"""Where the time of updates goes, what an abort cost and why it came, and what these series cost themselves."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING, Final

import pytest

from exporter.config.settings import LifecycleSection, SeriesSection, Settings
from exporter.metrics import Source
from exporter.rollouts.model import UpdateState
from exporter.rollouts.output.catalogue import DEFAULT_FAMILIES, DERIVED_FAMILIES
from exporter.rollouts.output.namespace_counters import ABORTS, ACTIVITY_SECONDS
from exporter.rollouts.tracker import RolloutTracker
from exporter.scrape.response import ScrapeRequest
from exporter.service.wiring import parser_factory, tracking_policy
from tests.recorded import ARTICLE
from tests.rollouts.pages import PageReplicaSet, PageRollout, controller_page, kube_page, parse_page, series_values
from tests.rollouts.stored import StoredRows

if TYPE_CHECKING:
    from collections.abc import Iterator

    from exporter.metrics import Labels, MetricFamily, MetricsSnapshot
    from exporter.rollouts.model import RolloutKey, RolloutState
    from tests.recorded import Recordings

EARLIER_FAMILIES: Final = frozenset(
    f"argo_rollouts_{name}"
    for name in (
        "phase", "health", "phase_start_timestamp_seconds", "pause_start_timestamp_seconds", "phase_transitions_total",
        "update_in_progress", "canary_fraction", "canary_fraction_estimate", "updated_fraction", "canary_step_index",
        "replicas", "pods", "pods_ready", "pod_info", "revision_info", "updates_total", "last_update_duration_seconds",
        "pause_seconds_total", "analysis_runs", "analysis_runs_total", "unknown",
    )
)  # fmt: skip # a table
"""Families of earlier releases, which stay whether something uses them or not."""
VARIANTS: Final = ("full", "argo-only")
"""Variants of recordings that are played: with everything, and with the least."""
SERIES_AT_REST: Final = 6
WAITING: Final = "argo_rollouts_update_waiting"
LAST_UPDATE: Final = "argo_rollouts_last_update_info"
EXPOSURE: Final = "argo_rollouts_canary_exposure_seconds_total"
NEVER_SHOWN: Final = ("never_shown",)
REST: Final = PageRollout(events={"RolloutUpdated": 1, "RolloutCompleted": 1}, replicas=(4, 4, 4, 0))
UPDATING: Final = PageRollout("Progressing", (4, 1, 4, 0), {"RolloutUpdated": 2, "RolloutCompleted": 1})
ABORTED: Final = PageRollout("Abort", (4, 0, 4, 0), {"RolloutUpdated": 2, "RolloutCompleted": 1, "RolloutAborted": 1})
DONE: Final = PageRollout(events={"RolloutUpdated": 2, "RolloutCompleted": 2})
OLD: Final = PageReplicaSet("old", 1, 4)
BOTH: Final = (PageReplicaSet("old", 1, 3), PageReplicaSet("new", 2, 1, 9.0))


def new_tracker(settings: Settings | None = None) -> RolloutTracker:
    return RolloutTracker(tracking_policy(settings or ARTICLE))


def by_namespace(snapshot: MetricsSnapshot, name: str, **labels: str) -> Counter[str]:
    """Return the sum over the series of a family with these labels, by namespace."""
    sums: Counter[str] = Counter()
    for family in snapshot.families:
        for series, value in family.samples() if family.name == name else ():
            if all(series.label(label) == text for label, text in labels.items()):
                sums[series.label("namespace")] += value  # type: ignore[assignment] # seconds are no integers
    return +sums


def all_recordings(recordings: Recordings, explained: Recordings) -> Iterator[tuple[Recordings, str, str]]:
    for source in (recordings, explained):
        for name in source.names:
            yield from ((source, name, variant) for variant in source.variants(name) if variant in VARIANTS)


# Laws


@pytest.mark.slow
@pytest.mark.parametrize("seconds", [0.0, 15.0])
def test_aborts_over_causes_are_the_aborted_updates_and_activities_the_time_in_updates(
    recordings: Recordings, explained_recordings: Recordings, seconds: float
) -> None:
    """Namespaces in which a rollout is deleted are left out: counters of a namespace outlive its rollouts."""
    count = 0
    for source, name, variant in all_recordings(recordings, explained_recordings):
        in_updates: Counter[str] = Counter()
        deleted: set[str] = set()
        before: dict[RolloutKey, RolloutState] = {}
        last, longest = None, 0.0
        for _, snapshot, tracker in source.play(name, variant, seconds):
            interval = 0.0 if last is None else snapshot.timestamp - last
            rollouts = {rollout.key: rollout for rollout in tracker.status.rollouts}
            for key, state in before.items():
                born_again = key not in rollouts or rollouts[key].state.first_seen != state.first_seen
                deleted |= {key[0]} if born_again else set()
                if state.update_state is UpdateState.UPDATING:
                    in_updates[key[0]] += interval  # type: ignore[assignment] # seconds are no integers
            before = {key: rollout.state for key, rollout in rollouts.items()}
            last, longest = snapshot.timestamp, max(longest, interval)
            aborts = by_namespace(snapshot, ABORTS)
            aborted = by_namespace(snapshot, "argo_rollouts_updates_total", result="aborted")
            assert [ns for ns in {*aborts, *aborted} - deleted if aborts[ns] != aborted[ns]] == []
        for namespace in {key[0] for key in before} - deleted:
            spent = by_namespace(snapshot, ACTIVITY_SECONDS)[namespace]
            assert spent == pytest.approx(in_updates[namespace], abs=longest), (name, variant, namespace)
            count += bool(spent)
    assert count > 100


@pytest.mark.slow
def test_a_cause_new_revision_belongs_to_superseded_updates_alone(explained_recordings: Recordings) -> None:
    results = set()
    for name in explained_recordings.names:
        for _, snapshot, _ in explained_recordings.play(name, "full"):
            assert not by_namespace(snapshot, ABORTS, cause="new_revision")
            infos = [family for family in snapshot.families if family.name == LAST_UPDATE]
            results |= {(s.label("result"), s.label("cause")) for family in infos for s in family.series}
    assert {result for result, cause in results if cause == "new_revision"} == {"superseded"}
    assert {cause for result, cause in results if result == "superseded"} == {"new_revision"}
    assert {cause for result, cause in results if result == "promoted"} == {""}
    causes = {cause for result, cause in results if result == "aborted"}
    assert causes >= {"analysis", "person", "deadline", "experiment", "plugin"}


def test_a_rollout_under_way_has_one_activity_which_is_0_for_five_minutes_after() -> None:
    tracker = new_tracker()
    pages = {0: REST, 15: UPDATING, 30: replace(UPDATING, phase="Paused"), 45: DONE}
    values = {}
    for now in range(0, 375, 15):
        page = pages.get(now, DONE)
        snapshot = tracker.process(1000 + now, [controller_page(1000 + now, page)])
        values[now] = {labels[0]: value for labels, value in series_values(snapshot.families, WAITING).items()}
    assert [values[0], values[15], values[30]] == [{}, {"pods": 1}, {"unknown": 1, "pods": 0}]
    assert values[45] == {"unknown": 0, "pods": 0}
    assert values[315] == {"unknown": 0, "pods": 0}
    assert values[330] == {"unknown": 0}
    assert values[345] == {}


def test_time_and_exposure_count_through_updates_and_a_restart_from_the_start_of_the_first_interval() -> None:
    stored, snapshot = StoredRows(), None
    for now, page, sets in ((0, REST, (OLD,)), (15, UPDATING, BOTH), (30, UPDATING, BOTH), (60, ABORTED, (OLD,))):
        tracker = RolloutTracker(tracking_policy(ARTICLE), stored.restart())
        snapshot = tracker.process(1000 + now, [controller_page(1000 + now, page), kube_page(1000 + now, *sets)])
        stored.commit(tracker.state)
    assert snapshot is not None
    families = {family.name: family for family in snapshot.families}
    assert by_namespace(snapshot, ACTIVITY_SECONDS) == {"shop": 45}
    assert list(families[ACTIVITY_SECONDS].start_times or ()) == [1015]
    # A quarter of the pods from 15 to 60.
    assert series_values(snapshot.families, EXPOSURE) == {(): 0.25 * 45}
    assert by_namespace(snapshot, ABORTS) == {"shop": 1}
    assert set(families[ABORTS].start_times or ()) == {1015}, "all causes count from the first update on"
    assert series_values(snapshot.families, LAST_UPDATE) == {("aborted", "unknown"): 1}


def test_the_end_of_the_last_update_is_remembered_until_the_next_ends_even_over_a_restart() -> None:
    stored, ends = StoredRows(), []
    for now, page in ((0, REST), (15, UPDATING), (30, ABORTED), (45, ABORTED), (60, DONE), (75, DONE)):
        tracker = RolloutTracker(tracking_policy(ARTICLE), stored.restart())
        tracker.process(1000 + now, [controller_page(1000 + now, page)])
        stored.commit(tracker.state)
        (rollout,) = tracker.status.rollouts
        ends.append((rollout.state.account.result, rollout.state.account.ended_at))
    assert ends == [*[("", None)] * 2, *[("aborted", 1030.0)] * 2, *[("promoted", 1060.0)] * 2]


def test_counters_of_a_namespace_outlive_its_rollouts_but_not_itself() -> None:
    tracker, other = new_tracker(), PageRollout(namespace="pay")
    counted = []
    pages = [(REST, other), (UPDATING, other), (ABORTED, other), *([(other,)] * 100)]
    for number, page in enumerate(pages):
        snapshot = tracker.process(1000 + 15 * number, [controller_page(1000 + 15 * number, *page)])
        counted.append(by_namespace(snapshot, ABORTS)["shop"])
    assert counted[2:60] == [1] * 58
    assert counted[-1] == 0


# Cost


@pytest.mark.slow
def test_a_rollout_at_rest_gains_at_most_six_series(recordings: Recordings, explained_recordings: Recordings) -> None:
    """At rest: settled for longer than series of an update that ended are exported as 0."""
    highest = 0
    for source, name, variant in all_recordings(recordings, explained_recordings):
        *_, (tick, _, tracker) = source.play(name, variant, 10.0)
        later = tick.timestamp + source.policy.ended_info + 1
        snapshot = tracker.process(later, [replace(result, scraped_at=later) for result in tick.results])
        settled = {r.key for r in tracker.status.rollouts if r.state.update_state is UpdateState.SETTLED}
        gained = series_gained(snapshot)
        assert max((gained[key] for key in settled), default=0) <= SERIES_AT_REST, (name, variant)
        highest = max(highest, *(gained[key] for key in settled), 0)
    assert highest >= 4


def series_gained(snapshot: MetricsSnapshot) -> Counter[tuple[str, str]]:
    new = [row.name for row in DERIVED_FAMILIES if row.name not in EARLIER_FAMILIES]
    return Counter(
        (series.label("namespace"), series.label("name"))
        for family in snapshot.families
        if family.name in new
        for series in family.series
    )


def test_images_of_many_sidecars_are_not_all_exported() -> None:
    containers = [
        f'kube_pod_container_info{{namespace="shop",pod="cart-old-0",uid="old-0",container="c{number}",'
        f'image_spec="registry:5000/c{number}:v{number}@sha256:0"}} 1'
        for number in range(9)
    ]
    page = parse_page(ScrapeRequest(Source.KUBE_STATE_METRICS, "ksm", 15), *OLD.lines(), *containers)
    snapshot = new_tracker().process(15, [controller_page(15, REST), page])
    versions = series_values(snapshot.families, "argo_rollouts_version_info")
    assert list(versions) == [("stable", f"registry:5000/c{number}", f"v{number}") for number in range(3)]


@pytest.mark.parametrize(
    ("patterns", "exported"),
    [((), 0), (("argo_rollouts_analysis_*",), 3), (("*",), 14), (("argo_rollouts_experiments",), 1)],
)
def test_optional_families_are_exported_on_request(patterns: tuple[str, ...], exported: int) -> None:
    tracker = new_tracker(Settings(series=SeriesSection(optional=patterns)))
    assert len(tracker._rows) - len(DEFAULT_FAMILIES) == exported


# Coverage


def test_a_rollout_that_no_controller_ever_showed_is_never_shown_and_nothing_else() -> None:
    tracker = new_tracker()
    other = PageRollout(name="till")
    snapshot = tracker.process(15, [controller_page(15, other), kube_page(15, OLD)])
    assert series_values(snapshot.families, "argo_rollouts_unknown") == {NEVER_SHOWN: 1}
    exported = {f.name for f in snapshot.families for s in f.series if s.label("name") == "cart"}
    assert exported == {"argo_rollouts_unknown"}
    snapshot = tracker.process(30, [controller_page(30, other, REST), kube_page(30, OLD)])
    assert NEVER_SHOWN not in series_values(snapshot.families, "argo_rollouts_unknown")
    assert NEVER_SHOWN in series_values(snapshot.stale, "argo_rollouts_unknown")


def test_a_deleted_rollout_whose_pods_are_still_there_was_shown_even_after_a_restart() -> None:
    stored, other = StoredRows(), PageRollout(name="till")
    for now, rollouts in ((15, (REST, other)), (30, (REST, other)), (45, (other,)), (60, (other,)), (75, (other,))):
        tracker = RolloutTracker(tracking_policy(ARTICLE), stored.restart())
        snapshot = tracker.process(now, [controller_page(now, *rollouts), kube_page(now, OLD)])
        stored.commit(tracker.state)
        assert not series_values(snapshot.families, "argo_rollouts_unknown")
    assert ("shop", "cart") not in {rollout.key for rollout in tracker.status.rollouts}


# Labels and lead time


@pytest.mark.parametrize(
    ("family", "label"),
    [
        ("kube_replicaset_annotations", 'annotation_example_com_commit_time="1970-01-01T00:16:10Z"'),
        ("kube_replicaset_labels", 'label_example_com_commit_time="970"'),
    ],
)
def test_lead_time_is_from_the_commit_to_the_promotion_and_absent_without_the_setting(family: str, label: str) -> None:
    settings = Settings(lifecycle=LifecycleSection(commit_time="example.com/commitTime"))
    for chosen, expected in ((settings, {(): 75.0}), (ARTICLE, {})):
        tracker, parsers = new_tracker(chosen), parser_factory(chosen)
        for now, page, sets in (
            (1000, REST, (OLD,)),
            (1015, UPDATING, BOTH),
            (1045, DONE, (PageReplicaSet("old", 1, 0), PageReplicaSet("new", 2, 4, 9.0))),
            (1060, DONE, (PageReplicaSet("old", 1, 0), PageReplicaSet("new", 2, 4, 9.0))),
        ):
            parser = parsers(ScrapeRequest(Source.KUBE_STATE_METRICS, "ksm", now))
            parser.start(200, {})
            lines = [line for replica_set in sets for line in replica_set.lines()]
            lines.append(f'{family}{{namespace="shop",replicaset="cart-new",{label}}} 1')
            parser.feed("".join(f"{line}\n" for line in lines).encode())
            snapshot = tracker.process(now, [controller_page(now, page), parser.finish(None, 0.01)])
        assert series_values(snapshot.families, "argo_rollouts_last_lead_time_seconds") == expected


def labels_family(settings: Settings) -> dict[Labels, float]:
    rollout = 'namespace="shop",name="cart"'
    page = parse_page(
        ScrapeRequest(Source.ROLLOUT_STATE, "state", 15),
        f'kube_customresource_rollout_status_info{{{rollout},stable_hash="a",current_hash="a",revision="1"}} 1',
        f'kube_customresource_rollout_labels{{{rollout},label_team="blue",label_myTier="1",label_pet="cat"}} 1',
    )
    snapshot = new_tracker(settings).process(15, [controller_page(15, REST), page])
    families: list[MetricFamily] = [f for f in snapshot.families if f.name == "argo_rollouts_labels"]
    return {s.labels: value for family in families for s, value in family.samples()}


def test_only_allowed_labels_of_a_rollout_are_exported() -> None:
    key = (("namespace", "shop"), ("name", "cart"))
    allowed = Settings(series=SeriesSection(labels=("team", "myTier", "absent")))
    assert labels_family(allowed) == {(*key, ("label_team", "blue"), ("label_my_tier", "1")): 1.0}
    assert labels_family(Settings(series=SeriesSection(optional=("*",)))) == {}
