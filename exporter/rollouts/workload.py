"""kube-state-metrics' pages (every shard's) → a Workload of each rollout.

The chain is pod → ReplicaSet → Rollout, by owners; it needs no allow-list. The hash is the ReplicaSet's name less
`<rollout>-` (facts/kube-state-metrics.md 0.2); pod names are no key, since they may be cut.
"""

from __future__ import annotations

import math
from collections import defaultdict
from operator import attrgetter
from typing import TYPE_CHECKING, Final

from exporter.family import Source
from exporter.rollouts.fleet import Key, Pod, ReplicaSet, Workload
from exporter.rollouts.notes import Notes
from exporter.rollouts.reading import samples

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from exporter.family import Page

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
_Uid = tuple[str, str, str]


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


class Workloads:
    """Joins kube-state-metrics' pages, from tick to tick.

    `roles` maps a pod label (as kube-state-metrics spells it) to role by value.
    """

    def __init__(self, roles: Mapping[str, Mapping[str, str]]) -> None:
        self._owners = Notes("kube_replicaset_owner", _owner)
        self._created = Notes("kube_replicaset_created", _of_set)
        self._wanted = Notes("kube_replicaset_spec_replicas", _of_set)
        self._sizes = Notes("kube_replicaset_status_replicas", _of_set)
        self._revisions = Notes("kube_replicaset_annotations", _revision)
        self._terminating = Notes("kube_pod_deletion_timestamp", lambda labels, _: _uid(labels))
        self._finished = Notes("kube_pod_status_phase", _finished)
        self._ready = Notes("kube_pod_status_ready", _ready)
        self._claimed = Notes("kube_pod_labels", lambda labels, _: _claimed(labels, roles))
        self._infos = Notes("kube_pod_info", _info)

    def read(self, pages: Sequence[Page], at: float) -> dict[Key, Workload]:
        """Join all shards' pages, said `at` a time (Unix seconds)."""
        pages = [page for page in pages if page.source is Source.KUBE_STATE_METRICS and page.trouble is None]
        owners = dict(self._owners.of(pages))
        sets = self._replica_sets(pages, owners)
        pods: dict[Key, list[Pod]] = defaultdict(list)
        for key, pod in self._pods(pages, owners):
            pods[key].append(pod)
        return {
            key: Workload(sets.get(key, {}), tuple(sorted(pods.get(key, ()), key=attrgetter("name"))), at)
            for key in {**sets, **pods}
        }

    def _replica_sets(
        self, pages: Sequence[Page], owners: Mapping[_Owned, tuple[str, str]]
    ) -> dict[Key, dict[str, ReplicaSet]]:
        created, wanted = dict(self._created.of(pages)), dict(self._wanted.of(pages))
        sizes, revisions = dict(self._sizes.of(pages)), dict(self._revisions.of(pages))
        found: dict[Key, dict[str, ReplicaSet]] = defaultdict(dict)
        for owned, (kind, owner) in owners.items():
            namespace, name = owned
            if kind == "Rollout" and name.startswith(f"{owner}-"):
                digest = name[len(owner) + 1 :]
                found[namespace, owner][digest] = ReplicaSet(
                    digest,
                    revisions.get(owned),
                    created.get(owned, math.nan),
                    wanted.get(owned, 0),
                    sizes.get(owned, 0),
                )
        return found

    def _pods(self, pages: Sequence[Page], owners: Mapping[_Owned, tuple[str, str]]) -> Iterator[tuple[Key, Pod]]:
        seen = {*self._terminating.of(pages), *self._finished.of(pages)}
        ready, claimed = set(self._ready.of(pages)), dict(self._claimed.of(pages))
        for uid, name, node in self._infos.of(pages):
            owner = owners.get((uid[0], name))
            if owner is None or uid in seen:
                continue
            seen.add(uid)
            kind, rollout = owner
            experiment = kind == "Experiment"
            digest = "" if experiment else name[len(rollout) + 1 :]
            yield (
                (uid[0], rollout),
                Pod(uid[1], uid[2], node, name, digest, uid in ready, experiment, claimed.get(uid, "")),
            )


def _owner(labels: Mapping[str, str], _: float) -> tuple[_Owned, tuple[str, str]] | None:
    """Note the owner of a ReplicaSet of a Rollout or an Experiment: (kind, owner's name)."""
    kind = labels.get("owner_kind", "")
    return (_set(labels), (kind, labels.get("owner_name", ""))) if kind in ("Rollout", "Experiment") else None


def _of_set(labels: Mapping[str, str], value: float) -> tuple[_Owned, float]:
    return _set(labels), value


def _revision(labels: Mapping[str, str], _: float) -> tuple[_Owned, int] | None:
    """Note a revision annotation, compared as a number; a ReplicaSet taken up again has the highest one."""
    text = labels.get(_REVISION, "")
    return (_set(labels), int(text)) if text.isascii() and text.isdigit() else None


def _set(labels: Mapping[str, str]) -> _Owned:
    return labels.get("namespace", ""), labels.get("replicaset", "")


def _uid(labels: Mapping[str, str]) -> _Uid:
    return labels.get("namespace", ""), labels.get("pod", ""), labels.get("uid", "")


def _finished(labels: Mapping[str, str], value: float) -> _Uid | None:
    return _uid(labels) if value and labels.get("phase", "") in _FINISHED else None


def _ready(labels: Mapping[str, str], value: float) -> _Uid | None:
    return _uid(labels) if value and labels.get("condition", "") == "true" else None


def _claimed(labels: Mapping[str, str], roles: Mapping[str, Mapping[str, str]]) -> tuple[_Uid, str] | None:
    """Note the role that an ephemeral-metadata label claims."""
    claims = [role for label, by_value in roles.items() if (role := by_value.get(labels.get(label, ""), ""))]
    return (_uid(labels), claims[-1]) if claims else None


def _info(labels: Mapping[str, str], _: float) -> tuple[_Uid, str, str] | None:
    """Note a pod of a ReplicaSet: which, and its node."""
    if labels.get("created_by_kind", "") != "ReplicaSet":
        return None
    return _uid(labels), labels.get("created_by_name", ""), labels.get("node", "")
