"""`TrackerState` as bytes and back: versioned, with a checksum, of one cluster only.

Hashes, phase starts, counters and their start times must outlive a restart: without them the first tick after it would
export less than the last one before it.
"""

from __future__ import annotations

import json
import zlib
from typing import TYPE_CHECKING, Any, Final

from isal import isal_zlib

from exporter.incremental import BatchMemo, KeyedMemo
from exporter.rollouts.model import (
    NO_HASHES,
    ControllerProcess,
    PhaseHistory,
    RevisionHashes,
    RolloutState,
    Update,
    UpdateState,
)
from exporter.rollouts.output.durations import HistogramState
from exporter.rollouts.output.renderer import InfoSeries
from exporter.rollouts.tracker import TrackerState

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from exporter.metrics import Labels, SampleBatch
    from exporter.rollouts.model import RolloutKey

VERSION: Final = 1
_COMPACT: Final = (",", ":")
_ROWS_PER_CHUNK: Final = 200
"""Rows that are joined before they are compressed: the JSON of all rollouts at once would double the peak memory."""


class InvalidStateError(ValueError):
    """The bytes are not a state of this cluster and version; the message says why."""


class StateEncoder:
    """Encodes states, one after another; the text of an unchanged rollout or sample batch is reused."""

    def __init__(self, cluster: str) -> None:
        self._cluster = cluster
        self._state_texts = KeyedMemo(_state_text)
        self._info_texts = BatchMemo(_batch_text)

    def encode(self, state: TrackerState) -> bytes:
        """Return a line with version, cluster and checksum, then compressed JSON."""
        body = {
            "at": state.updated_at,
            "seen": [[*key, time] for key, time in state.last_seen.items() if time != state.updated_at],
            "led": sorted([process.target, process.start_time, process.installation] for process in state.leaders),
            "fading": [[name, list(labels), until] for (name, labels), until in state.replaced_info_series.items()],
            "durations": [
                [*key, list(histogram.counts), histogram.total] for key, histogram in state.duration_histograms.items()
            ],
        }
        infos = self._info_rows(state.info_series)
        lives = list(self._state_texts.update(dict(state.rollout_states)).values())
        chunks = (*_json_array("infos", infos), *_json_array("lives", lives), b"}")
        compressor = isal_zlib.compressobj(1)
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


def _state_text(key: RolloutKey, state: RolloutState, _: str | None) -> str:
    return json.dumps([*key, _document(state)], separators=_COMPACT)


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


def _document(state: RolloutState) -> dict[str, Any]:
    """Return a state by the keys of the file, without those that have their default."""
    optional = {key: value for key, value in _optional(state).items() if value != _DEFAULTS[key]}
    return {
        "born": state.first_seen,
        "phases": {
            "phase": state.phases.phase,
            "since": state.phases.since,
            "entries": state.phases.transition_counts,
            "held": state.phases.debounced_from,
        },
        "process": {
            "target": state.process.target,
            "start": state.process.start_time,
            "installation": state.process.installation,
        },
        "events": state.event_counts,
        **optional,
    }


def _optional(state: RolloutState) -> dict[str, Any]:
    """Return the keys that the file leaves out if they have their default, in its order."""
    update, hashes = state.update, state.hashes
    return {
        "standing": state.update_state,
        "evidence": state.evidence,
        "update": {"kind": update.kind, "since": update.started_at} if update is not None else None,
        "hashes": {"current": hashes.current, "stable": hashes.stable, "newest": hashes.newest_created_at},
        "router": state.has_router,
        "strategy": state.strategy,
        "deployed": state.had_revision,
        "news": state.last_event_at,
        "early": state.ahead_of_counters,
        "results": state.result_counts,
        "last_seconds": state.last_durations,
        "paused_seconds": state.paused_seconds,
        "runs": state.runs,
        "runs_finished": state.finished_run_counts,
    }


_DEFAULT: Final = RolloutState(0.0, PhaseHistory("", 0.0), ControllerProcess("", 0.0), {})
_DEFAULTS: Final = _optional(_DEFAULT)
_STATE_REQUIRED: Final = frozenset({"born", "phases", "process", "events"})
_STATE_KEYS: Final = _STATE_REQUIRED | frozenset(_DEFAULTS)
_PHASES_REQUIRED: Final = frozenset({"phase", "since"})
_PHASES_KEYS: Final = _PHASES_REQUIRED | {"entries", "held"}
_PROCESS_REQUIRED: Final = frozenset({"target", "start"})
_PROCESS_KEYS: Final = _PROCESS_REQUIRED | {"installation"}
_UPDATE_KEYS: Final = frozenset({"kind", "since"})
_HASHES_KEYS: Final = frozenset({"current", "stable", "newest"})


def decode_state(content: bytes, cluster: str) -> TrackerState:
    """Decode what `StateEncoder` encoded. Raises InvalidStateError for anything else, also another cluster's."""
    head_text, _, body = content.partition(b"\n")
    head = _object(head_text)
    if head.get("version") != VERSION:
        raise InvalidStateError(f"its version is {head.get('version')!r}, not {VERSION}")
    if head.get("cluster") != cluster:
        raise InvalidStateError(f"its cluster is {head.get('cluster')!r}, not {cluster!r}")
    if head.get("crc") != zlib.crc32(body):
        raise InvalidStateError("its checksum does not match: it is truncated or was changed")
    try:
        return _tracker_state(_object(zlib.decompress(body)))
    except (KeyError, TypeError, ValueError, IndexError, AttributeError, OverflowError, zlib.error) as error:
        raise InvalidStateError(f"its structure is invalid ({type(error).__name__})") from error


def _object(text: bytes) -> dict[str, Any]:
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as error:
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
        leaders=frozenset(_leader(*row) for row in body["led"]),
        info_series=InfoSeries(carried=frozenset((name, _labels(labels)) for name, labels in body["infos"])),
        replaced_info_series={(name, _labels(labels)): until for name, labels, until in body["fading"]},
        duration_histograms={
            tuple(key): HistogramState(counts=tuple(counts), total=total) for *key, counts, total in body["durations"]
        },
    )


def _labels(pairs: list[list[str]]) -> Labels:
    return tuple((name, value) for name, value in pairs)


def _rollout_state(namespace: str, name: str, document: dict[str, Any]) -> tuple[RolloutKey, RolloutState]:
    """Return a state by the keys of the file. Raises KeyError, TypeError or ValueError for any other shape."""
    phases, update, hashes = _phases(document["phases"]), document.get("update"), document.get("hashes")
    process = _process(document["process"])
    update_state = UpdateState(document.get("standing", _DEFAULT.update_state))
    _check(document, _STATE_REQUIRED, _STATE_KEYS)
    return (namespace, name), RolloutState(
        first_seen=document["born"],
        phases=phases,
        process=process,
        event_counts=document["events"],
        update_state=update_state,
        evidence=document.get("evidence", _DEFAULT.evidence),
        update=_update(update) if update else None,
        hashes=_hashes(hashes) if hashes else NO_HASHES,
        has_router=document.get("router", _DEFAULT.has_router),
        strategy=document.get("strategy", _DEFAULT.strategy),
        had_revision=document.get("deployed", _DEFAULT.had_revision),
        last_event_at=document.get("news", _DEFAULT.last_event_at),
        ahead_of_counters=document.get("early", _DEFAULT.ahead_of_counters),
        result_counts=document.get("results", _DEFAULT.result_counts),
        last_durations=document.get("last_seconds", _DEFAULT.last_durations),
        paused_seconds=document.get("paused_seconds", _DEFAULT.paused_seconds),
        runs=document.get("runs", _DEFAULT.runs),
        finished_run_counts=document.get("runs_finished", _DEFAULT.finished_run_counts),
    )


def _phases(phases: dict[str, Any]) -> PhaseHistory:
    held = phases.get("held")
    _check(phases, _PHASES_REQUIRED, _PHASES_KEYS)
    return PhaseHistory(
        phase=phases["phase"],
        since=phases["since"],
        transition_counts=phases.get("entries", _DEFAULT.phases.transition_counts),
        debounced_from=tuple(held) if held else None,
    )


def _process(process: dict[str, Any]) -> ControllerProcess:
    _check(process, _PROCESS_REQUIRED, _PROCESS_KEYS)
    return ControllerProcess(
        target=process["target"],
        start_time=process["start"],
        installation=process.get("installation", _DEFAULT.process.installation),
    )


def _update(update: dict[str, Any]) -> Update:
    _check(update, _UPDATE_KEYS, _UPDATE_KEYS)
    return Update(kind=update["kind"], started_at=update["since"])


def _hashes(hashes: dict[str, Any]) -> RevisionHashes:
    _check(hashes, frozenset(), _HASHES_KEYS)
    return RevisionHashes(
        current=hashes.get("current", NO_HASHES.current),
        stable=hashes.get("stable", NO_HASHES.stable),
        newest_created_at=hashes.get("newest", NO_HASHES.newest_created_at),
    )


def _leader(target: str, start: float, installation: str = _DEFAULT.process.installation) -> ControllerProcess:
    return ControllerProcess(target=target, start_time=start, installation=installation)


def _check(document: object, required: frozenset[str], allowed: frozenset[str]) -> None:
    """Raise TypeError unless a document has all required keys and no other than the allowed."""
    if not isinstance(document, dict) or not required <= document.keys() <= allowed:
        raise TypeError("keys are missing or unknown")
