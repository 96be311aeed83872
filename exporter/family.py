"""The vocabulary that scraping, rollouts, OTLP and the web share: series, families as columns, pages, cycles.

A series is interned: whoever makes one keeps it and hands out the same object for the same name and labels, so
that a family is two columns, its series and their values, and telling what has gone is comparing lists of
references. Nothing here does I/O, reads a clock or logs.
"""

from __future__ import annotations

from array import array
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

Labels = tuple[tuple[str, str], ...]


class Kind(StrEnum):
    """What a family's TYPE line says, in the words of text format 0.0.4."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"
    SUMMARY = "summary"
    UNTYPED = "untyped"


class Source(StrEnum):
    """What kind of component a target is; also the section of the configuration that lists it."""

    ARGO = "argo"
    KUBE_STATE_METRICS = "kube_state_metrics"
    ROLLOUT_STATE = "rollout_state"


class Series:
    """One series, made once and compared by identity.

    `name` is the sample's own name (`x`, or `x_bucket`, `x_sum`, `x_count` of a histogram `x`); `labels` are in
    the order of the page, without empty values, `le` and `quantile` among them.
    """

    __slots__ = ("labels", "name")

    def __init__(self, name: str, labels: Labels) -> None:
        self.name = name
        self.labels = labels

    def label(self, name: str) -> str:
        """Return the value of a label, "" when there is none (to Prometheus both are the same)."""
        for key, value in self.labels:
            if key == name:
                return value
        return ""

    def __repr__(self) -> str:
        labels = ",".join(f'{key}="{value}"' for key, value in self.labels)
        return f"{self.name}{{{labels}}}"


@dataclass(frozen=True, slots=True)
class Family:
    """A metric family as columns: `values[i]` is what was said of `series[i]`.

    `starts`, where given, is the time (Unix seconds) from which each counter of the family counts.
    """

    name: str
    kind: Kind
    help: str
    series: Sequence[Series]
    values: Sequence[float]
    starts: Sequence[float] | None = None

    def __len__(self) -> int:
        return len(self.series)


def family(name: str, kind: Kind, text: str, samples: Iterable[tuple[Series, float]]) -> Family:
    """Make a family of (series, value) pairs."""
    series: list[Series] = []
    values = array("d")
    for one, value in samples:
        series.append(one)
        values.append(value)
    return Family(name, kind, text, series, values)


@dataclass(frozen=True, slots=True)
class Trouble:
    """Why a target yielded nothing: a reason from a small fixed set, and a message that names the cure."""

    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class Page:
    """What one target address answered, wholly: its wanted families, or the trouble that left it without any.

    `target` tells addresses apart and is the `instance` label of the target's series; `installation` groups the
    controllers of one Argo Rollouts. `malformed` counts lines that were no exposition text, by reason: nothing
    absent from such a page counts as gone. `at` is when it was asked (Unix seconds), `seconds` how long it took,
    `samples` how many samples of wanted families it had.
    """

    source: Source
    target: str
    at: float
    families: Mapping[str, Family] = field(default_factory=dict)
    trouble: Trouble | None = None
    installation: str = "default"
    malformed: Mapping[str, int] = field(default_factory=dict)
    seconds: float = 0.0
    samples: int = 0


@dataclass(frozen=True, slots=True)
class Cycle:
    """What is said at one tick: `families` with a value each, and `ended` series, which get one end marker."""

    at: float
    families: tuple[Family, ...] = ()
    ended: tuple[Family, ...] = ()
