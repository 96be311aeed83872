"""kube-state-metrics' pages (every shard's) → a `Workload` of each rollout.

Pods are joined to ReplicaSets and those to rollouts by their owners, which kube-state-metrics exports without an
allow-list. The pod template hash is the ReplicaSet's name without `<rollout>-`: the controller names it so. Names of
pods are not parsed, since Kubernetes truncates long ones.
"""

from __future__ import annotations

import math
import re
from datetime import UTC, datetime
from functools import partial
from itertools import chain
from operator import attrgetter
from typing import TYPE_CHECKING, Final

from exporter.incremental import FamilyParts, FamilyView, OneToManyIndex
from exporter.rollouts.model import Pod, ReplicaSet, RolloutKey, Workload, shared
from exporter.rollouts.replacing import replace

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from exporter.metrics import ScrapeResult

REQUIRED_FAMILIES: Final = frozenset({
    "kube_pod_container_info", "kube_pod_deletion_timestamp", "kube_pod_info", "kube_pod_labels",
    "kube_pod_status_phase", "kube_pod_status_ready",
    "kube_replicaset_annotations", "kube_replicaset_created", "kube_replicaset_owner", "kube_replicaset_spec_replicas",
    "kube_replicaset_status_replicas",
})  # fmt: skip # a table
COMMIT_FAMILY: Final = "kube_replicaset_labels"
"""Read only if the setting `lifecycle.commit_time` asks for it: it has a sample for every ReplicaSet of the cluster."""
_REVISION: Final = "annotation_rollout_argoproj_io_revision"
"""`rollout.argoproj.io/revision`, as kube-state-metrics spells it; it needs --metric-annotations-allowlist."""
_FINISHED: Final = frozenset({"Succeeded", "Failed"})
_CAMEL_BOUNDARY: Final = re.compile(r"([a-z0-9])([A-Z])")
_INVALID_LABEL_CHAR: Final = re.compile(r"[^a-zA-Z0-9_]")
_ReplicaSetKey = tuple[str, str]
"""Namespace and name: families of ReplicaSets have no uid."""
_PodKey = tuple[str, str, str]
NO_REPLICA_SET: Final[_ReplicaSetKey] = ("", "")
"""A key that no ReplicaSet has, so that it has no parent."""


def exposed_label(key: str) -> str:
    """Spell the key of a label as kube-state-metrics does: camelCase to snake_case, other characters to `_`."""
    return _INVALID_LABEL_CHAR.sub("_", _CAMEL_BOUNDARY.sub(r"\1_\2", key)).lower()


def is_complete_page(result: ScrapeResult) -> bool:
    """Return whether a page shows pods, as that of a kube-state-metrics whose caches are filled.

    After a restart it answers 200 with an empty page, then with ReplicaSets and no pods, for seconds each.
    """
    if result.failure is not None:
        return False
    if len(result.families.get("kube_pod_info", ())):
        return True
    # A cluster in which all ReplicaSets are scaled to 0 has no pods to show.
    owners = result.families.get("kube_replicaset_owner")
    pod_count = sum(value for _, value in result.samples("kube_replicaset_status_replicas"))
    return owners is not None and len(owners) > 0 and pod_count == 0


class WorkloadIndex:
    """Joins kube-state-metrics' pages from tick to tick; builds workloads only of rollouts whose samples changed.

    `role_labels` maps a pod label, spelled as kube-state-metrics spells it, to role by label value; `commit_time` are
    annotations and labels of ReplicaSets with the commit's time, spelled so, too.
    """

    def __init__(self, role_labels: Mapping[str, Mapping[str, str]], commit_time: Sequence[str] = ()) -> None:
        self._owners = FamilyView("kube_replicaset_owner", _owner)
        self._created = FamilyView("kube_replicaset_created", _replica_set_value)
        self._desired = FamilyView("kube_replicaset_spec_replicas", _replica_set_value)
        self._pod_counts = FamilyView("kube_replicaset_status_replicas", _replica_set_value)
        self._revisions = FamilyView("kube_replicaset_annotations", _revision)
        committed_at = partial(_committed_at, commit_time)
        self._annotated_commits = FamilyView("kube_replicaset_annotations", committed_at)
        self._labelled_commits = FamilyView(COMMIT_FAMILY, committed_at)
        self._terminating = FamilyView("kube_pod_deletion_timestamp", lambda labels, _: (_pod_key(labels), True))
        self._finished = FamilyView("kube_pod_status_phase", _finished)
        self._ready = FamilyView("kube_pod_status_ready", _ready)
        self._label_roles = FamilyView("kube_pod_labels", lambda labels, _: _label_role(labels, role_labels))
        self._pod_infos = FamilyView("kube_pod_info", _pod_info)
        self._containers = FamilyParts("kube_pod_container_info", _container)
        self._replica_sets_of: OneToManyIndex[RolloutKey, _ReplicaSetKey] = OneToManyIndex()
        self._pods_of: OneToManyIndex[_ReplicaSetKey, _PodKey] = OneToManyIndex()
        self._workloads: dict[RolloutKey, Workload] = {}

    def read(self, results: Sequence[ScrapeResult], now: float) -> dict[RolloutKey, Workload]:
        """Return the workload of each rollout on all shards' pages; an unchanged one keeps its `observed_at`."""
        replica_sets: set[_ReplicaSetKey] = set()
        for table in (self._owners, self._created, self._desired, self._pod_counts, self._revisions):
            replica_sets |= table.follow(results)
        for commits in (self._annotated_commits, self._labelled_commits):
            replica_sets |= commits.follow(results)
        pods = self._pod_infos.follow(results) | self._containers.follow(results)
        for pod_table in (self._terminating, self._finished, self._ready, self._label_roles):
            pods |= pod_table.follow(results)
        # A pod or ReplicaSet that moves changes two rollouts: look up the parents before and after the move.
        changed = {self._replica_sets_of.parents.get(replica_set) for replica_set in replica_sets}
        for pod in pods:
            changed.add(self._replica_sets_of.parents.get(self._pods_of.parents.get(pod, NO_REPLICA_SET)))
            info = self._pod_infos.values.get(pod)
            self._pods_of.put(pod, (pod[0], info[0]) if info is not None else None)
            replica_sets.add(self._pods_of.parents.get(pod, NO_REPLICA_SET))
        for replica_set in replica_sets:
            owner = self._owners.values.get(replica_set)
            self._replica_sets_of.put(replica_set, (replica_set[0], owner[1]) if owner is not None else None)
        changed.update(map(self._replica_sets_of.parents.get, replica_sets))
        for key in filter(None, changed):
            self._rebuild(key, now)
        # A copy: the caller compares it with the mapping of the tick before.
        return dict(self._workloads)

    def _rebuild(self, key: RolloutKey, now: float) -> None:
        # Sorted, as the pods below: of two ReplicaSets of the same age the first counts as the newest.
        keys = sorted(self._replica_sets_of.children(key))
        replica_sets = {built.hash: built for built in map(self._replica_set, keys) if built is not None}
        pod_keys = chain.from_iterable(map(self._pods_of.children, keys))
        # A restarted kube-state-metrics writes its rows in another order.
        pods = sorted(filter(None, map(self._pod, pod_keys)), key=attrgetter("name"))
        if replica_sets or pods:
            doubtful = _hashes_with_doubtful_roles(pods)
            believed = (replace(pod, label_role="") if pod.hash in doubtful else pod for pod in pods)
            self._workloads[key] = Workload(replica_sets, tuple(believed), now, has_doubtful_roles=bool(doubtful))
        else:
            self._workloads.pop(key, None)

    def _replica_set(self, key: _ReplicaSetKey) -> ReplicaSet | None:
        kind, owner = self._owners.values[key]
        pod_template_hash = _pod_template_hash(key[1], owner)
        if kind != "Rollout" or pod_template_hash is None:
            return None
        return ReplicaSet(
            pod_template_hash,
            self._revisions.values.get(key),
            self._created.values.get(key, math.nan),  # NaN is neither older nor newer than any time
            self._desired.values.get(key, 0),
            self._pod_counts.values.get(key, 0),
            self._annotated_commits.values.get(key, self._labelled_commits.values.get(key)),
        )

    def _pod(self, key: _PodKey) -> Pod | None:
        # A terminating pod is still exported as running, often as ready; only its deletion timestamp shows it.
        if key in self._terminating.values or key in self._finished.values:
            return None
        replica_set, node = self._pod_infos.values[key]
        kind, owner = self._owners.values[key[0], replica_set]
        experiment = kind == "Experiment"
        return Pod(
            name=key[1],
            uid=key[2],
            node=node,
            replica_set=replica_set,
            hash="" if experiment else replica_set[len(owner) + 1 :],
            ready=key in self._ready.values,
            experiment=experiment,
            label_role=self._label_roles.values.get(key, ""),
            images=shared(self._containers.parts(key)),
        )


def _hashes_with_doubtful_roles(pods: Sequence[Pod]) -> set[str]:
    """Return the hashes whose pods have labels that claim a role, but not as ephemeral metadata does.

    The controller gives all pods of a revision one role, and no role to two revisions. Where it stopped relabelling
    half-way, or the pod template itself has the label, the label does not tell the role.
    """
    claims: dict[str, set[str]] = {}
    for pod in pods:
        if not pod.experiment:
            claims.setdefault(pod.hash, set()).add(pod.label_role)
    hashes_by_role: dict[str, set[str]] = {}
    for pod_hash, roles in claims.items():
        for role in filter(None, roles):
            hashes_by_role.setdefault(role, set()).add(pod_hash)
    mixed = {pod_hash for pod_hash, roles in claims.items() if len(roles) > 1}
    return mixed.union(*(hashes for hashes in hashes_by_role.values() if len(hashes) > 1))


def _pod_template_hash(name: str, owner: str) -> str | None:
    """Return the hash in a ReplicaSet's name, None if it is not named after its owner."""
    return name[len(owner) + 1 :] if name.startswith(f"{owner}-") else None


def _owner(labels: Mapping[str, str], _: float) -> tuple[_ReplicaSetKey, tuple[str, str]] | None:
    """Return kind and name of a ReplicaSet's owner, if that is a Rollout or an Experiment."""
    kind = labels.get("owner_kind", "")
    if kind not in ("Rollout", "Experiment"):
        return None
    return _replica_set_key(labels), (kind, labels.get("owner_name", ""))


def _replica_set_value(labels: Mapping[str, str], value: float) -> tuple[_ReplicaSetKey, float] | None:
    # A value that is no number counts as absent, as on a controller's page.
    return (_replica_set_key(labels), value) if math.isfinite(value) else None


def _revision(labels: Mapping[str, str], _: float) -> tuple[_ReplicaSetKey, int] | None:
    """Return the revision annotation as a number; a rollback gives an old ReplicaSet the highest one."""
    text = labels.get(_REVISION, "")
    # `isdigit` is true for digits such as a superscript, which `int` refuses.
    return (_replica_set_key(labels), int(text)) if text.isascii() and text.isdigit() else None


def _committed_at(names: Sequence[str], labels: Mapping[str, str], _: float) -> tuple[_ReplicaSetKey, float] | None:
    """Return the commit's time (Unix seconds), written so or as in RFC 3339; a label cannot hold the latter."""
    text = next((labels[name] for name in names if labels.get(name)), "")
    if text.isascii() and text.isdigit():
        return _replica_set_key(labels), float(text)
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        return None
    return _replica_set_key(labels), (time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp()


def _replica_set_key(labels: Mapping[str, str]) -> _ReplicaSetKey:
    return labels.get("namespace", ""), labels.get("replicaset", "")


def _pod_key(labels: Mapping[str, str]) -> _PodKey:
    return labels.get("namespace", ""), labels.get("pod", ""), labels.get("uid", "")


def _finished(labels: Mapping[str, str], value: float) -> tuple[_PodKey, bool] | None:
    return (_pod_key(labels), True) if value and labels.get("phase", "") in _FINISHED else None


def _ready(labels: Mapping[str, str], value: float) -> tuple[_PodKey, bool] | None:
    # Each pod has three rows, of which one is 1; a new pod has none.
    return (_pod_key(labels), True) if value and labels.get("condition", "") == "true" else None


def _label_role(labels: Mapping[str, str], role_labels: Mapping[str, Mapping[str, str]]) -> tuple[_PodKey, str] | None:
    """Return the role in a pod's ephemeral-metadata label."""
    roles = [role for label, by_value in role_labels.items() if (role := by_value.get(labels.get(label, ""), ""))]
    return (_pod_key(labels), roles[-1]) if roles else None


def _pod_info(labels: Mapping[str, str], _: float) -> tuple[_PodKey, tuple[str, str]] | None:
    """Return ReplicaSet and node of a pod, None for the pod of another owner."""
    if labels.get("created_by_kind", "") != "ReplicaSet":
        return None
    return _pod_key(labels), (labels.get("created_by_name", ""), labels.get("node", ""))


def _container(labels: Mapping[str, str], _: float) -> tuple[tuple[_PodKey, str], str] | None:
    """Return the image of a container as the pod's template has it."""
    # `image` is what the runtime calls it: with a registry or a digest that the template does not have.
    image = labels.get("image_spec", "")
    return ((_pod_key(labels), labels.get("container", "")), image) if image else None
