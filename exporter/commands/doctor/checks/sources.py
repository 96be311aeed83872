"""What kube-state-metrics and rollout state do not show, and where the sources disagree. Pure."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from exporter.commands.doctor import sightings
from exporter.commands.doctor.model import Symptom
from exporter.metrics import Source
from exporter.rollouts.inputs import kube_state_metrics, rollout_state
from exporter.rollouts.inputs.kube_state_metrics import exposed_label

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

    from exporter.commands.doctor.model import Examination, ExaminedPage
    from exporter.metrics import ScrapeResult
    from exporter.rollouts.model import RolloutKey

_MAX_NAMES: Final = 5
_REVISION: Final = "annotation_rollout_argoproj_io_revision"
_HASH: Final = "label_rollouts_pod_template_hash"
_MIN_ORPHANS: Final = 2
_MAX_ORPHAN_SHARE: Final = 0.2
"""Of pods whose ReplicaSet is on no page: with all shards it is near 0, with one of two shards about a half."""
_DEFAULT_ROLE_LABELS: Final = ("role",)
_STATE: Final = "kube_customresource_rollout_"
_STATE_2: Final = f"{_STATE}spec_info"
"""A family of the chart's second configuration, whose header is on every page of it that has a rollout."""
_KUBE: Final = re.compile(r"kube_(?!pod_|replicaset_|customresource_|crd_)")


def _results(examination: Examination, source: Source) -> list[ScrapeResult]:
    return sightings.results(examination.last_pages, source)


def _pages(examination: Examination, source: Source) -> list[ExaminedPage]:
    """Return the pages of a source that are of the right component, or empty, as after a start."""
    pages = (page for page in examination.last_pages if page.result.source is source and page.result.failure is None)
    return [page for page in pages if source is Source.ARGO or not page.families or sightings.shows_objects(page)]


def _count(results: Iterable[ScrapeResult], family: str) -> int:
    return sum(len(result.families.get(family, ())) for result in results)


def _rollout_replica_sets(results: Iterable[ScrapeResult]) -> set[tuple[str, str]]:
    labels = (dict(series.labels) for result in results for series, _ in result.samples("kube_replicaset_owner"))
    return {
        (row.get("namespace", ""), row.get("replicaset", "")) for row in labels if row.get("owner_kind") == "Rollout"
    }


def missing_annotations(examination: Examination) -> Iterator[Symptom]:
    """ReplicaSets have no revision on the page: there is no allow-list of annotations."""
    results = _results(examination, Source.KUBE_STATE_METRICS)
    replica_sets = _rollout_replica_sets(results)
    if replica_sets and not _count(results, "kube_replicaset_annotations"):
        evidence = f"kube_replicaset_annotations has no samples, for {len(replica_sets)} ReplicaSets of rollouts"
        yield Symptom("kube_state_metrics", evidence)


def missing_annotation_key(examination: Examination) -> Iterator[Symptom]:
    """There is an allow-list of annotations, and the revision is not on it."""
    results = _results(examination, Source.KUBE_STATE_METRICS)
    replica_sets = _rollout_replica_sets(results)
    rows = [dict(series.labels) for result in results for series, _ in result.samples("kube_replicaset_annotations")]
    ours = [row for row in rows if (row.get("namespace", ""), row.get("replicaset", "")) in replica_sets]
    if ours and not any(_REVISION in row for row in ours):
        evidence = f"kube_replicaset_annotations has {len(ours)} samples of rollouts, none with {_REVISION}"
        yield Symptom("kube_state_metrics", evidence)


def _pod_label_rows(results: Iterable[ScrapeResult]) -> tuple[list[dict[str, str]], int]:
    """Return the label rows of pods of rollouts, and the number of these pods."""
    results = tuple(results)
    replica_sets = _rollout_replica_sets(results)
    infos = (dict(series.labels) for result in results for series, _ in result.samples("kube_pod_info"))
    pods = {
        (row.get("namespace", ""), row.get("pod", ""))
        for row in infos
        if (row.get("namespace", ""), row.get("created_by_name", "")) in replica_sets
    }
    rows = (dict(series.labels) for result in results for series, _ in result.samples("kube_pod_labels"))
    return [row for row in rows if (row.get("namespace", ""), row.get("pod", "")) in pods], len(pods)


def missing_labels(examination: Examination) -> Iterator[Symptom]:
    """Pods have no labels on the page: there is no allow-list of labels (since 2.10 the family is empty then)."""
    rows, pod_count = _pod_label_rows(_results(examination, Source.KUBE_STATE_METRICS))
    with_labels = [row for row in rows if any(name.startswith("label_") for name in row)]
    if pod_count and not with_labels and examination.settings.lifecycle.role_label:
        evidence = f"kube_pod_labels shows no label of the {pod_count} pods of rollouts"
        yield Symptom("kube_state_metrics", evidence, _allow_list(examination))


def missing_label_key(examination: Examination) -> Iterator[Symptom]:
    """There is an allow-list of labels, and ours are not on it."""
    rows, _ = _pod_label_rows(_results(examination, Source.KUBE_STATE_METRICS))
    names = {name for row in rows for name in row if name.startswith("label_")}
    keys = examination.settings.lifecycle.role_label
    roles = {f"label_{exposed_label(key)}" for key in keys}
    # Few rollouts have ephemeral metadata, so the default key alone proves nothing; the hash is on every pod.
    expected = roles if keys != _DEFAULT_ROLE_LABELS else roles | {_HASH}
    if names and keys and not names & expected:
        some = ", ".join(sorted(names)[:_MAX_NAMES])
        evidence = f"kube_pod_labels of rollouts has {some}, but none of {', '.join(sorted(expected))}"
        yield Symptom("kube_state_metrics", evidence, _allow_list(examination))


def _allow_list(examination: Examination) -> dict[str, str]:
    keys = examination.settings.lifecycle.role_label
    return {"keys": ",".join(("rollouts-pod-template-hash", *keys))}


def missing_resources(examination: Examination) -> Iterator[Symptom]:
    """A family of pods or ReplicaSets is on no page: the resource is not among --resources."""
    pages = _pages(examination, Source.KUBE_STATE_METRICS)
    names = frozenset[str]().union(*(page.families for page in pages))
    if not pages or not names:
        if pages and _shown_rollouts(examination, Source.ARGO):
            yield Symptom("kube_state_metrics", "its page is empty", {"resources": "pods and replicasets"})
        return
    prefixes = {"pods": "kube_pod_", "replicasets": "kube_replicaset_"}
    missing = [name for name, prefix in prefixes.items() if not any(family.startswith(prefix) for family in names)]
    if missing and any(name.startswith("kube_") for name in names):
        evidence = f"its page has no metric of {' or '.join(missing)}"
        yield Symptom("kube_state_metrics", evidence, {"resources": " and ".join(missing)})


def missing_shards(examination: Examination) -> Iterator[Symptom]:
    """Many pods belong to ReplicaSets that no page shows: another shard has these."""
    results = _results(examination, Source.KUBE_STATE_METRICS)
    owners = (dict(series.labels) for result in results for series, _ in result.samples("kube_replicaset_owner"))
    replica_sets = {(row.get("namespace", ""), row.get("replicaset", "")) for row in owners}
    infos = [dict(series.labels) for result in results for series, _ in result.samples("kube_pod_info")]
    owned = [row for row in infos if row.get("created_by_kind") == "ReplicaSet"]
    orphans = [row for row in owned if (row.get("namespace", ""), row.get("created_by_name", "")) not in replica_sets]
    if replica_sets and len(orphans) >= _MIN_ORPHANS and len(orphans) > _MAX_ORPHAN_SHARE * len(owned):
        evidence = f"{len(orphans)} of {len(owned)} pods belong to ReplicaSets that are on none of {len(results)} pages"
        yield Symptom("kube_state_metrics", evidence)


def starting(examination: Examination) -> Iterator[Symptom]:
    """A kube-state-metrics had no pods at the first look, and had some seconds later."""
    later = {page.key: page for page in examination.later_pages}
    for page in examination.pages:
        result = page.result
        again = later.get(page.key)
        if result.source is Source.ARGO or again is None or result.failure or again.result.failure:
            continue
        is_complete = _IS_COMPLETE[result.source]
        if not is_complete(result) and is_complete(again.result):
            evidence = f"had {result.sample_count} samples, and {again.result.sample_count} some seconds later"
            yield Symptom(f"{result.source} {result.target}", evidence)


_IS_COMPLETE: Final = {
    Source.KUBE_STATE_METRICS: kube_state_metrics.is_complete_page,
    Source.ROLLOUT_STATE: rollout_state.is_complete_page,
}


def ignored_filter(examination: Examination) -> Iterator[Symptom]:
    """The page has more than was asked for: before 2.18 kube-state-metrics ignores ?resources."""
    if "resources=" not in examination.settings.kube_state_metrics.path:
        return
    for page in _pages(examination, Source.KUBE_STATE_METRICS):
        others = sorted(filter(_KUBE.match, page.families))
        if others and "/" not in page.result.target:
            evidence = f"pods and ReplicaSets were asked for, and {others[0]} and {len(others) - 1} more families came"
            yield Symptom(f"kube_state_metrics {page.result.target}", evidence)


def unlisted_state(examination: Examination) -> Iterator[Symptom]:
    """Rollout state shows no rollout, though controllers do, who list them by the CRD: that is there."""
    rollouts = _shown_rollouts(examination, Source.ARGO)
    if rollouts and (page := _page_without_rollouts(examination)):
        yield Symptom("rollout_state", f"its page {page}, while the controllers show {len(rollouts)} rollouts")


def empty_state(examination: Examination) -> Iterator[Symptom]:
    """Rollout state shows no rollout, and neither does a controller, though ReplicaSets belong to some."""
    rollouts = _shown_rollouts(examination, Source.KUBE_STATE_METRICS)
    if rollouts and not _shown_rollouts(examination, Source.ARGO) and (page := _page_without_rollouts(examination)):
        yield Symptom("rollout_state", f"its page {page}, while ReplicaSets belong to {len(rollouts)} rollouts")


def _page_without_rollouts(examination: Examination) -> str:
    """Return what the page of rollout state is like, "" if it shows rollouts or cannot be read."""
    pages = _pages(examination, Source.ROLLOUT_STATE)
    names = frozenset[str]().union(*(page.families for page in pages))
    if not pages or any(name.startswith((_STATE, "kube_crd_rollout_")) for name in names):
        return ""
    others = sorted(name for name in names if name.startswith("kube_"))
    return f"has no {_STATE}…, but {others[0]}" if others else "is empty"


def partial_state(examination: Examination) -> Iterator[Symptom]:
    """Rollout state shows rollouts but no AnalysisRuns, which the controllers show: RBAC for these is missing."""
    pages = _pages(examination, Source.ROLLOUT_STATE)
    names = frozenset[str]().union(*(page.families for page in pages))
    runs = _count(_results(examination, Source.ARGO), "analysis_run_info")
    if _STATE_2 in names and runs and not any(name.startswith("kube_customresource_analysis_run_") for name in names):
        yield Symptom("rollout_state", f"shows no AnalysisRun, while the controllers show {runs}")


def first_state(examination: Examination) -> Iterator[Symptom]:
    """Rollout state has the chart's first configuration, without texts, steps and analyses."""
    for page in _pages(examination, Source.ROLLOUT_STATE):
        if f"{_STATE}generation" in page.families and _STATE_2 not in page.families:
            yield Symptom(f"rollout_state {page.result.target}", f"its page has no {_STATE_2}")


def old_state(examination: Examination) -> Iterator[Symptom]:
    """Rollout state is of a kube-state-metrics before 2.8, which spells prefix and labels differently."""
    for page in _pages(examination, Source.ROLLOUT_STATE):
        if any(name.startswith("kube_crd_rollout_") for name in page.families):
            yield Symptom(f"rollout_state {page.result.target}", "its families begin with kube_crd_")


def disagreement(examination: Examination) -> Iterator[Symptom]:
    """A source does not show rollouts that another one shows, at both looks."""
    if not examination.later_pages:
        return
    looks = [sightings.rollouts(examination.settings, pages) for pages in (examination.pages, examination.later_pages)]
    is_partial = any(missing_resources(examination)) or any(missing_shards(examination))
    for source in Source:
        for other in Source:
            if source is Source.KUBE_STATE_METRICS and is_partial:
                continue  # reported by itself
            if source is other or any(source not in look or other not in look for look in looks):
                continue
            missing = frozenset.intersection(*(look[other] - look[source] for look in looks))
            if source is Source.KUBE_STATE_METRICS:
                missing -= sightings.invalid_rollouts(examination.last_pages)
            if missing:
                evidence = f"{other} shows {len(missing)} rollouts that {source} does not: {_join(missing)}"
                yield Symptom(source.value, evidence, {"setting": source.value, "other": other.value})


def _shown_rollouts(examination: Examination, source: Source) -> Collection[RolloutKey]:
    return sightings.rollouts(examination.settings, examination.last_pages).get(source, frozenset())


def _join(rollouts: Iterable[RolloutKey]) -> str:
    names = sorted("/".join(key) for key in rollouts)
    return ", ".join(names[:_MAX_NAMES]) + (f" and {len(names) - _MAX_NAMES} more" if len(names) > _MAX_NAMES else "")
