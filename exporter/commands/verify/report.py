"""What came of a heartbeat, in plain words and as JSON."""

from __future__ import annotations

import json
from dataclasses import dataclass
from math import ceil
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from exporter.commands.verify.matching import Arrival, Spelt, State

STEP: Final = 10
MARGIN: Final = 1.5
"""An initialDelay is what one heartbeat took and half of it again, in tens of seconds."""


@dataclass(frozen=True, slots=True)
class Receipt:
    """What came of a heartbeat sent at `at` (Unix seconds), and of the families of a running exporter.

    `waited` is how many seconds it took until all of it could be read, or until that was given up. `earlier` says
    that the store has heartbeats of the last day, but not this one. `remark` is what the OTLP endpoint had to say.
    """

    at: float
    waited: float
    remark: str
    heartbeat: tuple[Arrival, ...]
    identity: tuple[Spelt, ...]
    added: Mapping[str, str]
    series: tuple[Arrival, ...] = ()
    earlier: bool = False

    @property
    def read_back(self) -> bool:
        """Say whether the whole heartbeat could be read."""
        return all(one.whole for one in self.heartbeat)

    @property
    def whole(self) -> bool:
        """Say whether everything arrived, with the whole identity."""
        return self.read_back and all(one.whole for one in self.series) and all(one.label for one in self.identity)

    @property
    def initial_delay(self) -> int | None:
        """Return the initialDelay that a gate on this store needs, in seconds; None when nothing could be read."""
        return STEP * ceil(MARGIN * self.waited / STEP) if self.read_back else None


def lines(receipt: Receipt) -> Iterator[str]:
    """Tell it in plain words, one thing a line."""
    if receipt.remark:
        yield f"the OTLP endpoint remarks: {receipt.remark}"
    yield _delay(receipt)
    if any(one.stored for one in receipt.heartbeat):
        yield from map(_family, receipt.heartbeat)
        yield from map(_attribute, receipt.identity)
        if receipt.added:
            labels = ", ".join(f'{name}="{value}"' for name, value in receipt.added.items())
            yield f"labels that the store adds: {labels}"
        yield from map(_family, receipt.series)
    yield "ok: everything arrived" if receipt.whole else "not everything arrived"


def _delay(receipt: Receipt) -> str:
    if receipt.read_back:
        return (
            f"write to read: {receipt.waited:.1f} s; give a gate an initialDelay of {receipt.initial_delay}s at least"
        )
    if any(one.stored for one in receipt.heartbeat):
        return f"after {receipt.waited:.0f} s not the whole heartbeat can be read"
    if receipt.earlier:
        return f"nothing can be read after {receipt.waited:.0f} s, though earlier heartbeats are there; raise --timeout"
    return (
        f"nothing can be read after {receipt.waited:.0f} s, nor was anything before; check that read.address and "
        "otlp.endpoint are of one account, or raise --timeout"
    )


def _family(one: Arrival) -> str:
    return f"{one.sent.kind} {one.sent.name}: {WORDS[one.state](one)}"


def _renamed(one: Arrival) -> str:
    return f"arrived as {', '.join(one.stored)}: use this name in queries"


def _incomplete(one: Arrival) -> str:
    parts = f", none of {', '.join(one.lacking)}" if one.lacking else ""
    many = f"{one.series} of {one.sent.series} series"
    return f"{many} arrived as {', '.join(one.stored)}{parts}; the store dropped the rest"


WORDS: Final[Mapping[State, Callable[[Arrival], str]]] = {
    "arrived": lambda one: f"arrived, {one.sent.series} series",
    "renamed": _renamed,
    "incomplete": _incomplete,
    "missing": lambda _: "missing; the store dropped it, or it was not pushed",
}
"""What is said of a family, by its state."""


def _attribute(one: Spelt) -> str:
    if one.label:
        return f"identity {one.attribute}={one.value}: label {one.label}"
    return f"identity {one.attribute}={one.value}: no label; queries cannot tell it, and equal series of others merge"


def as_json(receipt: Receipt) -> str:
    """Tell it to scripts, as one JSON object."""
    return json.dumps(_document(receipt), ensure_ascii=False)


def _document(receipt: Receipt) -> dict[str, Any]:
    return {
        "ok": receipt.whole,
        "sent_at": receipt.at,
        "write_to_read_seconds": round(receipt.waited, 3) if receipt.read_back else None,
        "initial_delay_seconds": receipt.initial_delay,
        "remark": receipt.remark,
        "heartbeat": [_json(one) for one in receipt.heartbeat],
        "identity": [
            {"attribute": one.attribute, "value": one.value, "label": one.label or None} for one in receipt.identity
        ],
        "added_labels": dict(receipt.added),
        "series": [_json(one) for one in receipt.series],
    }


def _json(one: Arrival) -> dict[str, Any]:
    return {
        "name": one.sent.name,
        "kind": one.sent.kind.value,
        "state": one.state,
        "stored_as": list(one.stored),
        "lacking": list(one.lacking),
        "series_sent": one.sent.series,
        "series_stored": one.series,
    }
