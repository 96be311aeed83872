"""Who the points are from."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from exporter.family import Labels


@dataclass(frozen=True, slots=True)
class Identity:
    """Attributes of the resource, and those that each point has as well, under the same keys (DESIGN §5).

    A label that a point has of its own wins over an attribute of the same key (T38), as a scraped label wins over
    Prometheus' external labels.
    """

    resource: Labels
    point: Labels = ()
    _keys: frozenset[str] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_keys", frozenset(key for key, _ in self.point))

    def touches(self, labels: Labels) -> bool:
        """Tell whether a point with these labels has an own opinion of something that is told of every point."""
        return not self._keys.isdisjoint(dict(labels))

    def beside(self, labels: Labels) -> Labels:
        """Return the attributes that a point with these labels gets from here."""
        taken = {key for key, value in labels if value}
        return tuple((key, value) for key, value in self.point if key not in taken)

    def with_labels(self, labels: Labels) -> Labels:
        """Return all attributes of a point with these labels, sorted."""
        return tuple(sorted((*self.beside(labels), *labels)))
