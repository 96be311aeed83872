"""`TrackerState` as bytes and back: versioned, with a checksum, of one cluster only.

Hashes, phase starts, counters and their start times must outlive a restart: without them the first tick after it would
export less than the last one before it.
"""

from __future__ import annotations

import json
import zlib
from itertools import chain
from typing import TYPE_CHECKING, Any, Final, TypeVar

from isal import isal_zlib

from exporter.incremental import BatchMemo, KeyedMemo
from exporter.rollouts.inputs.last_status import RememberedStatuses
from exporter.rollouts.model import (
    NO_HASHES,
    ControllerProcess,
    PhaseHistory,
    ReplicaCounts,
    RevisionHashes,
    RolloutState,
    RolloutStatus,
    RouterWeight,
    Update,
    UpdateState,
)
from exporter.rollouts.output.durations import HistogramState
from exporter.rollouts.output.renderer import InfoSeries
from exporter.rollouts.tracker import TrackerState

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from exporter.metrics import Labels, SampleBatch
    from exporter.rollouts.model import RolloutKey

T = TypeVar("T")
VERSION: Final = 1
"""A file of another version is not read: it is renamed, and tracking starts anew."""
_COMPACT: Final = (",", ":")
"""No spaces: the complete state is encoded in every cycle."""
_ROWS_PER_CHUNK: Final = 200
"""Rows that are joined before they are compressed: the JSON of all rollouts at once would double the peak memory."""


class InvalidStateError(ValueError):
    """The bytes are not a state of this cluster and version; the message is the reason."""


class StateEncoder:
    """Encodes states, one after another; the text of an unchanged rollout or sample batch is reused."""

    def __init__(self, cluster: str) -> None:
        self._cluster = cluster
        self._state_texts = KeyedMemo(_state_text)
        self._status_texts = KeyedMemo(_status_text)
        self._info_texts = BatchMemo(_batch_text)

    def encode(self, state: TrackerState) -> bytes:
        """Return a line with version, cluster and checksum, then compressed JSON."""
        body = {
            "at": state.updated_at,
            # Nearly all rollouts were seen at the last tick, so only the others are listed.
            "seen": [[*key, time] for key, time in state.last_seen.items() if time != state.updated_at],
            "led": sorted(map(_process_row, state.leaders)),
            "successors": [[_process_row(old), _process_row(new)] for old, new in state.successors.items()],
            "statuses_at": state.statuses.updated_at,
            "statuses_held": [[*key, shown_at] for key, shown_at in state.statuses.held.items()],
            "fading": [[name, list(labels), until] for (name, labels), until in state.replaced_info_series.items()],
            "durations": [
                [*key, list(histogram.counts), histogram.total] for key, histogram in state.duration_histograms.items()
            ],
        }
        infos = self._info_rows(state.info_series)
        lives = list(self._state_texts.update(dict(state.rollout_states)).values())
        statuses = list(self._status_texts.update(dict(state.statuses.statuses)).values())
        arrays = (("infos", infos), ("statuses", statuses), ("lives", lives))
        chunks = (*chain.from_iterable(_json_array(name, rows) for name, rows in arrays), b"}")
        # A low level: everything is compressed again in every cycle.
        compressor = isal_zlib.compressobj(1)
        # Without its closing brace: the long arrays follow in chunks.
        packed = compressor.compress(json.dumps(body, separators=_COMPACT)[:-1].encode())
        packed += b"".join(map(compressor.compress, chunks)) + compressor.flush()
        head = {"version": VERSION, "cluster": self._cluster, "crc": zlib.crc32(packed)}
        return json.dumps(head).encode() + b"\n" + packed

    def _info_rows(self, info_series: InfoSeries) -> list[str]:
        rows = self._info_texts.collect(batch for batches in info_series.current.values() for batch in batches)
        return [*rows, *([_rows_text(sorted(info_series.carried))] if info_series.carried else [])]


def encode_state(state: TrackerState, cluster: str) -> bytes:
    """Encode one state."""
    return StateEncoder(cluster).encode(state)


def _process_row(process: ControllerProcess) -> list[str | float]:
    return [process.target, process.start_time, process.installation]


def _state_text(key: RolloutKey, state: RolloutState, _: str | None) -> str:
    """Return the row of a rollout, without members that have their default."""
    members = _members(state).items()
    document = {member: value for member, value in members if member in _REQUIRED or value != _DEFAULTS[member]}
    return json.dumps([*key, document], separators=_COMPACT, default=_members)


def _status_text(key: RolloutKey, status: RolloutStatus, _: str | None) -> str:
    members = {name: value for name, value in _members(status).items() if value != _STATUS_DEFAULTS[name]}
    return json.dumps([*key, members], separators=_COMPACT)


def _batch_text(batch: SampleBatch) -> tuple[str]:
    return (_rows_text((series.name, series.labels) for series in batch.series),)


def _rows_text(rows: Iterable[tuple[str, Labels]]) -> str:
    return ",".join([json.dumps(row, separators=_COMPACT) for row in rows])


def _json_array(name: str, rows: Sequence[str]) -> Iterator[bytes]:
    """Yield a member of an object that is an array of many rows, in chunks."""
    yield f',"{name}":['.encode()
    for start in range(0, len(rows), _ROWS_PER_CHUNK):
        yield f"{',' if start else ''}{','.join(rows[start : start + _ROWS_PER_CHUNK])}".encode()
    yield b"]"


def _members(value: object) -> dict[str, Any]:
    """Return the members of a dataclass by the keys of the file."""
    return {key: getattr(value, attribute) for key, attribute in _FILE_KEYS[type(value)].items()}


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
        "pending": "pending_since",
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
    },
    RevisionHashes: {"current": "current", "stable": "stable", "newest": "newest_created_at", "number": "number"},
}
"""The keys of each dataclass in the file, in its order, with the attributes: the file outlives a renaming."""
_DEFAULTS: Final = _members(RolloutState(0.0, PhaseHistory("", 0.0), ControllerProcess("", 0.0), {}))
_STATUS_DEFAULTS: Final = _members(RolloutStatus())
_REQUIRED: Final = frozenset({"born", "phases", "process", "events"})
"""The members that have no default, and so are always written."""


def decode_state(content: bytes, cluster: str) -> TrackerState:
    """Decode what `StateEncoder` encoded. Raises InvalidStateError for anything else, also another cluster's."""
    head_text, _, body = content.partition(b"\n")
    head = _object(head_text)
    if head.get("version") != VERSION:
        raise InvalidStateError(f"its version is {head.get('version')!r}, not {VERSION}")
    if head.get("cluster") != cluster:
        raise InvalidStateError(f"its cluster is {head.get('cluster')!r}, not {cluster!r}")
    # The checksum is of the compressed bytes, so that nothing damaged is decompressed.
    if head.get("crc") != zlib.crc32(body):
        raise InvalidStateError("its checksum does not match: it is truncated or was changed")
    try:
        return _tracker_state(_object(zlib.decompress(body)))
    # A valid checksum does not prove the shape: another build may have written the file.
    except (KeyError, TypeError, ValueError, IndexError, AttributeError, OverflowError, zlib.error) as error:
        raise InvalidStateError(f"its structure is invalid ({type(error).__name__})") from error


def _object(text: bytes) -> dict[str, Any]:
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as error:  # RecursionError: nested too deeply
        raise InvalidStateError("it is not JSON") from error
    if not isinstance(document, dict):
        raise InvalidStateError("it is not a JSON object")
    return document


def _tracker_state(body: dict[str, Any]) -> TrackerState:
    updated_at = float(body["at"])
    states = dict(_rollout_state(*row) for row in body["lives"])
    absent = {(namespace, name): float(since) for namespace, name, since in body["seen"]}
    return TrackerState(
        updated_at=updated_at,
        rollout_states=states,
        last_seen=dict.fromkeys(states, updated_at) | absent,
        leaders=frozenset(ControllerProcess(*row) for row in body["led"]),
        successors={ControllerProcess(*old): ControllerProcess(*new) for old, new in body.get("successors", ())},
        statuses=RememberedStatuses(
            float(body.get("statuses_at", 0.0)),
            dict(_status(*row) for row in body.get("statuses", ())),
            {(namespace, name): float(shown_at) for namespace, name, shown_at in body.get("statuses_held", ())},
        ),
        info_series=InfoSeries(carried=frozenset((name, _labels(labels)) for name, labels in body["infos"])),
        replaced_info_series={(name, _labels(labels)): until for name, labels, until in body["fading"]},
        duration_histograms={
            tuple(key): HistogramState(tuple(counts), total) for *key, counts, total in body["durations"]
        },
    )


def _status(namespace: str, name: str, document: dict[str, Any]) -> tuple[RolloutKey, RolloutStatus]:
    pauses = tuple((reason, float(start)) for reason, start in document.get("pauses", ()))
    return (namespace, name), _dataclass(RolloutStatus, {**document, "pauses": pauses})


def _labels(pairs: list[list[str]]) -> Labels:
    return tuple((name, value) for name, value in pairs)


def _rollout_state(namespace: str, name: str, document: dict[str, Any]) -> tuple[RolloutKey, RolloutState]:
    """Return a state by the keys of the file. Raises KeyError, TypeError or ValueError for any other shape."""
    phases, update, hashes = document["phases"], document.get("update"), document.get("hashes")
    replicas, weight = document.get("replicas"), document.get("weight")
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
    }
    return (namespace, name), _dataclass(RolloutState, members)


def _dataclass(kind: type[T], members: dict[str, Any]) -> T:
    """Return a dataclass of members by the keys of the file. Raises TypeError if keys are missing or unknown."""
    attributes = _FILE_KEYS[kind]
    if not members.keys() <= attributes.keys():
        raise TypeError("keys are unknown")
    return kind(**{attributes[key]: value for key, value in members.items()})
