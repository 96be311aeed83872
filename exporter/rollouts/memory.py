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
from exporter.rollouts.revisions import Hashes
from exporter.rollouts.watch import Memory

if TYPE_CHECKING:
    from exporter.family import Labels
    from exporter.rollouts.fleet import Key

VERSION: Final = 1


class UnfitMemoryError(ValueError):
    """A text that is no memory of this cluster and version; the message says why."""


def dump(memory: Memory, cluster: str) -> str:
    """Write a memory as one line of JSON behind a line with version, cluster and checksum."""
    body = json.dumps(
        {
            "at": memory.at,
            "lives": [[*key, asdict(life)] for key, life in memory.lives.items()],
            "led": [[process.target, process.start] for process in sorted(memory.led, key=lambda one: one.target)],
            "infos": sorted([name, list(labels)] for name, labels in memory.infos),
            "fading": [[name, list(labels), until] for (name, labels), until in memory.fading.items()],
            "durations": [[*key, list(one.counts), one.total] for key, one in memory.durations.items()],
        },
        separators=(",", ":"),
    )
    head = {"version": VERSION, "cluster": cluster, "crc": zlib.crc32(body.encode())}
    return json.dumps(head) + "\n" + body + "\n"


def load(text: str, cluster: str) -> Memory:
    """Read what `dump` wrote. Raises UnfitMemoryError for anything else, another cluster's memory included."""
    head_text, _, body = text.partition("\n")
    body = body.removesuffix("\n")
    head = _object(head_text)
    if head.get("version") != VERSION:
        raise UnfitMemoryError(f"it is of version {head.get('version')!r}, not {VERSION}")
    if head.get("cluster") != cluster:
        raise UnfitMemoryError(f"it is of cluster {head.get('cluster')!r}, not {cluster!r}")
    if head.get("crc") != zlib.crc32(body.encode()):
        raise UnfitMemoryError("its checksum does not match: it was cut or changed")
    try:
        return _memory(_object(body))
    except (KeyError, TypeError, ValueError, IndexError, OverflowError) as error:
        raise UnfitMemoryError(f"it is not of the shape expected ({type(error).__name__})") from error


def _object(text: str) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UnfitMemoryError("it is no JSON") from error
    if not isinstance(found, dict):
        raise UnfitMemoryError("it is no JSON object")
    return found


def _memory(body: dict[str, Any]) -> Memory:
    return Memory(
        at=float(body["at"]),
        lives=dict(_life(*row) for row in body["lives"]),
        led=frozenset(Process(target, start) for target, start in body["led"]),
        infos=frozenset((name, _labels(labels)) for name, labels in body["infos"]),
        fading={(name, _labels(labels)): until for name, labels, until in body["fading"]},
        durations={tuple(key): Durations(tuple(counts), total) for *key, counts, total in body["durations"]},
    )


def _labels(pairs: list[list[str]]) -> Labels:
    return tuple((name, value) for name, value in pairs)


def _life(namespace: str, name: str, life: dict[str, Any]) -> tuple[Key, Life]:
    phases, update = life["phases"], life["update"]
    held = phases["held"]
    whole = {
        **life,
        "phases": PhaseLog(**{**phases, "held": tuple(held) if held else None}),
        "process": Process(**life["process"]),
        "standing": Standing(life["standing"]),
        "update": Update(**update) if update else None,
        "hashes": Hashes(**life["hashes"]),
    }
    return (namespace, name), Life(**whole)
