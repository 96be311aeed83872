"""The report of `verify`, as text and as JSON."""

from __future__ import annotations

import json
from dataclasses import dataclass
from math import ceil
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from exporter.commands.verify.matching import AttributeMapping, StoredFamily, StoredState

DELAY_STEP: Final = 5
"""The recommended initialDelay is rounded up to it."""


@dataclass(frozen=True, slots=True)
class VerifyReport:
    """What the store holds of a heartbeat sent at `sent_at` (Unix seconds), and of a running exporter's families.

    `latency` is the time in seconds until all of the heartbeat could be read, or until the deadline.
    `has_earlier_heartbeats`: the store holds heartbeats of the last day, but not this one. `message` comes from the
    OTLP endpoint. `interval` is the time in seconds between two samples of a series.
    """

    sent_at: float
    latency: float
    message: str
    heartbeat_families: tuple[StoredFamily, ...]
    identity: tuple[AttributeMapping, ...]
    added_labels: Mapping[str, str]
    families: tuple[StoredFamily, ...] = ()
    has_earlier_heartbeats: bool = False
    interval: float = 15.0

    @property
    def is_readable(self) -> bool:
        """Whether the complete heartbeat could be read."""
        return all(family.complete for family in self.heartbeat_families)

    @property
    def ok(self) -> bool:
        """Whether everything arrived, with all identity attributes."""
        has_families = all(family.complete for family in self.families)
        return self.is_readable and has_families and all(attribute.label for attribute in self.identity)

    @property
    def initial_delay(self) -> int | None:
        """The initialDelay in seconds that a gate on this store needs; None if the heartbeat could not be read."""
        # A sample may be an interval late before its way to the store begins.
        return DELAY_STEP * ceil((self.interval + self.latency) / DELAY_STEP) if self.is_readable else None


def report_lines(report: VerifyReport) -> Iterator[str]:
    """Yield the report as text, one fact per line."""
    if report.message:
        yield f"message of the OTLP endpoint: {report.message}"
    yield _delay(report)
    if any(family.names for family in report.heartbeat_families):
        yield from map(_family, report.heartbeat_families)
        yield from map(_attribute, report.identity)
        if report.added_labels:
            labels = ", ".join(f'{name}="{value}"' for name, value in report.added_labels.items())
            yield f"labels added by the store: {labels}"
        yield from map(_family, report.families)
    yield "ok: everything arrived" if report.ok else "failed: not everything arrived"


def _delay(report: VerifyReport) -> str:
    latency = report.latency
    if report.is_readable:
        total = f"{report.initial_delay}s: the interval of {report.interval:g} s and this delay"
        return f"write to read: {latency:.1f} s; give a gate an initialDelay of at least {total}"
    if any(family.names for family in report.heartbeat_families):
        return f"only a part of the heartbeat can be read after {latency:.0f} s"
    if report.has_earlier_heartbeats:
        return f"nothing can be read after {latency:.0f} s, although earlier heartbeats can; raise --timeout"
    return (
        f"nothing can be read after {latency:.0f} s, nor any earlier heartbeat; check that read.address and "
        "otlp.endpoint belong to one account, or raise --timeout"
    )


def _family(family: StoredFamily) -> str:
    return f"{family.sent.type} {family.sent.name}: {DESCRIPTIONS[family.state](family)}"


def _incomplete(family: StoredFamily) -> str:
    missing = f", without {', '.join(family.missing_suffixes)}" if family.missing_suffixes else ""
    count = f"{family.series_count} of {family.sent.series_count} series"
    return f"{count} arrived as {', '.join(family.names)}{missing}; the store dropped the rest"


DESCRIPTIONS: Final[Mapping[StoredState, Callable[[StoredFamily], str]]] = {
    "arrived": lambda family: f"arrived, {family.sent.series_count} series",
    "renamed": lambda family: f"arrived as {', '.join(family.names)}: use this name in queries",
    "incomplete": _incomplete,
    "missing": lambda _: "missing; the store dropped it, or it was not pushed",
}


def _attribute(attribute: AttributeMapping) -> str:
    text = f"identity {attribute.attribute}={attribute.value}"
    if attribute.label:
        return f"{text}: label {attribute.label}"
    return f"{text}: no label; queries cannot select by it, and equal series of other clusters merge"


def report_json(report: VerifyReport) -> str:
    """Return the report as one JSON object, for scripts."""
    document = {
        "ok": report.ok,
        "sent_at": report.sent_at,
        "write_to_read_seconds": round(report.latency, 3) if report.is_readable else None,
        "initial_delay_seconds": report.initial_delay,
        "remark": report.message,
        "heartbeat": [_family_json(family) for family in report.heartbeat_families],
        "identity": [
            {"attribute": mapping.attribute, "value": mapping.value, "label": mapping.label or None}
            for mapping in report.identity
        ],
        "added_labels": dict(report.added_labels),
        "series": [_family_json(family) for family in report.families],
    }
    return json.dumps(document, ensure_ascii=False)


def _family_json(family: StoredFamily) -> dict[str, Any]:
    return {
        "name": family.sent.name,
        "kind": family.sent.type.value,
        "state": family.state,
        "stored_as": list(family.names),
        "lacking": list(family.missing_suffixes),
        "series_sent": family.sent.series_count,
        "series_stored": family.series_count,
    }
