"""What is worked out of the samples of a family, strip by strip, once for as long as a strip is handed out."""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING, Final, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Mapping

    from exporter.family import Page, Strip
    from exporter.rollouts.fleet import Key

T = TypeVar("T")
SLICE: Final = 1000
"""How many samples are looked at between two turns of whoever else waits."""


def rollout(labels: Mapping[str, str]) -> Key:
    """Return the rollout that a sample with these labels is of."""
    return labels.get("namespace", ""), labels.get("name", "")


class Notes(Generic[T]):
    """Notes on one family; `note` says by labels and value what there is to note of a sample, None for nothing."""

    def __init__(self, family: str, note: Callable[[Mapping[str, str], float], T | None]) -> None:
        self._family = family
        self._note = note
        self._taken: dict[Strip, tuple[T, ...]] = {}

    def of(self, pages: Iterable[Page]) -> Generator[None, None, list[T]]:
        """Return what there is to note on all pages, in their order, giving way while much is new.

        What is on none of them is forgotten.
        """
        before, self._taken = self._taken, {}
        found: list[T] = []
        made = 0
        for page in pages:
            family = page.families.get(self._family)
            for strip in family.strips if family is not None else ():
                notes = before.get(strip)
                if notes is None:
                    notes = self._take(strip)
                    made += len(strip)
                self._taken[strip] = notes
                found += notes
                if made > SLICE:
                    made = 0
                    yield
        return found

    def changes(self, pages: Iterable[Page]) -> Generator[None, None, tuple[list[T], list[T]]]:
        """Return what was noted last time of strips that are gone, and what there is to note of those that came."""
        before = self._taken
        yield from self.of(pages)
        gone = [one for strip, notes in before.items() if strip not in self._taken for one in notes]
        return gone, [one for strip, notes in self._taken.items() if strip not in before for one in notes]

    @property
    def all(self) -> list[T]:
        """What was noted last time, on all pages."""
        return list(chain.from_iterable(self._taken.values()))

    def _take(self, strip: Strip) -> tuple[T, ...]:
        told = (
            self._note(dict(series.labels), value) for series, value in zip(strip.series, strip.values, strict=True)
        )
        return tuple(one for one in told if one is not None)
