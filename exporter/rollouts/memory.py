"""A Memory as text and back: versioned, checked, and of one cluster only.

Hashes, phase starts, counters and their beginnings must outlive a restart, or the first tick after it would say
less than the last one before it.
"""

from __future__ import annotations

import json
import zlib
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Final

from exporter.rollouts.durations import Durations
from exporter.rollouts.fleet import Process, Standing
from exporter.rollouts.lifecycle import Life, Update
from exporter.rollouts.phases import PhaseLog
from exporter.rollouts.revisions import NO_HASHES, Hashes
from exporter.rollouts.watch import Memory

if TYPE_CHECKING:
    from exporter.family import Labels
    from exporter.rollouts.fleet import Key

VERSION: Final = 1
_TIGHT: Final = (",", ":")
_DEFAULTS: Final = {
    name: value
    for name, value in asdict(Life(0.0, PhaseLog("", 0.0), Process("", 0.0), {})).items()
    if name not in {"born", "phases", "process", "events"}
}


class UnfitMemoryError(ValueError):
    """A text that is no memory of this cluster and version; the message says why."""


class Writer:
    """Writes memories; the text of a rollout that has not changed is the one of last time."""

    def __init__(self, cluster: str) -> None:
        self._cluster = cluster
        self._lives: dict[Key, tuple[Life, str]] = {}

    def dump(self, memory: Memory) -> bytes:
        """Write a memory: a line with version, cluster and checksum, then JSON, compressed."""
        lives = {key: self._life(key, life) for key, life in memory.lives.items()}
        self._lives = lives
        rest = {
            "at": memory.at,
            "seen": [[*key, at] for key, at in memory.seen.items() if at != memory.at],
            "led": sorted([one.target, one.start, one.installation] for one in memory.led),
            "infos": sorted([name, list(labels)] for name, labels in memory.infos),
            "fading": [[name, list(labels), until] for (name, labels), until in memory.fading.items()],
            "durations": [[*key, list(one.counts), one.total] for key, one in memory.durations.items()],
        }
        text = (
            json.dumps(rest, separators=_TIGHT)[:-1] + ',"lives":[' + ",".join(one for _, one in lives.values()) + "]}"
        )
        body = zlib.compress(text.encode(), 1)
        head = {"version": VERSION, "cluster": self._cluster, "crc": zlib.crc32(body)}
        return json.dumps(head).encode() + b"\n" + body

    def _life(self, key: Key, life: Life) -> tuple[Life, str]:
        known = self._lives.get(key)
        if known is not None and known[0] is life:
            return known
        return life, json.dumps([*key, _shortened(asdict(life))], separators=_TIGHT)


def dump(memory: Memory, cluster: str) -> bytes:
    """Write one memory."""
    return Writer(cluster).dump(memory)


def _shortened(life: dict[str, Any]) -> dict[str, Any]:
    """Leave out what is as a Life's field is by default."""
    return {name: value for name, value in life.items() if name not in _DEFAULTS or value != _DEFAULTS[name]}


def load(kept: bytes, cluster: str) -> Memory:
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


def _memory(body: dict[str, Any]) -> Memory:
    at = float(body["at"])
    lives = dict(_life(*row) for row in body["lives"])
    absent = {(namespace, name): float(since) for namespace, name, since in body["seen"]}
    return Memory(
        at=at,
        lives=lives,
        seen=dict.fromkeys(lives, at) | absent,
        led=frozenset(Process(*led) for led in body["led"]),
        infos=frozenset((name, _labels(labels)) for name, labels in body["infos"]),
        fading={(name, _labels(labels)): until for name, labels, until in body["fading"]},
        durations={tuple(key): Durations(tuple(counts), total) for *key, counts, total in body["durations"]},
    )


def _labels(pairs: list[list[str]]) -> Labels:
    return tuple((name, value) for name, value in pairs)


def _life(namespace: str, name: str, life: dict[str, Any]) -> tuple[Key, Life]:
    phases, update, hashes = life["phases"], life.get("update"), life.get("hashes")
    held = phases.get("held")
    whole = {
        **life,
        "phases": PhaseLog(**{**phases, "held": tuple(held) if held else None}),
        "process": Process(**life["process"]),
        "standing": Standing(life.get("standing", Standing.UNKNOWN)),
        "update": Update(**update) if update else None,
        "hashes": Hashes(**hashes) if hashes else NO_HASHES,
    }
    return (namespace, name), Life(**whole)
