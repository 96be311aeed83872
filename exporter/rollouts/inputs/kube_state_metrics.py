"""kube-state-metrics' pages (every shard's) → a Workload of each rollout.

The chain is pod → ReplicaSet → Rollout, by owners; it needs no allow-list. The hash is the ReplicaSet's name less
`<rollout>-` (facts/kube-state-metrics.md 0.2); pod names are no key, since they may be cut.
"""

from __future__ import annotations

import math
from operator import attrgetter
from typing import TYPE_CHECKING, Final, Generic, TypeVar

from exporter.incremental import Notes
from exporter.metrics import Source
from exporter.rollouts.inputs.controller import samples
from exporter.rollouts.model import Pod, ReplicaSet, RolloutKey, Workload

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from exporter.metrics import ScrapeResult

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
K = TypeVar("K")
V = TypeVar("V")
H = TypeVar("H")
T = TypeVar("T")
NOWHERE: Final[_Owned] = ("", "")


def believable(page: ScrapeResult) -> bool:
    """Tell a page that shows pods from one of a process that is still filling up (observed.md 3.5.3 and 3.5.4).

    A restarted kube-state-metrics answers 200 with nothing, then with ReplicaSets and no pods.
    """
    if page.failure is not None:
        return False
    if len(page.families.get("kube_pod_info", ())):
        return True
    owners = page.families.get("kube_replicaset_owner")
    sizes = sum(value for _, value in samples(page, "kube_replicaset_status_replicas"))
    return owners is not None and len(owners) > 0 and sizes == 0


class Workloads:
    """Joins kube-state-metrics' pages, from tick to tick: only of what has changed something is worked out.

    `roles` maps a pod label (as kube-state-metrics spells it) to role by value.
    """

    def __init__(self, roles: Mapping[str, Mapping[str, str]]) -> None:
        self._owners = Table(Notes("kube_replicaset_owner", _owner))
        self._created = Table(Notes("kube_replicaset_created", _of_set))
        self._wanted = Table(Notes("kube_replicaset_spec_replicas", _of_set))
        self._sizes = Table(Notes("kube_replicaset_status_replicas", _of_set))
        self._revisions = Table(Notes("kube_replicaset_annotations", _revision))
        self._terminating = Table(Notes("kube_pod_deletion_timestamp", lambda labels, _: (_uid(labels), True)))
        self._finished = Table(Notes("kube_pod_status_phase", _finished))
        self._ready = Table(Notes("kube_pod_status_ready", _ready))
        self._claimed = Table(Notes("kube_pod_labels", lambda labels, _: _claimed(labels, roles)))
        self._infos = Table(Notes("kube_pod_info", _info))
        self._sets_of: Index[RolloutKey, _Owned] = Index()
        self._pods_of: Index[_Owned, _Uid] = Index()
        self._found: dict[RolloutKey, Workload] = {}

    def read(self, pages: Sequence[ScrapeResult], at: float) -> dict[RolloutKey, Workload]:
        """Join all shards' pages, said `at` a time (Unix seconds); what stays the same keeps the time it was made."""
        pages = [page for page in pages if page.source is Source.KUBE_STATE_METRICS and page.failure is None]
        of_sets = (self._owners, self._created, self._wanted, self._sizes, self._revisions)
        of_pods = (self._terminating, self._finished, self._ready, self._claimed)
        sets: set[_Owned] = set()
        for table in of_sets:
            sets |= table.follow(pages)
        pods = self._infos.follow(pages)
        for other in of_pods:
            pods |= other.follow(pages)
        touched = {self._sets_of.home.get(owned) for owned in sets}
        for uid in pods:
            touched.add(self._sets_of.home.get(self._pods_of.home.get(uid, NOWHERE)))
            info = self._infos.by.get(uid)
            self._pods_of.put(uid, (uid[0], info[0]) if info is not None else None)
            sets.add(self._pods_of.home.get(uid, NOWHERE))
        for owned in sets:
            self._sets_of.put(owned, self._rollout(owned))
        touched.update(map(self._sets_of.home.get, sets))
        for key in filter(None, touched):
            self._anew(key, at)
        return dict(self._found)

    def _rollout(self, owned: _Owned) -> RolloutKey | None:
        """Return the rollout, or the experiment, that has a ReplicaSet."""
        owner = self._owners.by.get(owned)
        return (owned[0], owner[1]) if owner is not None else None

    def _anew(self, key: RolloutKey, at: float) -> None:
        """Make the workload of a rollout anew."""
        owned = self._sets_of.within(key)
        sets = {one.hash: one for one in map(self._replica_set, owned) if one is not None}
        pods = sorted(filter(None, map(self._pod, self._uids(owned))), key=attrgetter("name"))
        if sets or pods:
            self._found[key] = Workload(sets, tuple(pods), at)
        else:
            self._found.pop(key, None)

    def _uids(self, sets: Iterable[_Owned]) -> Iterator[_Uid]:
        for owned in sets:
            yield from self._pods_of.within(owned)

    def _replica_set(self, owned: _Owned) -> ReplicaSet | None:
        kind, owner = self._owners.by[owned]
        digest = _digest(owned[1], owner)
        if kind != "Rollout" or digest is None:
            return None
        return ReplicaSet(
            digest,
            self._revisions.by.get(owned),
            self._created.by.get(owned, math.nan),
            self._wanted.by.get(owned, 0),
            self._sizes.by.get(owned, 0),
        )

    def _pod(self, uid: _Uid) -> Pod | None:
        if uid in self._terminating.by or uid in self._finished.by:
            return None
        name, node = self._infos.by[uid]
        kind, owner = self._owners.by[uid[0], name]
        experiment = kind == "Experiment"
        digest = "" if experiment else name[len(owner) + 1 :]
        claimed = self._claimed.by.get(uid, "")
        return Pod(uid[1], uid[2], node, name, digest, uid in self._ready.by, experiment, claimed)


class Table(Generic[K, V]):
    """Notes of one family that are pairs, as a mapping that follows the pages."""

    def __init__(self, notes: Notes[tuple[K, V]]) -> None:
        self._notes = notes
        self._many = 0
        self.by: dict[K, V] = {}

    def follow(self, pages: Iterable[ScrapeResult]) -> set[K]:
        """Take the pages of a tick; return the keys of which another thing is noted, or perhaps the same anew."""
        gone, come = self._notes.changes(pages)
        self._many += len(come) - len(gone)
        for key, _ in gone:
            self.by.pop(key, None)
        self.by.update(come)
        touched = {key for key, _ in (*gone, *come)}
        if self._many != len(self.by):  # two pages show the same, so that what one shows no longer may be on the other
            self.by = dict(self._notes.all)
        return touched


class Index(Generic[H, T]):
    """What is within what: `home` says where each thing is."""

    def __init__(self) -> None:
        self.home: dict[T, H] = {}
        self._within: dict[H, dict[T, None]] = {}

    def put(self, one: T, home: H | None) -> None:
        """Put a thing somewhere, or nowhere."""
        before = self.home.get(one)
        if before == home:
            return
        if before is not None:
            inside = self._within[before]
            del inside[one], self.home[one]
            if not inside:
                del self._within[before]
        if home is not None:
            self.home[one] = home
            self._within.setdefault(home, {})[one] = None

    def within(self, home: H) -> Iterable[T]:
        """Return what is somewhere."""
        return self._within.get(home, ())


def _digest(name: str, owner: str) -> str | None:
    """Return the hash in a ReplicaSet's name, None when it is not named after its owner."""
    return name[len(owner) + 1 :] if name.startswith(f"{owner}-") else None


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


def _finished(labels: Mapping[str, str], value: float) -> tuple[_Uid, bool] | None:
    return (_uid(labels), True) if value and labels.get("phase", "") in _FINISHED else None


def _ready(labels: Mapping[str, str], value: float) -> tuple[_Uid, bool] | None:
    return (_uid(labels), True) if value and labels.get("condition", "") == "true" else None


def _claimed(labels: Mapping[str, str], roles: Mapping[str, Mapping[str, str]]) -> tuple[_Uid, str] | None:
    """Note the role that an ephemeral-metadata label claims."""
    claims = [role for label, by_value in roles.items() if (role := by_value.get(labels.get(label, ""), ""))]
    return (_uid(labels), claims[-1]) if claims else None


def _info(labels: Mapping[str, str], _: float) -> tuple[_Uid, tuple[str, str]] | None:
    """Note a pod of a ReplicaSet: which one's, and its node."""
    if labels.get("created_by_kind", "") != "ReplicaSet":
        return None
    return _uid(labels), (labels.get("created_by_name", ""), labels.get("node", ""))
