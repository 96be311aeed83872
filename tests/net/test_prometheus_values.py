"""JSON of the API → frozen values."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.net.prometheus_response import Matrix, Row, Sample, Scalar, Text, Value, Vector, answer, series

LABELS = {"name": "x", "__name__": "up"}
SORTED = (("__name__", "up"), ("name", "x"))


def success(kind: str, result: object, **more: object) -> dict[str, Any]:
    return {"status": "success", "data": {"resultType": kind, "result": result}, **more}


@pytest.mark.parametrize(
    ("document", "value"),
    [
        (success("vector", []), Vector(())),
        (success("vector", [{"metric": LABELS, "value": [5.5, "1"]}]), Vector((Sample(SORTED, 5.5, 1.0),))),
        (success("vector", [{"metric": {}, "value": [5, "+Inf"]}]), Vector((Sample((), 5.0, math.inf),))),
        (success("scalar", [5, "-2.5e3"]), Scalar(5.0, -2500.0)),
        (success("string", [5, "héllo"]), Text(5.0, "héllo")),
        (
            success("matrix", [{"metric": LABELS, "values": [[5, "1"], [6, "2"]]}]),
            Matrix((Row(SORTED, ((5.0, 1.0), (6.0, 2.0))),)),
        ),
    ],
)
def test_each_type_of_result_becomes_a_value(document: dict[str, Any], value: Value) -> None:
    assert answer(document).value == value
    assert hash(value)


def test_nan_is_a_number() -> None:
    value = answer(success("vector", [{"metric": {}, "value": [5, "NaN"]}])).value
    assert isinstance(value, Vector)
    assert math.isnan(value.samples[0].value)


def test_what_the_store_warns_of_is_kept() -> None:
    assert answer(success("vector", [], warnings=["partial data"])).warnings == ("partial data",)


def test_a_label_that_is_not_there_is_empty() -> None:
    sample = Sample(SORTED, 0.0, 0.0)
    assert (sample.label("name"), sample.label("other")) == ("x", "")


@pytest.mark.parametrize(
    "document",
    [
        {},
        {"data": None},
        {"data": []},
        success("streams", []),
        success("vector", None),
        success("vector", [{"metric": {}}]),
        success("vector", [{"metric": {}, "value": [1, "many"]}]),
        success("vector", [{"metric": {}, "histogram": [1, {}]}]),
        success("scalar", [1]),
    ],
)
def test_what_is_no_answer_to_a_query_is_refused(document: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"."):
        answer(document)


def test_series_are_their_labels() -> None:
    assert series({"data": [LABELS]}) == (SORTED,)
    with pytest.raises(ValueError, match="it is no list of series"):
        series({"data": {"result": []}})


numbers = st.floats(allow_nan=False)
names = st.dictionaries(st.text(min_size=1, max_size=5), st.text(max_size=5), max_size=3)


@given(st.lists(st.tuples(names, st.floats(0, 1e10), numbers), max_size=5))
def test_every_vector_is_read_as_it_was_written(told: list[tuple[dict[str, str], float, float]]) -> None:
    result = [{"metric": labels, "value": [at, repr(value)]} for labels, at, value in told]
    read = answer(json.loads(json.dumps(success("vector", result)))).value
    assert read == Vector(tuple(Sample(tuple(sorted(labels.items())), at, value) for labels, at, value in told))
