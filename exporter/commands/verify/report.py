"""What came of a heartbeat, in plain words and as JSON."""

from __future__ import annotations

import json
from dataclasses import dataclass
from math import ceil
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from exporter.commands.verify.matching import StoredFamily, AttributeMapping, StoredState

STEP: Final = 10
MARGIN: Final = 1.5
"""An initialDelay is what one heartbeat took and half of it again, in tens of seconds."""


@dataclass(frozen=True, slots=True)
class VerifyReport:
    """What came of a heartbeat sent at `at` (Unix seconds), and of the families of a running exporter.

    `waited` is how many seconds it took until all of it could be read, or until that was given up. `earlier` says
    that the store has heartbeats of the last day, but not this one. `remark` is what the OTLP endpoint had to say.
    """

    sent_at: float
    waited: float
    message: str
    heartbeat: tuple[StoredFamily, ...]
    identity: tuple[AttributeMapping, ...]
    added_labels: Mapping[str, str]
    families: tuple[StoredFamily, ...] = ()
    has_earlier_heartbeats: bool = False

    @property
    def read_back(self) -> bool:
        """Say whether the whole heartbeat could be read."""
        return all(one.complete for one in self.heartbeat)

    @property
    def ok(self) -> bool:
        """Say whether everything arrived, with the whole identity."""
        return self.read_back and all(one.complete for one in self.families) and all(one.label for one in self.identity)

    @property
    def initial_delay(self) -> int | None:
        """Return the initialDelay that a gate on this store needs, in seconds; None when nothing could be read."""
        return STEP * ceil(MARGIN * self.waited / STEP) if self.read_back else None


def report_lines(receipt: VerifyReport) -> Iterator[str]:
    """Tell it in plain words, one thing a line."""
    if receipt.message:
        yield f"the OTLP endpoint remarks: {receipt.message}"
    yield _delay(receipt)
    if any(one.names for one in receipt.heartbeat):
        yield from map(_family, receipt.heartbeat)
        yield from map(_attribute, receipt.identity)
        if receipt.added_labels:
            labels = ", ".join(f'{name}="{value}"' for name, value in receipt.added_labels.items())
            yield f"labels that the store adds: {labels}"
        yield from map(_family, receipt.families)
    yield "ok: everything arrived" if receipt.ok else "not everything arrived"


def _delay(receipt: VerifyReport) -> str:
    if receipt.read_back:
        return (
            f"write to read: {receipt.waited:.1f} s; give a gate an initialDelay of {receipt.initial_delay}s at least"
        )
    if any(one.names for one in receipt.heartbeat):
        return f"after {receipt.waited:.0f} s not the whole heartbeat can be read"
    if receipt.has_earlier_heartbeats:
        return f"nothing can be read after {receipt.waited:.0f} s, though earlier heartbeats are there; raise --timeout"
    return (
        f"nothing can be read after {receipt.waited:.0f} s, nor was anything before; check that read.address and "
        "otlp.endpoint are of one account, or raise --timeout"
    )


def _family(one: StoredFamily) -> str:
    return f"{one.sent.type} {one.sent.name}: {WORDS[one.state](one)}"


def _renamed(one: StoredFamily) -> str:
    return f"arrived as {', '.join(one.names)}: use this name in queries"


def _incomplete(one: StoredFamily) -> str:
    parts = f", none of {', '.join(one.missing_suffixes)}" if one.missing_suffixes else ""
    many = f"{one.series_count} of {one.sent.series_count} series"
    return f"{many} arrived as {', '.join(one.names)}{parts}; the store dropped the rest"


WORDS: Final[Mapping[StoredState, Callable[[StoredFamily], str]]] = {
    "arrived": lambda one: f"arrived, {one.sent.series_count} series",
    "renamed": _renamed,
    "incomplete": _incomplete,
    "missing": lambda _: "missing; the store dropped it, or it was not pushed",
}
"""What is said of a family, by its state."""


def _attribute(one: AttributeMapping) -> str:
    if one.label:
        return f"identity {one.attribute}={one.value}: label {one.label}"
    return f"identity {one.attribute}={one.value}: no label; queries cannot tell it, and equal series of others merge"


def report_json(receipt: VerifyReport) -> str:
    """Tell it to scripts, as one JSON object."""
    return json.dumps(_document(receipt), ensure_ascii=False)


def _document(receipt: VerifyReport) -> dict[str, Any]:
    return {
        "ok": receipt.ok,
        "sent_at": receipt.sent_at,
        "write_to_read_seconds": round(receipt.waited, 3) if receipt.read_back else None,
        "initial_delay_seconds": receipt.initial_delay,
        "remark": receipt.message,
        "heartbeat": [_json(one) for one in receipt.heartbeat],
        "identity": [
            {"attribute": one.attribute, "value": one.value, "label": one.label or None} for one in receipt.identity
        ],
        "added_labels": dict(receipt.added_labels),
        "series": [_json(one) for one in receipt.families],
    }


def _json(one: StoredFamily) -> dict[str, Any]:
    return {
        "name": one.sent.name,
        "kind": one.sent.type.value,
        "state": one.state,
        "stored_as": list(one.names),
        "lacking": list(one.missing_suffixes),
        "series_sent": one.sent.series_count,
        "series_stored": one.series_count,
    }
