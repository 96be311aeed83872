"""A Memory as text and back: versioned, checked, and of one cluster only.

Hashes, phase starts, counters and their beginnings must outlive a restart, or the first tick after it would say
less than the last one before it.
"""

from __future__ import annotations

import json
import zlib
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Final

from isal import isal_zlib

from exporter.rollouts.durations import Durations
from exporter.rollouts.fleet import Process, Standing
from exporter.rollouts.lifecycle import Life, Update
from exporter.rollouts.phases import PhaseLog
from exporter.rollouts.revisions import NO_HASHES, Hashes
from exporter.rollouts.saying import Infos
from exporter.rollouts.watch import Memory

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from exporter.family import Labels, Strip
    from exporter.rollouts.fleet import Key

VERSION: Final = 1
_TIGHT: Final = (",", ":")
_ROWS: Final = 200
_DEFAULTS: Final = {
    name: value
    for name, value in asdict(Life(0.0, PhaseLog("", 0.0), Process("", 0.0), {})).items()
    if name not in {"born", "phases", "process", "events"}
}


class UnfitMemoryError(ValueError):
    """A text that is no memory of this cluster and version; the message says why."""


class Writer:
    """Writes memories; the text of what has not changed, of a rollout or of a strip, is the one of last time."""

    def __init__(self, cluster: str) -> None:
        self._cluster = cluster
        self._lives: dict[Key, tuple[Life, str]] = {}
        self._strips: dict[Strip, str] = {}

    def dump(self, memory: Memory) -> bytes:
        """Write a memory: a line with version, cluster and checksum, then JSON, compressed."""
        rest = {
            "at": memory.at,
            "seen": [[*key, at] for key, at in memory.seen.items() if at != memory.at],
            "led": sorted([one.target, one.start, one.installation] for one in memory.led),
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

    def _life(self, key: Key, life: Life) -> tuple[Life, str]:
        known = self._lives.get(key)
        if known is not None and known[0] is life:
            return known
        return life, json.dumps([*key, _shortened(asdict(life))], separators=_TIGHT)


def _info_rows(infos: Iterable[tuple[str, Labels]]) -> str:
    return ",".join([json.dumps([name, labels], separators=_TIGHT) for name, labels in infos])


def _listed(name: str, rows: Sequence[str]) -> Iterator[bytes]:
    """Yield a member of an object that is a list, some rows at a time: all of them take as much as the fleet."""
    yield f',"{name}":['.encode()
    for first in range(0, len(rows), _ROWS):
        yield f"{',' if first else ''}{','.join(rows[first : first + _ROWS])}".encode()
    yield b"]"


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
        infos=Infos(unheard=frozenset((name, _labels(labels)) for name, labels in body["infos"])),
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
