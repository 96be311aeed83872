"""What is worked out of the samples of a family, strip by strip, once for as long as a strip is handed out."""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING, Final, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from exporter.metrics import SampleBatch, ScrapeResult


T = TypeVar("T")


def rollout(labels: Mapping[str, str]) -> tuple[str, str]:
    """Return the rollout that a sample with these labels is of."""
    return labels.get("namespace", ""), labels.get("name", "")


class Notes(Generic[T]):
    """Notes on one family; `note` says by labels and value what there is to note of a sample, None for nothing."""

    def __init__(self, family: str, note: Callable[[Mapping[str, str], float], T | None]) -> None:
        self._family = family
        self._note = note
        self._taken: dict[SampleBatch, tuple[T, ...]] = {}

    def of(self, pages: Iterable[ScrapeResult]) -> list[T]:
        """Return what there is to note on all pages, in their order; what is on none of them is forgotten."""
        before, self._taken = self._taken, {}
        found: list[T] = []
        for page in pages:
            family = page.families.get(self._family)
            for strip in family.batches if family is not None else ():
                notes = before.get(strip)
                if notes is None:
                    notes = self._take(strip)
                self._taken[strip] = notes
                found += notes
        return found

    def changes(self, pages: Iterable[ScrapeResult]) -> tuple[list[T], list[T]]:
        """Return what was noted last time of strips that are gone, and what there is to note of those that came."""
        before = self._taken
        self.of(pages)
        gone = [one for strip, notes in before.items() if strip not in self._taken for one in notes]
        return gone, [one for strip, notes in self._taken.items() if strip not in before for one in notes]

    @property
    def all(self) -> list[T]:
        """What was noted last time, on all pages."""
        return list(chain.from_iterable(self._taken.values()))

    def _take(self, strip: SampleBatch) -> tuple[T, ...]:
        told = (
            self._note(dict(series.labels), value) for series, value in zip(strip.series, strip.values, strict=True)
        )
        return tuple(one for one in told if one is not None)


# A memory of what was in use lately: bounded, and emptied of what is gone.


K = TypeVar("K")
V = TypeVar("V")

LIFE: Final = 16


class Recent(Generic[K, V]):
    """A mapping in two generations: what is used moves to the young one, the old one is forgotten as a whole.

    What was not asked for during LIFE to 2 LIFE ages is gone; it is gone sooner when more comes than stays.
    """

    def __init__(self) -> None:
        self._young: dict[K, V] = {}
        self._old: dict[K, V] = {}
        self._used = 0
        self._most = 0
        self._ages = 0

    def __len__(self) -> int:
        return len(self._young) + len(self._old)

    def __contains__(self, key: K) -> bool:
        return key in self._young or key in self._old

    def get(self, key: K) -> V | None:
        """Return what is remembered of a key, if anything."""
        self._used += 1
        return self._recall(key)

    def put(self, key: K, value: V) -> V:
        """Remember a value, and return it."""
        self._young[key] = value
        return value

    def every(self, keys: Sequence[K], make: Callable[[K], V]) -> list[V]:
        """Return a value for each key, made where none is remembered."""
        found = list(map(self._young.get, keys))
        self._used += len(keys)
        if None in found and not any(found):
            older = list(map(self._old.get, keys))
            if None not in older:
                self._young.update(zip(keys, older, strict=True))  # type: ignore[arg-type] # no None is left
                return older  # type: ignore[return-value] # the same
        if None in found:
            return [self._either(key, make) if value is None else value for key, value in zip(keys, found, strict=True)]
        return found  # type: ignore[return-value] # no None is left

    def _recall(self, key: K) -> V | None:
        value = self._young.get(key)
        if value is None and (value := self._old.pop(key, None)) is not None:
            self._young[key] = value
        return value

    def _either(self, key: K, make: Callable[[K], V]) -> V:
        value = self._recall(key)
        return self.put(key, make(key)) if value is None else value

    def age(self) -> bool:
        """End a cycle of use; return whether something was forgotten."""
        self._most, self._used, self._ages = max(self._most, self._used), 0, self._ages + 1
        if self._ages < LIFE and len(self._young) <= 2 * self._most:
            return False
        self._old, self._young = self._young, {}
        self._most = self._ages = 0
        return True
