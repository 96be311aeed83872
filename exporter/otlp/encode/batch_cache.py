"""Families of interned strips → their points, encoded once and sent again with another time.

The encoders of `numbers` and `distributions` make the points. What they make of a strip is kept for as long as the
strip is handed out; when only values have changed, only they are written anew.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Final, Protocol

from exporter.otlp.batch import Batch, template
from exporter.otlp.recent import Recent

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

    from exporter.family import Family, Strip
    from exporter.otlp.batch import Template

BLOCK: Final = 1000
"""How many points are put together between two turns of whoever else waits."""
SLICE: Final = 250
"""How many points are encoded anew between two such turns."""


@dataclass(frozen=True, slots=True)
class Rests:
    """A strip's points without what all points share; `heads` tell points apart where strips may tear them."""

    points: Sequence[bytes]
    heads: Sequence[bytes] = ()


class StripEncoder(Protocol):
    """What encodes the points of a kind of family, strip by strip."""

    def shared(self, at: float) -> bytes:
        """Encode what all points of a cycle share, and begin with."""

    def rests(self, name: str, strip: Strip) -> Rests | None:
        """Encode the rest of each point of a strip; None when one of them needs the plain path."""

    def beginnings(self, strip: Strip) -> Sequence[bytes] | None:
        """Encode what each rest begins with when nothing after that depends on values; None when more does."""


@dataclass(frozen=True, slots=True)
class _Encoded:
    """A strip and its points; no template when they need the plain path."""

    strip: Strip
    template: Template | None
    heads: Sequence[bytes] = ()


class Kept:
    """Keeps the points of strips of one kind."""

    def __init__(self, encoder: StripEncoder) -> None:
        self._encoder = encoder
        self._known: Recent[int, _Encoded] = Recent()  # by the identity of `series`, which outlives values

    def live(self, family: Family, at: float) -> Generator[list[Batch], None, set[bytes] | None]:
        """Yield a family's points in bounded blocks, empty ones while much is encoded anew; return their heads.

        None, and no points: the family needs the plain path.
        """
        if not all(strip.interned for strip in family.strips):
            return None
        encoded = yield from self._ready(family)
        heads = list(chain.from_iterable([one.heads for one in encoded]))
        told = set(heads)
        if len(told) < len(heads) or not all(one.template is not None for one in encoded):
            return None
        yield from self._blocks(encoded, self._encoder.shared(at))
        return told

    def age(self) -> None:
        """End a cycle: forget what was not used lately."""
        self._known.age()

    def _ready(self, family: Family) -> Generator[list[Batch], None, list[_Encoded]]:
        encoded: list[_Encoded] = []
        made = 0
        for strip in family.strips:
            key = id(strip.series)
            known = self._known.get(key)
            if known is None or known.strip is not strip:
                known = self._known.put(key, self._encode(family.name, strip, known))
                made += len(strip)
            encoded.append(known)
            if made >= SLICE:
                made = 0
                yield []
        return encoded

    def _encode(self, name: str, strip: Strip, known: _Encoded | None) -> _Encoded:
        if known is not None and known.template is not None and known.strip.series is strip.series:
            beginnings = self._encoder.beginnings(strip) if known.strip.starts == strip.starts else None
            if beginnings is not None:
                return _Encoded(strip, known.template.renewed(beginnings), known.heads)
        rests = self._encoder.rests(name, strip)
        if rests is None:
            return _Encoded(strip, None)
        return _Encoded(strip, template(rests.points, len(self._encoder.shared(1.0))), rests.heads)

    def _blocks(self, encoded: Sequence[_Encoded], shared: bytes) -> Generator[list[Batch], None, None]:
        block: list[Batch] = []
        many = 0
        for one in encoded:
            if one.template is not None:
                block.append(Batch(one.template.many, one.template.filled(shared)))
                many += one.template.many
            if many >= BLOCK:
                yield block
                block, many = [], 0
        if block:
            yield block
