"""What a Prometheus HTTP API answers, as frozen values; times are Unix seconds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from exporter.family import Labels

NAME: Final = "__name__"


@dataclass(frozen=True, slots=True)
class Sample:
    """One series' value at one time; `labels` are sorted, `__name__` among them."""

    labels: Labels
    at: float
    value: float

    def label(self, name: str) -> str:
        """Return the value of a label, "" when there is none."""
        return dict(self.labels).get(name, "")


@dataclass(frozen=True, slots=True)
class Vector:
    """One value of each of several series, in the order of the answer."""

    samples: tuple[Sample, ...]


@dataclass(frozen=True, slots=True)
class Scalar:
    """A number without labels."""

    at: float
    value: float


@dataclass(frozen=True, slots=True)
class Text:
    """A string literal."""

    at: float
    value: str


@dataclass(frozen=True, slots=True)
class Row:
    """One series over time: its points are (time, value)."""

    labels: Labels
    points: tuple[tuple[float, float], ...]


@dataclass(frozen=True, slots=True)
class Matrix:
    """Several series over time."""

    rows: tuple[Row, ...]


Value = Vector | Scalar | Text | Matrix


@dataclass(frozen=True, slots=True)
class Answer:
    """A query's value, and what the store warns of."""

    value: Value
    warnings: tuple[str, ...] = ()


def answer(document: Mapping[str, Any]) -> Answer:
    """Read the JSON of a successful answer. Raises ValueError for any that is not one of a query."""
    try:
        data = document["data"]
        value = READERS[data["resultType"]](data["result"])
        return Answer(value, tuple(map(str, document.get("warnings") or ())))
    except (KeyError, TypeError, AttributeError):
        raise ValueError("it is no answer to a query") from None


def series(document: Mapping[str, Any]) -> tuple[Labels, ...]:
    """Read the JSON of a successful answer to a search for series. Raises ValueError."""
    try:
        return tuple(map(_labels, document["data"]))
    except (KeyError, TypeError, AttributeError):
        raise ValueError("it is no list of series") from None


def _labels(metric: Mapping[str, str]) -> Labels:
    return tuple(sorted(metric.items()))


def _number(pair: tuple[float, str]) -> tuple[float, float]:
    at, text = pair
    return float(at), float(text)


def _vector(result: list[Any]) -> Vector:
    return Vector(tuple(Sample(_labels(one["metric"]), *_number(one["value"])) for one in result))


def _matrix(result: list[Any]) -> Matrix:
    return Matrix(tuple(Row(_labels(one["metric"]), tuple(map(_number, one["values"]))) for one in result))


def _scalar(result: tuple[float, str]) -> Scalar:
    return Scalar(*_number(result))


def _text(result: tuple[float, str]) -> Text:
    at, text = result
    return Text(float(at), str(text))


READERS: Final[Mapping[str, Callable[[Any], Value]]] = {
    "vector": _vector,
    "matrix": _matrix,
    "scalar": _scalar,
    "string": _text,
}
"""How a result is read, by its type."""
