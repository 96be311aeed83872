"""Families of interned strips → their points, encoded once and sent again with another time.

The encoders of `numbers` and `distributions` make the points. What they make of a strip is kept for as long as the
strip is handed out; when only values have changed, only they are written anew.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from itertools import chain
from typing import TYPE_CHECKING, Final, Protocol

from isal import isal_zlib
from opentelemetry.proto.metrics.v1.metrics_pb2 import Gauge, NumberDataPoint

from exporter.incremental import Recent

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from exporter.metrics import MetricFamily, SampleBatch


# Encoded points as they stand in a request, and how points that change little are kept encoded. A point in a
# request is a frame (field and length) and the encoded point; many of them, one after another, are the whole of a
# metric's points. What all points of a cycle share (the time, the identity) is left out of what is kept and put in
# when they leave: joined encodings of parts of a message are an encoding of the message.


_FIELD: Final = Gauge(data_points=[NumberDataPoint()]).SerializeToString()[:-1]  # the same number in every kind
_SEVEN: Final = 0x7F
_MORE: Final = 0x80
_MARKS: Final = tuple(
    bytes([number]) for number in (0xFF, 0xFE, 0xFD, 0xFC, 0xFB, 0xFA, *range(0xF5, 0xFA), 0xC1, 0xC0)
)


@dataclass(frozen=True, slots=True)
class Batch:
    """So many framed points, one after another."""

    many: int
    body: bytes

    def split(self, most: int, room: int) -> tuple[Batch, Batch | None]:
        """Return the first points, at most so many, of at most so many bytes, and those that are left, if any are."""
        many = cut = 0
        while many < min(most, self.many) and (end := _end(self.body, cut)) <= room:
            many, cut = many + 1, end
        if many == self.many:
            return self, None
        return Batch(many, self.body[:cut]), Batch(self.many - many, self.body[cut:])

    def without_first(self) -> Batch | None:
        """Return the points but for the first, None when there is no other."""
        cut = _end(self.body, 0)
        return Batch(self.many - 1, self.body[cut:]) if self.many > 1 else None


def framed(points: Sequence[bytes]) -> Batch:
    """Frame encoded points."""
    return Batch(len(points), b"".join([frame(len(point)) + point for point in points]))


@lru_cache(4096)
def frame(size: int) -> bytes:
    """Return what precedes a point of so many bytes."""
    length = bytearray()
    while size > _SEVEN:
        length.append(size & _SEVEN | _MORE)
        size >>= 7
    length.append(size)
    return _FIELD + bytes(length)


def _end(body: bytes, pos: int) -> int:
    """Return where the framed point ends that begins at a place."""
    pos += len(_FIELD)
    size = shift = 0
    while True:
        size |= (body[pos] & _SEVEN) << shift
        pos += 1
        if body[pos - 1] < _MORE:
            return pos + size
        shift += 7


class Template:
    """Framed points without what they share, which comes first in each; `pieces` stand before, between and after that.

    They are kept as one text, a byte that is nowhere in them standing for what is shared: one that UTF-8 does not use,
    so that only numbers may have it; and packed, to a tenth. Where numbers have all of those, the pieces are kept.
    """

    __slots__ = ("_mark", "_pieces", "_text", "many")

    def __init__(self, pieces: list[bytes]) -> None:
        self.many = len(pieces) - 1
        whole = b"".join(pieces)
        self._mark = next((mark for mark in _MARKS if mark not in whole), b"")
        self._text = isal_zlib.compress(self._mark.join(pieces), 1) if self._mark else b""
        self._pieces = [] if self._mark else pieces

    def filled(self, shared: bytes) -> bytes:
        """Return the framed points with what they share."""
        if self._mark:
            return isal_zlib.decompress(self._text).replace(self._mark, shared)
        return shared.join(self._pieces)

    def renewed(self, beginnings: Sequence[bytes]) -> Template:
        """Return the points with other beginnings, each as long as the former one: that is where values stand."""
        pieces = isal_zlib.decompress(self._text).split(self._mark) if self._mark else self._pieces
        first, *rests = pieces
        return Template([first, *(new + rest[len(new) :] for new, rest in zip(beginnings, rests, strict=True))])


def template(rests: Sequence[bytes], shared: int) -> Template:
    """Make a template of what is left of each point without what they share, which is so many bytes long."""
    frames = [frame(shared + len(rest)) for rest in rests]
    return Template([*frames[:1], *(rest + after for rest, after in zip(rests, [*frames[1:], b""], strict=True))])


# rooms


@dataclass(frozen=True, slots=True)
class Rests:
    """A strip's points without what all points share; `heads` tell points apart where strips may tear them."""

    points: Sequence[bytes]
    heads: Sequence[bytes] = ()


class StripEncoder(Protocol):
    """What encodes the points of a kind of family, strip by strip."""

    def shared(self, at: float) -> bytes:
        """Encode what all points of a cycle share, and begin with."""

    def rests(self, name: str, strip: SampleBatch) -> Rests | None:
        """Encode the rest of each point of a strip; None when one of them needs the plain path."""

    def beginnings(self, strip: SampleBatch) -> Sequence[bytes] | None:
        """Encode what each rest begins with when nothing after that depends on values; None when more does."""


@dataclass(frozen=True, slots=True)
class _Encoded:
    """A strip and its points; no template when they need the plain path."""

    strip: SampleBatch
    template: Template | None
    heads: Sequence[bytes] = ()


class Kept:
    """Keeps the points of strips of one kind."""

    def __init__(self, encoder: StripEncoder) -> None:
        self._encoder = encoder
        self._known: Recent[int, _Encoded] = Recent()  # by the identity of `series`, which outlives values

    def live(self, family: MetricFamily, at: float) -> tuple[Iterator[Batch], set[bytes]] | None:
        """Return a family's points, put together strip by strip as they are asked for, and their heads.

        None: the family needs the plain path.
        """
        if not all(strip.interned for strip in family.batches):
            return None
        encoded = self._ready(family)
        heads = list(chain.from_iterable([one.heads for one in encoded]))
        told = set(heads)
        if len(told) < len(heads) or not all(one.template is not None for one in encoded):
            return None
        shared = self._encoder.shared(at)
        templates = filter(None, [one.template for one in encoded])
        return (Batch(one.many, one.filled(shared)) for one in templates), told

    def age(self) -> None:
        """End a cycle: forget what was not used lately."""
        self._known.age()

    def _ready(self, family: MetricFamily) -> list[_Encoded]:
        encoded: list[_Encoded] = []
        for strip in family.batches:
            key = id(strip.series)
            known = self._known.get(key)
            if known is None or known.strip is not strip:
                known = self._known.put(key, self._encode(family.name, strip, known))
            encoded.append(known)
        return encoded

    def _encode(self, name: str, strip: SampleBatch, known: _Encoded | None) -> _Encoded:
        if known is not None and known.template is not None and known.strip.series is strip.series:
            beginnings = self._encoder.beginnings(strip) if known.strip.start_times == strip.start_times else None
            if beginnings is not None:
                return _Encoded(strip, known.template.renewed(beginnings), known.heads)
        rests = self._encoder.rests(name, strip)
        if rests is None:
            return _Encoded(strip, None)
        return _Encoded(strip, template(rests.points, len(self._encoder.shared(1.0))), rests.heads)
