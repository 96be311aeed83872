"""Incremental recomputation: results equal those computed from scratch, at the cost of what changed.

The scrape cache and the renderer hand out the same object for as long as nothing in it changes. So a class of this
module only asks whether its input is the same object as before; it never looks into it. Its laws, which
tests/test_incremental.py holds:

1. A result equals that of a new instance with the same inputs.
2. An unchanged input is not computed again.
3. An unused value is evicted. Memos and views are given all their inputs at each update, and evict what is not among
   them. Caches and factories are asked for one key at a time, so their owner calls `end_cycle()` after each cycle, and
   a value unused for one to two times GENERATION_CYCLES cycles is evicted.
"""

from __future__ import annotations

from itertools import chain
from operator import is_, itemgetter
from typing import TYPE_CHECKING, Final, Generic, TypeVar

from exporter.metrics import Labels, SampleBatch, ScrapeResult, Series, family_batches

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

T = TypeVar("T")
K = TypeVar("K")
V = TypeVar("V")
P = TypeVar("P")
GENERATION_CYCLES: Final = 16
"""Cycles of a generation: long enough that the series of a target that fails for a minute are still cached."""


def per_sample(extract: Callable[[Mapping[str, str], float], T | None]) -> Callable[[SampleBatch], Iterator[T]]:
    """Return a function that extracts an item from labels and value of each sample of a batch, and leaves out None."""

    def compute(batch: SampleBatch) -> Iterator[T]:
        items = (extract(dict(series.labels), value) for series, value in zip(batch.series, batch.values, strict=True))
        return (item for item in items if item is not None)

    return compute


class BatchMemo(Generic[T]):
    """The items computed from each sample batch, for as long as the batch is handed out."""

    def __init__(self, compute: Callable[[SampleBatch], Iterable[T]]) -> None:
        self._compute = compute
        self._items: dict[SampleBatch, tuple[T, ...]] = {}

    def update(self, batches: Iterable[SampleBatch]) -> dict[SampleBatch, tuple[T, ...]]:
        """Return the items of each batch, in the order of the batches."""
        previous, self._items = self._items, {}
        for batch in batches:
            items = previous.get(batch)
            self._items[batch] = tuple(self._compute(batch)) if items is None else items
        return self._items

    def collect(self, batches: Iterable[SampleBatch]) -> list[T]:
        """Return the items of all batches."""
        return list(chain.from_iterable(self.update(batches).values()))

    def diff(self, batches: Iterable[SampleBatch]) -> tuple[list[T], list[T]]:
        """Return the items of batches that are gone since the last update, and of those that are new."""
        previous = self._items
        current = self.update(batches)
        removed = [item for batch, items in previous.items() if batch not in current for item in items]
        return removed, [item for batch, items in current.items() if batch not in previous for item in items]

    @property
    def values(self) -> Iterable[T]:
        """All items of the last update."""
        return chain.from_iterable(self._items.values())


class KeyedMemo(Generic[K, P, V]):
    """A value for each key, computed from key, input and the key's previous value when the input is another one.

    `same` compares inputs: by identity, unless an input is a collection that is built at each update.
    """

    def __init__(self, compute: Callable[[K, P, V | None], V], same: Callable[[P, P], bool] = is_) -> None:
        self._compute = compute
        self._same = same
        self._inputs: dict[K, P] = {}
        self.values: dict[K, V] = {}

    def update(self, inputs: dict[K, P]) -> dict[K, V]:
        """Return the value of each key, in the order of the keys."""
        previous_inputs, previous, same = self._inputs, self.values, self._same
        values: dict[K, V] = {}
        for key, value_input in inputs.items():
            value = previous.get(key)
            if value is None or not same(previous_inputs[key], value_input):
                value = self._compute(key, value_input, value)
            values[key] = value
        # The mapping itself is stored, so a caller passes a new one each time.
        self._inputs, self.values = inputs, values
        return values


class KeyedView(Generic[K, V]):
    """A mapping of the (key, value) pairs in sample batches; of several pairs with one key the last batch's is used."""

    def __init__(self, compute: Callable[[SampleBatch], Iterable[tuple[K, V]]]) -> None:
        self._memo = BatchMemo(compute)
        self._pair_count = 0
        self.values: dict[K, V] = {}

    def apply(self, batches: Iterable[SampleBatch]) -> set[K]:
        """Follow the batches; return the keys whose value may have changed."""
        removed, added = self._memo.diff(batches)
        self._pair_count += len(added) - len(removed)
        for key, _ in removed:
            self.values.pop(key, None)
        self.values.update(added)
        changed = {key for key, _ in chain(removed, added)}
        if self._pair_count != len(self.values):  # a key is in two batches: which one is last may have changed
            previous, self.values = self.values, dict(self._memo.values)
            changed |= {key for key, value in self.values.items() if previous.get(key) != value}
        return changed


class FamilyView(KeyedView[K, V]):
    """The pairs extracted from the samples of one family on all pages."""

    def __init__(self, family: str, extract: Callable[[Mapping[str, str], float], tuple[K, V] | None]) -> None:
        super().__init__(per_sample(extract))
        self._family = family

    def follow(self, results: Iterable[ScrapeResult]) -> set[K]:
        """Follow the pages; return the keys whose value may have changed."""
        return self.apply(family_batches(results, self._family))


class OneToManyIndex(Generic[P, K]):
    """Which children each parent has; `parents` is the parent of each child."""

    def __init__(self) -> None:
        self.parents: dict[K, P] = {}
        # Dictionaries as sets that keep their order, so that results do not depend on hashes.
        self._children: dict[P, dict[K, None]] = {}

    def put(self, child: K, parent: P | None) -> None:
        """Set the parent of a child; None removes the child."""
        previous = self.parents.get(child)
        if previous == parent:
            return
        if previous is not None:
            siblings = self._children[previous]
            del siblings[child], self.parents[child]
            if not siblings:
                del self._children[previous]
        if parent is not None:
            self.parents[child] = parent
            self._children.setdefault(parent, {})[child] = None

    def children(self, parent: P) -> Iterable[K]:
        """Return the children of a parent."""
        return self._children.get(parent, ())


class FamilyParts(Generic[P, V]):
    """A family with several samples for each object: the keys of its pairs are the object and the name of a part."""

    def __init__(
        self, family: str, extract: Callable[[Mapping[str, str], float], tuple[tuple[P, str], V] | None]
    ) -> None:
        self._view = FamilyView(family, extract)
        self._parts_of: OneToManyIndex[P, tuple[P, str]] = OneToManyIndex()

    def follow(self, results: Iterable[ScrapeResult]) -> set[P]:
        """Follow the pages; return the objects of which a part may have changed."""
        changed = self._view.follow(results)
        for part in changed:
            self._parts_of.put(part, part[0] if part in self._view.values else None)
        return {key for key, _ in changed}

    def parts(self, key: P) -> dict[str, V]:
        """Return the parts of an object by name, sorted."""
        parts = sorted(self._parts_of.children(key), key=itemgetter(1))
        return {part[1]: self._view.values[part] for part in parts}


class GenerationalCache(Generic[K, V]):
    """A mapping in two generations: a value that is used moves to the young one; the old one is dropped as a whole.

    Generations change every GENERATION_CYCLES cycles, or sooner if more values are added than two cycles use, so that
    a fleet whose series change all the time does not grow the cache.
    """

    def __init__(self) -> None:
        # Two dictionaries, and no order of use as in an LRU: a hit costs one look-up, an eviction frees one dictionary.
        self._young: dict[K, V] = {}
        self._old: dict[K, V] = {}
        self._used = 0
        self._max_used = 0
        self._cycles = 0

    def __len__(self) -> int:
        return len(self._young) + len(self._old)

    def __contains__(self, key: K) -> bool:
        return key in self._young or key in self._old

    def get(self, key: K) -> V | None:
        """Return the cached value of a key, None if there is none."""
        self._used += 1
        return self._recall(key)

    def put(self, key: K, value: V) -> V:
        """Cache a value, and return it."""
        self._young[key] = value
        return value

    def get_all(self, keys: Sequence[K], compute: Callable[[K], V]) -> list[V]:
        """Return the value of each key, computed if it is not cached."""
        # One pass without Python code per key: in nearly all cycles every key is young.
        values = list(map(self._young.get, keys))
        self._used += len(keys)
        if None not in values:
            return values  # type: ignore[return-value] # no None is left
        if not any(values):  # right after a change of generations all keys of a family are old: move them in one go
            older = list(map(self._old.get, keys))
            if None not in older:
                self._young.update(zip(keys, older, strict=True))  # type: ignore[arg-type] # no None is left
                return older  # type: ignore[return-value] # the same
        return [
            self._get_one(key, compute) if value is None else value for key, value in zip(keys, values, strict=True)
        ]

    def _recall(self, key: K) -> V | None:
        value = self._young.get(key)
        if value is None and (value := self._old.pop(key, None)) is not None:
            self._young[key] = value
        return value

    def _get_one(self, key: K, compute: Callable[[K], V]) -> V:
        value = self._recall(key)
        return self.put(key, compute(key)) if value is None else value

    def end_cycle(self) -> bool:
        """End a cycle of use; return whether values were evicted."""
        # The largest cycle counts: not every cycle has the pages of all sources.
        self._max_used, self._used, self._cycles = max(self._max_used, self._used), 0, self._cycles + 1
        if self._cycles < GENERATION_CYCLES and len(self._young) <= 2 * self._max_used:
            return False
        # Used values are young; those that are still old were not used for a generation, and are evicted.
        self._old, self._young = self._young, {}
        self._max_used = self._cycles = 0
        return True


class SeriesFactory:
    """The same `Series` object for the same name and labels, so that the encoder finds its encoded attributes."""

    def __init__(self) -> None:
        self._series: GenerationalCache[tuple[str, Labels], Series] = GenerationalCache()

    def series(self, name: str, labels: Labels) -> Series:
        """Return the series of a name and labels."""
        key = (name, labels)
        return self._series.get(key) or self._series.put(key, Series(name, labels))

    def end_cycle(self) -> None:
        """End a cycle of use."""
        self._series.end_cycle()
