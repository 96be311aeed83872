"""`TrackerState` as rows and back, so that a commit holds only what changed since the one before.

Hashes, phase starts, counters and their start times must outlive a restart: without them the first tick after it would
export less than the last one before it. A row is JSON, compressed if that pays; its key starts with the kind of the
row. Times of every tick are in one small row, so a rollout at rest has no row to write.
"""

from __future__ import annotations

import json
import zlib
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Final, TypeVar
from urllib.parse import quote

from exporter.packed import pack
from exporter.rollouts.details import RolloutDetails
from exporter.rollouts.inputs.last_status import RememberedStatuses
from exporter.rollouts.model import (
    NO_ACCOUNT,
    NO_HASHES,
    NO_MEMORY,
    AttemptEvent,
    ControllerProcess,
    PhaseHistory,
    ReplicaCounts,
    RevisionHashes,
    RolloutState,
    RolloutStatus,
    RouterWeight,
    ShownState,
    Update,
    UpdateAccount,
    UpdateMemory,
    UpdateState,
)
from exporter.rollouts.nested_rows import from_document, to_document
from exporter.rollouts.output.durations import HistogramState
from exporter.rollouts.output.namespace_counters import NamespaceCount
from exporter.rollouts.output.renderer import InfoSeries
from exporter.rollouts.tracker import TrackerState

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from _typeshed import DataclassInstance

    from exporter.metrics import Labels, SampleBatch
    from exporter.rollouts.model import RolloutKey
    from exporter.rollouts.output.renderer import InfoKey

T = TypeVar("T")
Document = list[Any]
"""A JSON array, which every row is."""
Parts = Mapping[Any, Any]
"""The parts of a state that have a row each, by key: some words, or none if the kind has one row."""
Rows = Mapping[str, bytes]
"""The rows of a state by key."""
RowChanges = dict[str, bytes | None]
"""Rows to write, None for a row to delete."""
_MIN_PACKED_SIZE: Final = 1_000
"""A shorter row stays plain text: compression would save less than a page of the database."""
_MAX_ROW_SIZE: Final = 64 * 1024**2
"""A row that unpacks to more bytes is damaged: a few compressed bytes must not take all memory."""


class StateRowEncoder:
    """Encodes states, one after another, as the rows that changed since the state before.

    `stored` are the rows that storage holds. A rollout at rest costs a comparison of two references.
    """

    def __init__(self, stored: Rows | None = None) -> None:
        # Hashes of 64 bits instead of the rows, which would double the memory of the state.
        self._hashes = {key: hash(row) for key, row in (stored or {}).items()}
        self._parts: dict[str, Parts] = {}

    def changes(self, state: TrackerState, *, everything: bool = False) -> RowChanges:
        """Return the rows that differ from the stored ones, with `everything` all; the caller commits them."""
        if everything:
            self._hashes, self._parts = {}, {}
        # The first call encodes everything: a stored row that is not among that belongs to nothing in the state.
        rows: RowChanges = {} if self._parts else dict.fromkeys(self._hashes)
        for kind, row_kind in _KINDS.items():
            previous, parts = self._parts.get(kind, {}), row_kind.parts(state)
            rows |= {_row_key(kind, key): None for key in previous if key not in parts}
            for key, part in parts.items():
                if (other := previous.get(key)) is not part and other != part:
                    rows[_row_key(kind, key)] = _pack(row_kind.document(key, part))
            self._parts[kind] = parts
        return {key: row for key, row in rows.items() if self._is_new(key, row)}

    def _is_new(self, key: str, row: bytes | None) -> bool:
        """Return whether a row differs from the stored one, which it replaces."""
        row_hash = None if row is None else hash(row)
        if self._hashes.get(key) == row_hash:
            return False
        if row_hash is None:
            del self._hashes[key]
        else:
            self._hashes[key] = row_hash
        return True


def decode_rows(rows: Rows) -> tuple[TrackerState, list[str]]:
    """Return the state of these rows, and the keys of the rows that cannot be decoded: each costs what it is about."""
    items: dict[str, list[Any]] = {kind: [] for kind in _KINDS}
    damaged: list[str] = []
    for key, row in rows.items():
        kind = key.partition("/")[0]
        try:
            items[kind] += list(_KINDS[kind].decode(_unpack(row)))
        # A valid checksum does not prove the shape: another build may have written the row.
        except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError, RecursionError, zlib.error):
            damaged.append(key)
    states: dict[RolloutKey, RolloutState] = dict(items["rollout"])
    # Without the row of the tick, nothing was seen before the last change of any rollout.
    updated_at = max(items["tick"], default=max(map(_last_change, states.values()), default=0.0))
    absent = {key: since for key, since in items["absent"] if key in states}
    statuses_at, held = next(iter(items["statuses"]), (0.0, {}))
    state = TrackerState(
        updated_at=updated_at,
        rollout_states=states,
        last_seen=dict.fromkeys(states, updated_at) | absent,
        leaders=frozenset(items["leaders"]),
        last_leaders=frozenset(items["led"]),
        successors=dict(items["successors"]),
        statuses=RememberedStatuses(
            statuses_at, dict(items["status"]), held, dict(items["outdated"]), dict(items["former"])
        ),
        info_series=InfoSeries(carried=frozenset(items["info"] + items["carried"])),
        replaced_info_series=dict(items["replaced"]),
        duration_histograms=dict(items["duration"]),
        namespace_counts=dict(items["count"]),
        deleted=frozenset(items["deleted"]),
    )
    return state, damaged


def _last_change(state: RolloutState) -> float:
    return max(state.first_seen, state.phases.since, state.last_event_at)


def _row_key(kind: str, key: tuple[str, ...]) -> str:
    # Names of Kubernetes stay as they are; a page may show others, which must not meet in one key.
    return "/".join([kind, *(quote(part, safe="") for part in key)])


def _pack(document: object) -> bytes:
    text = _encode(document).encode()
    if len(text) < _MIN_PACKED_SIZE:
        return text
    return min(pack(text), text, key=len)


def _unpack(row: bytes) -> Document:
    document = json.loads(_decompress(row) if row.startswith(b"x") else row)  # "x" starts zlib streams, and no JSON
    if not isinstance(document, list):
        raise TypeError("not an array")
    return document


def _decompress(row: bytes) -> bytes:
    decompressor = zlib.decompressobj()
    text = decompressor.decompress(row, _MAX_ROW_SIZE)
    if not decompressor.eof:
        raise ValueError("truncated or too large")
    return text


# The parts of a state, each a row ------------------------------------------------------------------------------------


def _tick_parts(state: TrackerState) -> dict[tuple[()], list[float]]:
    return {(): [state.updated_at]}


def _absent_parts(state: TrackerState) -> Parts:
    """Return the rollouts that were not seen at the last tick: nearly all were, and the others' times stay."""
    absent = [(*key, seen_at) for key, seen_at in state.last_seen.items() if seen_at != state.updated_at]
    return _only_part(absent)


def _only_part(part: Any) -> Parts:  # noqa: ANN401 # any part
    """Return the part of a kind that has one row, or none if it is empty."""
    return {(): part} if part else {}


def _info_parts(state: TrackerState) -> dict[tuple[str, str, str], list[SampleBatch]]:
    """Return the batches of info series, each by its family and first rollout: a block that does not change stays."""
    parts: defaultdict[tuple[str, str, str], list[SampleBatch]] = defaultdict(list)
    for family, batches in state.info_series.current.items():
        for batch in batches:
            if batch.series:
                parts[family, *_rollout_of(batch.series[0].labels)].append(batch)
    return parts


def _status_tick_parts(state: TrackerState) -> dict[tuple[()], list[object]]:
    statuses = state.statuses
    held = [(*key, shown_at) for key, shown_at in statuses.held.items()]
    return {(): [statuses.updated_at, held]} if statuses.updated_at else {}


def _carried_parts(state: TrackerState) -> dict[RolloutKey, list[InfoKey]]:
    parts: defaultdict[RolloutKey, list[InfoKey]] = defaultdict(list)
    for name, labels in sorted(state.info_series.carried):
        parts[_rollout_of(labels)].append((name, labels))
    return parts


def _replaced_parts(state: TrackerState) -> dict[RolloutKey, list[tuple[str, Labels, float]]]:
    parts: defaultdict[RolloutKey, list[tuple[str, Labels, float]]] = defaultdict(list)
    for (name, labels), until in state.replaced_info_series.items():
        parts[_rollout_of(labels)].append((name, labels, until))
    return parts


def _rollout_of(labels: Labels) -> RolloutKey:
    by_name = dict(labels)
    return by_name.get("namespace", ""), by_name.get("name", "")


# The documents of rows -----------------------------------------------------------------------------------------------


def _rollout_document(key: tuple[str, ...], state: RolloutState) -> list[object]:
    return [*key, _members(state)]


def _status_document(key: tuple[str, ...], status: RolloutStatus) -> list[object]:
    details = {"details": to_document(status.details)} if status.details is not None else {}
    return [*key, {**_members(status), **details}]


def _former_document(key: tuple[str, ...], hashes: Iterable[str]) -> list[str]:
    return [*key, *sorted(hashes)]


def _successor_document(_: tuple[str, ...], successors: Parts) -> list[list[object]]:
    return [[_process_row(process), _process_row(successor)] for process, successor in successors.items()]


def _duration_document(key: tuple[str, ...], histogram: HistogramState) -> list[object]:
    return [*key, histogram.counts, histogram.total]


def _count_document(key: tuple[str, ...], count: NamespaceCount) -> list[object]:
    return [*key, count.value, count.since]


def _leader_document(_: tuple[str, ...], leaders: Iterable[ControllerProcess]) -> list[list[object]]:
    return sorted(map(_process_row, leaders))


def _process_row(process: ControllerProcess) -> list[Any]:
    return [process.target, process.start_time, process.installation]


def _deleted_document(_: tuple[str, ...], deleted: Iterable[RolloutKey]) -> list[RolloutKey]:
    return sorted(deleted)


def _info_document(_: tuple[str, ...], batches: Iterable[SampleBatch]) -> list[tuple[str, Labels]]:
    return [(series.name, series.labels) for batch in batches for series in batch.series]


def _same_document(_: tuple[str, ...], part: object) -> object:
    return part


def _members(value: DataclassInstance) -> dict[str, Any]:
    """Return the members of a dataclass by the keys of a row, without those that have a default of `_DEFAULTS`."""
    keys, read, defaults = _row_layout(type(value))
    members = zip(keys, read(value), defaults, strict=True)
    return {key: member for key, member, default in members if member is not default and member != default}


@cache
def _row_layout(
    kind: type[DataclassInstance],
) -> tuple[Sequence[str], Callable[[object], tuple[Any, ...]], Sequence[object]]:
    """Return the keys of a dataclass in a row, a function that reads its members, and their defaults if they have."""
    keys, defaults = _FILE_KEYS[kind], _DEFAULTS.get(kind, {})
    return list(keys), attrgetter(*keys.values()), [defaults.get(key, _NO_DEFAULT) for key in keys]


_encode: Final = json.JSONEncoder(separators=(",", ":"), default=_members).encode
_NO_DEFAULT: Final = object()  # equal to no member
_FILE_KEYS: Final[Mapping[type, Mapping[str, str]]] = {
    RolloutState: {
        "born": "first_seen",
        "phases": "phases",
        "process": "process",
        "events": "event_counts",
        "standing": "update_state",
        "evidence": "evidence",
        "update": "update",
        "hashes": "hashes",
        "router": "has_router",
        "strategy": "strategy",
        "deployed": "had_revision",
        "promoted": "had_promotion",
        "news": "last_event_at",
        "early": "ahead_of_counters",
        "early_promotion": "promotion_ahead",
        "early_abort": "abort_ahead",
        "pending": "pending_since",
        "pending_events": "pending_counts",
        "replicas": "replicas",
        "pods": "pods_checksum",
        "pods_newer": "pods_newer",
        "weight": "weight",
        "uid": "uid",
        "results": "result_counts",
        "last_seconds": "last_durations",
        "paused_seconds": "paused_seconds",
        "runs": "runs",
        "runs_finished": "finished_run_counts",
        "memory": "memory",
        "shown": "last_shown",
        "account": "account",
    },
    PhaseHistory: {"phase": "phase", "since": "since", "entries": "transition_counts", "held": "hold_down_from"},
    ControllerProcess: {"target": "target", "start": "start_time", "installation": "installation"},
    Update: {"kind": "kind", "since": "started_at", "reuses": "reuses_replica_set"},
    ReplicaCounts: {
        "desired": "desired",
        "updated": "updated",
        "available": "available",
        "unavailable": "unavailable",
    },
    RouterWeight: {
        "fraction": "fraction",
        "low": "low",
        "exact": "is_exact",
        "pods": "pod_count",
        "decoupled": "is_decoupled",
        "dynamic": "is_dynamic",
        "spare_steps": "spare_steps",
    },
    RolloutStatus: {
        "stable": "stable_hash",
        "current": "current_hash",
        "weight": "weight",
        "weight_hash": "weight_hash",
        "max_weight": "max_weight",
        "step": "step_index",
        "health": "health",
        "aborted": "aborted",
        "is_observed": "generation_observed",
        "generation": "generation",
        "observed": "observed_generation",
        "pauses": "pauses",
        "uid": "uid",
        "completion": "completion",
        "started": "started_at",
        "finished": "finished_at",
        "details": "details",
    },
    RevisionHashes: {"current": "current", "stable": "stable", "newest": "newest_created_at", "number": "number"},
    UpdateMemory: {
        "revision": "revision",
        "hash": "hash",
        "stable": "stable_hash",
        "step": "last_step",
        "aborted_at": "aborted_at",
        "aborted_step": "aborted_step",
        "progressed_at": "progressed_at",
        "cause": "cause",
        "run": "run",
        "metric": "metric",
        "replaced_revision": "replaced_revision",
        "replaced_step": "replaced_step",
        "images": "images",
        "counts": "counts",
        "counts_before": "counts_before",
        "bad_run": "bad_run",
    },
    UpdateAccount: {
        "until": "counted_until",
        "activity": "activity",
        "fraction": "fraction",
        "exposure": "exposure_seconds",
        "result": "result",
        "cause": "cause",
        "metric": "metric",
        "lead": "lead_seconds",
        "ended": "ended_at",
    },
    ShownState: {
        "hash": "hash",
        "step": "step",
        "pauses": "pauses",
        "degraded": "degraded_since",
        "attempt": "attempt",
        "history": "history",
    },
    AttemptEvent: {
        "at": "timestamp",
        "type": "type",
        "step": "step",
        "run": "run",
        "phase": "phase",
        "sentence": "sentence",
    },
}
"""The keys of each dataclass in a row, in its order, with the attributes: rows outlive a renaming."""


def _defaults(value: object, *required: str) -> dict[str, Any]:
    keys = _FILE_KEYS[type(value)].items()
    return {key: getattr(value, attribute) for key, attribute in keys if key not in required}


_NEW_STATE: Final = RolloutState(0.0, PhaseHistory("", 0.0), ControllerProcess("", 0.0), {})
_DEFAULTS: Final[Mapping[type, Mapping[str, Any]]] = {
    RolloutState: _defaults(_NEW_STATE, "born", "phases", "process", "events"),
    RolloutStatus: _defaults(RolloutStatus()),
    UpdateMemory: _defaults(NO_MEMORY),
    UpdateAccount: _defaults(NO_ACCOUNT),
    ShownState: _defaults(ShownState()),
    AttemptEvent: _defaults(AttemptEvent(0.0, ""), "at", "type"),
}
"""The members of the larger dataclasses that are not written if they have these values."""

# Decoding; each function returns the items of a row. Raises KeyError, TypeError or ValueError for any other shape. ----


def _decode_tick(document: Document) -> Iterator[float]:
    (updated_at,) = document
    yield float(updated_at)


def _decode_absent(document: Document) -> Iterator[tuple[RolloutKey, float]]:
    return (((str(namespace), str(name)), float(seen_at)) for namespace, name, seen_at in document)


def _decode_deleted(document: Document) -> Iterator[RolloutKey]:
    return ((str(namespace), str(name)) for namespace, name in document)


def _decode_leaders(document: Document) -> Iterator[ControllerProcess]:
    return (ControllerProcess(str(target), float(start), str(name)) for target, start, name in document)


def _decode_successors(document: Document) -> Iterator[tuple[ControllerProcess, ControllerProcess]]:
    for rows in document:
        process, successor = _decode_leaders(rows)
        yield process, successor


def _decode_status_tick(document: Document) -> Iterator[tuple[float, dict[RolloutKey, float]]]:
    updated_at, held = document
    yield float(updated_at), dict(_decode_absent(held))


def _decode_info(document: Document) -> Iterator[InfoKey]:
    return ((str(name), _labels(labels)) for name, labels in document)


def _decode_replaced(document: Document) -> Iterator[tuple[InfoKey, float]]:
    return (((str(name), _labels(labels)), float(until)) for name, labels, until in document)


def _decode_duration(document: Document) -> Iterator[tuple[tuple[str, str], HistogramState]]:
    namespace, result, counts, total = document
    histogram = HistogramState(tuple(map(int, counts)), float(total))
    if len(histogram.counts) != len(HistogramState().counts):
        raise ValueError("other bounds")
    yield (str(namespace), str(result)), histogram


def _decode_count(document: Document) -> Iterator[tuple[tuple[str, str, str], NamespaceCount]]:
    name, namespace, label, value, since = document
    yield (str(name), str(namespace), str(label)), NamespaceCount(float(value), float(since))


def _decode_rollout(document: Document) -> Iterator[tuple[RolloutKey, RolloutState]]:
    yield _rollout_state(*document)


def _decode_status(document: Document) -> Iterator[tuple[RolloutKey, RolloutStatus]]:
    namespace, name, members = document
    pauses = tuple((str(reason), float(start)) for reason, start in members.get("pauses", ()))
    details = from_document(RolloutDetails, members["details"]) if "details" in members else None
    yield (str(namespace), str(name)), _dataclass(RolloutStatus, {**members, "pauses": pauses, "details": details})


def _decode_former(document: Document) -> Iterator[tuple[RolloutKey, frozenset[str]]]:
    namespace, name, *hashes = document
    yield (str(namespace), str(name)), frozenset(map(str, hashes))


def _labels(pairs: list[list[str]]) -> Labels:
    return tuple((str(name), str(value)) for name, value in pairs)


def _rollout_state(namespace: str, name: str, document: dict[str, Any]) -> tuple[RolloutKey, RolloutState]:
    """Return a state by the keys of its row. Raises KeyError, TypeError or ValueError for any other shape."""
    phases, update, hashes = document["phases"], document.get("update"), document.get("hashes")
    replicas, weight, memory = document.get("replicas"), document.get("weight"), document.get("memory")
    held = phases.get("held")
    members = {
        **document,
        "phases": _dataclass(PhaseHistory, {**phases, "held": tuple(held) if held else None}),
        "process": _dataclass(ControllerProcess, document["process"]),
        "standing": UpdateState(document.get("standing", UpdateState.UNKNOWN)),
        "update": _dataclass(Update, update) if update else None,
        "hashes": _dataclass(RevisionHashes, hashes) if hashes else NO_HASHES,
        "replicas": _dataclass(ReplicaCounts, replicas) if replicas else None,
        "weight": _dataclass(RouterWeight, weight) if weight else None,
        "memory": _dataclass(UpdateMemory, memory) if memory else NO_MEMORY,
        "shown": _shown_state(document.get("shown", {})),
        "account": _dataclass(UpdateAccount, document.get("account", {})),
    }
    return (str(namespace), str(name)), _dataclass(RolloutState, members)


def _shown_state(document: dict[str, Any]) -> ShownState:
    attempt = None
    if document.get("attempt") is not None:
        since, place = document["attempt"]
        attempt = (float(since), int(place))
    members = {
        "pauses": tuple((str(reason), float(since)) for reason, since in document.get("pauses", ())),
        "step": _step(document.get("step")),
        "attempt": attempt,
        "history": tuple(map(_attempt_event, document.get("history", ()))),
    }
    return _dataclass(ShownState, {**document, **members})


def _attempt_event(document: dict[str, Any]) -> AttemptEvent:
    return _dataclass(AttemptEvent, {**document, "step": _step(document.get("step"))})


def _step(document: Document | None) -> tuple[int, int, str] | None:
    if document is None:
        return None
    index, count, kind = document
    return int(index), int(count), str(kind)


def _dataclass(kind: type[T], members: dict[str, Any]) -> T:
    """Return a dataclass of members by the keys of a row. Raises TypeError if keys are missing or unknown."""
    attributes = _FILE_KEYS[kind]
    if not members.keys() <= attributes.keys():
        raise TypeError("keys are unknown")
    return kind(**{attributes[key]: value for key, value in members.items()})


@dataclass(frozen=True, slots=True)
class _RowKind:
    """A kind of rows: the parts of a state that have one, the document of a part, and the items of a document."""

    parts: Callable[[TrackerState], Parts]
    document: Callable[[tuple[str, ...], Any], object]
    decode: Callable[[Document], Iterator[Any]]


_KINDS: Final = {
    "tick": _RowKind(_tick_parts, _same_document, _decode_tick),
    "rollout": _RowKind(lambda state: state.rollout_states, _rollout_document, _decode_rollout),
    "absent": _RowKind(_absent_parts, _same_document, _decode_absent),
    "deleted": _RowKind(lambda state: _only_part(state.deleted), _deleted_document, _decode_deleted),
    "leaders": _RowKind(lambda state: _only_part(state.leaders), _leader_document, _decode_leaders),
    "led": _RowKind(lambda state: _only_part(state.last_leaders), _leader_document, _decode_leaders),
    "successors": _RowKind(lambda state: _only_part(state.successors), _successor_document, _decode_successors),
    "status": _RowKind(lambda state: state.statuses.statuses, _status_document, _decode_status),
    "outdated": _RowKind(lambda state: state.statuses.outdated, _status_document, _decode_status),
    "former": _RowKind(lambda state: state.statuses.former_stable, _former_document, _decode_former),
    "statuses": _RowKind(_status_tick_parts, _same_document, _decode_status_tick),
    "info": _RowKind(_info_parts, _info_document, _decode_info),
    "carried": _RowKind(_carried_parts, _same_document, _decode_info),
    "replaced": _RowKind(_replaced_parts, _same_document, _decode_replaced),
    "duration": _RowKind(lambda state: state.duration_histograms, _duration_document, _decode_duration),
    "count": _RowKind(lambda state: state.namespace_counts, _count_document, _decode_count),
}
"""The kinds of rows by the first word of their keys, both public: a release reads the rows of the one before."""
