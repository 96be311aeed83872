"""What a store made of what was sent: under which names and labels it arrived, and what is missing. Pure."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from exporter.net.prometheus_response import NAME
from exporter.metrics import MetricType

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from exporter.metrics import Labels

SUFFIXES: Final[Mapping[MetricType, tuple[str, ...]]] = {
    MetricType.HISTOGRAM: ("_bucket", "_sum", "_count"),
    MetricType.SUMMARY: ("", "_sum", "_count"),
}
"""The suffixes of the sample names that a family of a kind has; of any other kind it has its own name only."""
_OWN: Final = ("",)
_ODD: Final = re.compile(r"[^a-zA-Z0-9]+")
_PLAIN_LABEL: Final = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")
_NOT_IDENTITY: Final = {NAME, "le", "quantile"}

StoredState = Literal["arrived", "renamed", "incomplete", "missing"]


@dataclass(frozen=True, slots=True)
class SentFamily:
    """A family that was sent, of so many series."""

    name: str
    type: MetricType
    series_count: int


@dataclass(frozen=True, slots=True)
class StoredFamily:
    """What became of a family: `stored` are the names that it has in the store, `series` how many are there.

    `lacking` are the suffixes of which there is no series.
    """

    sent: SentFamily
    names: tuple[str, ...]
    missing_suffixes: tuple[str, ...]
    series_count: int

    @property
    def state(self) -> StoredState:
        """Return what became of it in a word."""
        if not self.names:
            return "missing"
        if self.missing_suffixes or self.series_count < self.sent.series_count:
            return "incomplete"
        return "arrived" if self.names == (self.sent.name,) else "renamed"

    @property
    def complete(self) -> bool:
        """Say whether all of it is there, under whatever name."""
        return self.state in {"arrived", "renamed"}


def match_families(sent: Sequence[SentFamily], found: Mapping[str, int]) -> tuple[StoredFamily, ...]:
    """Tell what became of each family, by the names of samples in the store and how many series each has.

    A name that the store changed still has the one that was sent within it; it belongs to the longest such.
    """
    owned: dict[str, dict[str, int]] = {one.name: {} for one in sent}
    for name, series in found.items():
        within = max((one for one in owned if one in name), key=len, default=None)
        if within is not None:
            owned[within][name] = series
    return tuple(_arrival(one, owned[one.name]) for one in sent)


def _arrival(sent: SentFamily, found: Mapping[str, int]) -> StoredFamily:
    parts = SUFFIXES.get(sent.type, _OWN)
    of_part = {name: _part(name, parts) for name in found}
    stored = {name.removesuffix(part) for name, part in of_part.items()}
    lacking = tuple(part for part in parts if part not in of_part.values())
    return StoredFamily(sent, tuple(sorted(stored)), lacking, sum(found.values()))


def _part(name: str, parts: Iterable[str]) -> str:
    return max((part for part in parts if name.endswith(part)), key=len, default="")


@dataclass(frozen=True, slots=True)
class AttributeMapping:
    """An attribute of the identity, and the label that it became: "" for none."""

    attribute: str
    value: str
    label: str


def map_attributes(identity: Mapping[str, str], stored: Sequence[Labels]) -> tuple[AttributeMapping, ...]:
    """Tell which label of every stored series has each attribute: the one of a like name, else one of its value."""
    every = [dict(labels) for labels in stored]
    return tuple(AttributeMapping(key, value, _label(key, value, every)) for key, value in identity.items())


def _label(key: str, value: str, every: Sequence[Mapping[str, str]]) -> str:
    shared = [name for name in every[0] if all(one.get(name) == value for one in every)] if every else []
    alike = [name for name in shared if _ODD.sub("_", name) == _ODD.sub("_", key)]
    return next(iter(alike or (name for name in shared if name not in _NOT_IDENTITY)), "")


def added_labels(spelt: Iterable[AttributeMapping], stored: Sequence[Labels]) -> dict[str, str]:
    """Return the labels that are in every stored series without being an attribute of the identity."""
    ours = {one.label for one in spelt} | _NOT_IDENTITY
    shared = set(stored[0]).intersection(*stored) if stored else set()
    return {name: value for name, value in sorted(shared) if name not in ours}


def cache_buster(number: int) -> str:
    """Return a matcher that matches every series: VictoriaMetrics keeps an empty answer to a selector for 10 s."""
    return f'asked!="{number}"'


def selector(names: Iterable[str], spelt: Iterable[AttributeMapping], number: int) -> str:
    """Return a selector of families by name, as they are or as stores rename them, with the identity's labels.

    `number` makes it another one at each asking.
    """
    name = f'{NAME}=~"(.+_)?({"|".join(names)})(_total|_ratio)?(_bucket|_sum|_count)?"'
    return f"{{{','.join((name, *_matchers(spelt), cache_buster(number)))}}}"


def _matchers(spelt: Iterable[AttributeMapping]) -> Iterator[str]:
    for one in spelt:
        if one.label:
            label = one.label if _PLAIN_LABEL.fullmatch(one.label) else json.dumps(one.label, ensure_ascii=False)
            yield f"{label}={json.dumps(one.value, ensure_ascii=False)}"
