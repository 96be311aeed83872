"""kube-state-metrics' pages (every shard's) → a Workload of each rollout.

The chain is pod → ReplicaSet → Rollout, by owners; it needs no allow-list. The hash is the ReplicaSet's name less
`<rollout>-` (facts/kube-state-metrics.md 0.2); pod names are no key, since they may be cut.
"""

from __future__ import annotations

import math
from collections import defaultdict
from typing import TYPE_CHECKING, Final

from exporter.family import Source
from exporter.rollouts.fleet import Key, Pod, ReplicaSet, Workload
from exporter.rollouts.reading import samples

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from exporter.family import Page, Series

WANTED: Final = frozenset({
    "kube_pod_deletion_timestamp",
    "kube_pod_info",
    "kube_pod_labels",
    "kube_pod_status_phase",
    "kube_pod_status_ready",
    "kube_replicaset_annotations",
    "kube_replicaset_created",
    "kube_replicaset_owner",
    "kube_replicaset_spec_replicas",
    "kube_replicaset_status_replicas",
})  # fmt: skip # a table
_REVISION: Final = "annotation_rollout_argoproj_io_revision"
_FINISHED: Final = frozenset({"Succeeded", "Failed"})
_Owned = tuple[str, str]


def believable(page: Page) -> bool:
    """Tell a page that shows pods from one of a process that is still filling up (observed.md 3.5.3 and 3.5.4).

    A restarted kube-state-metrics answers 200 with nothing, then with ReplicaSets and no pods.
    """
    if page.trouble is not None:
        return False
    if len(page.families.get("kube_pod_info", ())):
        return True
    owners = page.families.get("kube_replicaset_owner")
    sizes = sum(value for _, value in samples(page, "kube_replicaset_status_replicas"))
    return owners is not None and len(owners) > 0 and sizes == 0


def workloads(pages: Sequence[Page], roles: Mapping[str, Mapping[str, str]], at: float) -> dict[Key, Workload]:
    """Join all shards' pages, said `at` a time (Unix seconds).

    `roles` maps a pod label (as kube-state-metrics spells it) to role by value.
    """
    pages = [page for page in pages if page.source is Source.KUBE_STATE_METRICS and page.trouble is None]
    owners = _owners(pages)
    sets = _replica_sets(pages, owners)
    pods: dict[Key, list[Pod]] = defaultdict(list)
    for key, pod in _pods(pages, owners, roles):
        pods[key].append(pod)
    return {
        key: Workload(sets.get(key, {}), tuple(sorted(pods.get(key, ()), key=lambda pod: pod.name)), at)
        for key in {**sets, **pods}
    }


def _all(pages: Iterable[Page], name: str) -> Iterator[tuple[Series, float]]:
    for page in pages:
        yield from samples(page, name)


def _owners(pages: Sequence[Page]) -> dict[_Owned, tuple[str, str]]:
    """ReplicaSets of Rollouts and Experiments: (namespace, ReplicaSet) → (kind, owner's name)."""
    return {
        (series.label("namespace"), series.label("replicaset")): (kind, series.label("owner_name"))
        for series, _ in _all(pages, "kube_replicaset_owner")
        if (kind := series.label("owner_kind")) in ("Rollout", "Experiment")
    }


def _by_set(pages: Sequence[Page], name: str) -> dict[_Owned, float]:
    return {(series.label("namespace"), series.label("replicaset")): value for series, value in _all(pages, name)}


def _replica_sets(pages: Sequence[Page], owners: Mapping[_Owned, tuple[str, str]]) -> dict[Key, dict[str, ReplicaSet]]:
    created = _by_set(pages, "kube_replicaset_created")
    wanted = _by_set(pages, "kube_replicaset_spec_replicas")
    sizes = _by_set(pages, "kube_replicaset_status_replicas")
    revisions = _revisions(pages)
    found: dict[Key, dict[str, ReplicaSet]] = defaultdict(dict)
    for owned, (kind, owner) in owners.items():
        namespace, name = owned
        if kind == "Rollout" and name.startswith(f"{owner}-"):
            digest = name[len(owner) + 1 :]
            found[namespace, owner][digest] = ReplicaSet(
                digest, revisions.get(owned), created.get(owned, math.nan), wanted.get(owned, 0), sizes.get(owned, 0)
            )
    return found


def _revisions(pages: Sequence[Page]) -> dict[_Owned, int]:
    """Read revision annotations, compared as numbers; a ReplicaSet taken up again has the highest one."""
    return {
        (series.label("namespace"), series.label("replicaset")): int(text)
        for series, _ in _all(pages, "kube_replicaset_annotations")
        if (text := series.label(_REVISION)).isascii() and text.isdigit()
    }


def _uid(series: Series) -> tuple[str, str, str]:
    return series.label("namespace"), series.label("pod"), series.label("uid")


def _pods(
    pages: Sequence[Page], owners: Mapping[_Owned, tuple[str, str]], roles: Mapping[str, Mapping[str, str]]
) -> Iterator[tuple[Key, Pod]]:
    terminating = {_uid(series) for series, _ in _all(pages, "kube_pod_deletion_timestamp")}
    finished = {
        _uid(series)
        for series, value in _all(pages, "kube_pod_status_phase")
        if value and series.label("phase") in _FINISHED
    }
    ready = {
        _uid(series)
        for series, value in _all(pages, "kube_pod_status_ready")
        if value and series.label("condition") == "true"
    }
    claimed = _claimed(pages, roles)
    seen = terminating | finished
    for series, _ in _all(pages, "kube_pod_info"):
        uid = _uid(series)
        name = series.label("created_by_name")
        owner = owners.get((uid[0], name)) if series.label("created_by_kind") == "ReplicaSet" else None
        if owner is None or uid in seen:
            continue
        seen.add(uid)
        kind, rollout = owner
        experiment = kind == "Experiment"
        yield (
            (uid[0], rollout),
            Pod(
                name=uid[1],
                uid=uid[2],
                node=series.label("node"),
                replica_set=name,
                hash="" if experiment else name[len(rollout) + 1 :],
                ready=uid in ready,
                experiment=experiment,
                label_role=claimed.get(uid, ""),
            ),
        )


def _claimed(pages: Sequence[Page], roles: Mapping[str, Mapping[str, str]]) -> dict[tuple[str, str, str], str]:
    """Read the roles that ephemeral-metadata labels claim."""
    return {
        _uid(series): role
        for series, _ in _all(pages, "kube_pod_labels")
        for label, by_value in roles.items()
        if (role := by_value.get(series.label(label), ""))
    }
