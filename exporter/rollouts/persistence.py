"""A Memory as text and back: versioned, checked, and of one cluster only.

Hashes, phase starts, counters and their beginnings must outlive a restart, or the first tick after it would say
less than the last one before it.
"""

from __future__ import annotations

import json
import zlib
from typing import TYPE_CHECKING, Any, Final

from isal import isal_zlib

from exporter.rollouts.model import (
    NO_HASHES,
    ControllerProcess,
    PhaseHistory,
    RevisionHashes,
    RolloutState,
    Update,
    UpdateState,
)
from exporter.rollouts.output.durations import Durations
from exporter.rollouts.output.renderer import Infos
from exporter.rollouts.tracker import TrackerState

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from exporter.metrics import Labels, SampleBatch
    from exporter.rollouts.model import RolloutKey

VERSION: Final = 1
_TIGHT: Final = (",", ":")
_ROWS: Final = 200


class UnfitMemoryError(ValueError):
    """A text that is no memory of this cluster and version; the message says why."""


class Writer:
    """Writes memories; the text of what has not changed, of a rollout or of a strip, is the one of last time."""

    def __init__(self, cluster: str) -> None:
        self._cluster = cluster
        self._lives: dict[RolloutKey, tuple[RolloutState, str]] = {}
        self._strips: dict[SampleBatch, str] = {}

    def dump(self, memory: TrackerState) -> bytes:
        """Write a memory: a line with version, cluster and checksum, then JSON, compressed."""
        rest = {
            "at": memory.at,
            "seen": [[*key, at] for key, at in memory.seen.items() if at != memory.at],
            "led": sorted([one.target, one.start_time, one.installation] for one in memory.led),
            "fading": [[name, list(labels), until] for (name, labels), until in memory.fading.items()],
            "durations": [[*key, list(one.counts), one.total] for key, one in memory.durations.items()],
        }
        self._lives = {key: self._life(key, life) for key, life in memory.lives.items()}
        infos, lives = self._infos(memory.infos), [text for _, text in self._lives.values()]
        packer = isal_zlib.compressobj(1)
        body = packer.compress(json.dumps(rest, separators=_TIGHT)[:-1].encode())
        body += b"".join(packer.compress(part) for part in (*_listed("infos", infos), *_listed("lives", lives), b"}"))
        body += packer.flush()
        head = {"version": VERSION, "cluster": self._cluster, "crc": zlib.crc32(body)}
        return json.dumps(head).encode() + b"\n" + body

    def _infos(self, infos: Infos) -> list[str]:
        before, self._strips = self._strips, {}
        for name, strips in infos.shown.items():
            for strip in strips:
                self._strips[strip] = before.get(strip) or _info_rows([(name, one.labels) for one in strip.series])
        return [*self._strips.values(), *([_info_rows(sorted(infos.unheard))] if infos.unheard else [])]

    def _life(self, key: RolloutKey, life: RolloutState) -> tuple[RolloutState, str]:
        known = self._lives.get(key)
        if known is not None and known[0] is life:
            return known
        return life, json.dumps([*key, _document(life)], separators=_TIGHT)


def _info_rows(infos: Iterable[tuple[str, Labels]]) -> str:
    return ",".join([json.dumps([name, labels], separators=_TIGHT) for name, labels in infos])


def _listed(name: str, rows: Sequence[str]) -> Iterator[bytes]:
    """Yield a member of an object that is a list, some rows at a time: all of them take as much as the fleet."""
    yield f',"{name}":['.encode()
    for first in range(0, len(rows), _ROWS):
        yield f"{',' if first else ''}{','.join(rows[first : first + _ROWS])}".encode()
    yield b"]"


def dump(memory: TrackerState, cluster: str) -> bytes:
    """Write one memory."""
    return Writer(cluster).dump(memory)


def _document(life: RolloutState) -> dict[str, Any]:
    """Return a life by the keys of the file, without those that have their default."""
    optional = {key: value for key, value in _optional(life).items() if value != _DEFAULTS[key]}
    return {
        "born": life.first_seen,
        "phases": {
            "phase": life.phases.phase,
            "since": life.phases.since,
            "entries": life.phases.transition_counts,
            "held": life.phases.debounced_from,
        },
        "process": {
            "target": life.process.target,
            "start": life.process.start_time,
            "installation": life.process.installation,
        },
        "events": life.event_counts,
        **optional,
    }


def _optional(life: RolloutState) -> dict[str, Any]:
    """Return the keys of a life that the file leaves out where they have their default, in its order."""
    update, hashes = life.update, life.hashes
    return {
        "standing": life.update_state,
        "evidence": life.evidence,
        "update": {"kind": update.kind, "since": update.started_at} if update is not None else None,
        "hashes": {"current": hashes.current, "stable": hashes.stable, "newest": hashes.newest_created_at},
        "router": life.has_router,
        "strategy": life.strategy,
        "deployed": life.had_revision,
        "news": life.last_event_at,
        "early": life.ahead_of_counters,
        "results": life.result_counts,
        "last_seconds": life.last_durations,
        "paused_seconds": life.paused_seconds,
        "runs": life.runs,
        "runs_finished": life.finished_run_counts,
    }


_DEFAULT: Final = RolloutState(0.0, PhaseHistory("", 0.0), ControllerProcess("", 0.0), {})
_DEFAULTS: Final = _optional(_DEFAULT)
_LIFE_NEEDED: Final = frozenset({"born", "phases", "process", "events"})
_LIFE_KEYS: Final = _LIFE_NEEDED | frozenset(_DEFAULTS)
_PHASES_NEEDED: Final = frozenset({"phase", "since"})
_PHASES_KEYS: Final = _PHASES_NEEDED | {"entries", "held"}
_PROCESS_NEEDED: Final = frozenset({"target", "start"})
_PROCESS_KEYS: Final = _PROCESS_NEEDED | {"installation"}
_UPDATE_KEYS: Final = frozenset({"kind", "since"})
_HASHES_KEYS: Final = frozenset({"current", "stable", "newest"})


def load(kept: bytes, cluster: str) -> TrackerState:
    """Read what `dump` wrote. Raises UnfitMemoryError for anything else, another cluster's memory included."""
    head_text, _, body = kept.partition(b"\n")
    head = _object(head_text)
    if head.get("version") != VERSION:
        raise UnfitMemoryError(f"it is of version {head.get('version')!r}, not {VERSION}")
    if head.get("cluster") != cluster:
        raise UnfitMemoryError(f"it is of cluster {head.get('cluster')!r}, not {cluster!r}")
    if head.get("crc") != zlib.crc32(body):
        raise UnfitMemoryError("its checksum does not match: it was cut or changed")
    try:
        return _memory(_object(zlib.decompress(body)))
    except (KeyError, TypeError, ValueError, IndexError, AttributeError, OverflowError, zlib.error) as error:
        raise UnfitMemoryError(f"it is not of the shape expected ({type(error).__name__})") from error


def _object(text: bytes) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UnfitMemoryError("it is no JSON") from error
    if not isinstance(found, dict):
        raise UnfitMemoryError("it is no JSON object")
    return found


def _memory(body: dict[str, Any]) -> TrackerState:
    at = float(body["at"])
    lives = dict(_life(*row) for row in body["lives"])
    absent = {(namespace, name): float(since) for namespace, name, since in body["seen"]}
    return TrackerState(
        at=at,
        lives=lives,
        seen=dict.fromkeys(lives, at) | absent,
        led=frozenset(_leader(*led) for led in body["led"]),
        infos=Infos(unheard=frozenset((name, _labels(labels)) for name, labels in body["infos"])),
        fading={(name, _labels(labels)): until for name, labels, until in body["fading"]},
        durations={
            tuple(key): Durations(counts=tuple(counts), total=total) for *key, counts, total in body["durations"]
        },
    )


def _labels(pairs: list[list[str]]) -> Labels:
    return tuple((name, value) for name, value in pairs)


def _life(namespace: str, name: str, life: dict[str, Any]) -> tuple[RolloutKey, RolloutState]:
    """Return a life by the keys of the file. Raises KeyError, TypeError or ValueError for any other shape."""
    phases, update, hashes = _phases(life["phases"]), life.get("update"), life.get("hashes")
    process = _process(life["process"])
    standing = UpdateState(life.get("standing", _DEFAULT.update_state))
    _check(life, _LIFE_NEEDED, _LIFE_KEYS)
    return (namespace, name), RolloutState(
        first_seen=life["born"],
        phases=phases,
        process=process,
        event_counts=life["events"],
        update_state=standing,
        evidence=life.get("evidence", _DEFAULT.evidence),
        update=_update(update) if update else None,
        hashes=_hashes(hashes) if hashes else NO_HASHES,
        has_router=life.get("router", _DEFAULT.has_router),
        strategy=life.get("strategy", _DEFAULT.strategy),
        had_revision=life.get("deployed", _DEFAULT.had_revision),
        last_event_at=life.get("news", _DEFAULT.last_event_at),
        ahead_of_counters=life.get("early", _DEFAULT.ahead_of_counters),
        result_counts=life.get("results", _DEFAULT.result_counts),
        last_durations=life.get("last_seconds", _DEFAULT.last_durations),
        paused_seconds=life.get("paused_seconds", _DEFAULT.paused_seconds),
        runs=life.get("runs", _DEFAULT.runs),
        finished_run_counts=life.get("runs_finished", _DEFAULT.finished_run_counts),
    )


def _phases(phases: dict[str, Any]) -> PhaseHistory:
    held = phases.get("held")
    _check(phases, _PHASES_NEEDED, _PHASES_KEYS)
    return PhaseHistory(
        phase=phases["phase"],
        since=phases["since"],
        transition_counts=phases.get("entries", _DEFAULT.phases.transition_counts),
        debounced_from=tuple(held) if held else None,
    )


def _process(process: dict[str, Any]) -> ControllerProcess:
    _check(process, _PROCESS_NEEDED, _PROCESS_KEYS)
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
