"""Match sent families and attributes with what a store holds: new names and labels, and what is missing. Pure."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from exporter.metrics import SAMPLE_SUFFIXES
from exporter.net.prometheus_response import METRIC_NAME

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from exporter.metrics import Labels, MetricType

_SEPARATORS: Final = re.compile(r"[^a-zA-Z0-9]+")
_PLAIN_LABEL: Final = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")
_NOT_IDENTITY: Final = {METRIC_NAME, "le", "quantile"}

StoredState = Literal["arrived", "renamed", "incomplete", "missing"]


@dataclass(frozen=True, slots=True)
class SentFamily:
    """A family that was sent, with its number of series."""

    name: str
    type: MetricType
    series_count: int


@dataclass(frozen=True, slots=True)
class StoredFamily:
    """A sent family as the store holds it: under which names, and how many series of it.

    `missing_suffixes` are the suffixes of sample names of which there is no series.
    """

    sent: SentFamily
    names: tuple[str, ...]
    missing_suffixes: tuple[str, ...]
    series_count: int

    @property
    def state(self) -> StoredState:
        """Whether the family arrived, under its name or another one, in part, or not at all."""
        if not self.names:
            return "missing"
        if self.missing_suffixes or self.series_count < self.sent.series_count:
            return "incomplete"
        return "arrived" if self.names == (self.sent.name,) else "renamed"

    @property
    def complete(self) -> bool:
        """Whether all series are there, under any name."""
        return self.state in {"arrived", "renamed"}


def match_families(sent: Sequence[SentFamily], stored_counts: Mapping[str, int]) -> tuple[StoredFamily, ...]:
    """Return what the store holds of each sent family; `stored_counts`: series per sample name in the store.

    A name that the store changed still contains the sent one; it belongs to the longest sent name within it.
    """
    counts_by_family: dict[str, dict[str, int]] = {family.name: {} for family in sent}
    for name, count in stored_counts.items():
        sent_name = max((candidate for candidate in counts_by_family if candidate in name), key=len, default=None)
        if sent_name is not None:
            counts_by_family[sent_name][name] = count
    return tuple(_stored_family(family, counts_by_family[family.name]) for family in sent)


def _stored_family(sent: SentFamily, counts: Mapping[str, int]) -> StoredFamily:
    suffixes = SAMPLE_SUFFIXES[sent.type]
    suffix_of = {name: _suffix(name, suffixes) for name in counts}
    names = {name.removesuffix(suffix) for name, suffix in suffix_of.items()}
    missing = tuple(suffix for suffix in suffixes if suffix not in suffix_of.values())
    return StoredFamily(sent, tuple(sorted(names)), missing, sum(counts.values()))


def _suffix(name: str, suffixes: Iterable[str]) -> str:
    return max((suffix for suffix in suffixes if name.endswith(suffix)), key=len, default="")


@dataclass(frozen=True, slots=True)
class AttributeMapping:
    """An identity attribute and the label that the store made of it, "" for none."""

    attribute: str
    value: str
    label: str


def map_attributes(identity: Mapping[str, str], stored: Sequence[Labels]) -> tuple[AttributeMapping, ...]:
    """Return the label of each attribute that every stored series has: one of a similar name, else of equal value."""
    label_maps = [dict(labels) for labels in stored]
    return tuple(AttributeMapping(key, value, _label(key, value, label_maps)) for key, value in identity.items())


def _label(key: str, value: str, label_maps: Sequence[Mapping[str, str]]) -> str:
    names = label_maps[0] if label_maps else ()
    shared = [name for name in names if all(labels.get(name) == value for labels in label_maps)]
    similar = [name for name in shared if _SEPARATORS.sub("_", name) == _SEPARATORS.sub("_", key)]
    return next(iter(similar or (name for name in shared if name not in _NOT_IDENTITY)), "")


def added_labels(attributes: Iterable[AttributeMapping], stored: Sequence[Labels]) -> dict[str, str]:
    """Return the labels that every stored series has although they are no identity attribute."""
    own_labels = {attribute.label for attribute in attributes} | _NOT_IDENTITY
    shared = set(stored[0]).intersection(*stored) if stored else set()
    return {name: value for name, value in sorted(shared) if name not in own_labels}


def cache_buster(number: int) -> str:
    """Return a matcher that all series satisfy, new for each query: VictoriaMetrics caches empty results for 10 s."""
    return f'asked!="{number}"'


def selector(names: Iterable[str], attributes: Iterable[AttributeMapping], number: int) -> str:
    """Return a selector of families by their names, or as stores rename them, with the identity labels.

    `number` is the number of the query, see `cache_buster`.
    """
    # A store may put a prefix before a name, and the suffixes of OpenTelemetry's translation behind it.
    name = f'{METRIC_NAME}=~"(.+_)?({"|".join(names)})(_total|_ratio)?(_bucket|_sum|_count)?"'
    return f"{{{','.join((name, *_matchers(attributes), cache_buster(number)))}}}"


def _matchers(attributes: Iterable[AttributeMapping]) -> Iterator[str]:
    for attribute in attributes:
        label = attribute.label
        if label:
            quoted = label if _PLAIN_LABEL.fullmatch(label) else json.dumps(label, ensure_ascii=False)
            yield f"{quoted}={json.dumps(attribute.value, ensure_ascii=False)}"
