"""JSON of the API → frozen values."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.net.prometheus_response import (
    Matrix,
    QuerySample,
    QueryValue,
    RangeSeries,
    Scalar,
    StringValue,
    Vector,
    parse_query,
    parse_series,
)

LABELS = {"name": "x", "__name__": "up"}
SORTED = (("__name__", "up"), ("name", "x"))


def success(result_type: str, result: object, **more: object) -> dict[str, Any]:
    return {"status": "success", "data": {"resultType": result_type, "result": result}, **more}


@pytest.mark.parametrize(
    ("document", "value"),
    [
        (success("vector", []), Vector(())),
        (success("vector", [{"metric": LABELS, "value": [5.5, "1"]}]), Vector((QuerySample(SORTED, 5.5, 1.0),))),
        (success("vector", [{"metric": {}, "value": [5, "+Inf"]}]), Vector((QuerySample((), 5.0, math.inf),))),
        (success("scalar", [5, "-2.5e3"]), Scalar(5.0, -2500.0)),
        (success("string", [5, "héllo"]), StringValue(5.0, "héllo")),
        (
            success("matrix", [{"metric": LABELS, "values": [[5, "1"], [6, "2"]]}]),
            Matrix((RangeSeries(SORTED, ((5.0, 1.0), (6.0, 2.0))),)),
        ),
    ],
)
def test_each_result_type_becomes_a_value(document: dict[str, Any], value: QueryValue) -> None:
    assert parse_query(document).value == value
    assert hash(value)


def test_nan_is_a_number() -> None:
    value = parse_query(success("vector", [{"metric": {}, "value": [5, "NaN"]}])).value
    assert isinstance(value, Vector)
    assert math.isnan(value.samples[0].value)


def test_warnings_of_the_server_are_returned() -> None:
    assert parse_query(success("vector", [], warnings=["partial data"])).warnings == ("partial data",)


def test_a_missing_label_is_empty() -> None:
    sample = QuerySample(SORTED, 0.0, 0.0)
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
def test_a_response_that_is_not_a_query_result_is_rejected(document: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse_query(document)


def test_series_are_their_labels() -> None:
    assert parse_series({"data": [LABELS]}) == (SORTED,)
    with pytest.raises(ValueError, match="it is not a list of series"):
        parse_series({"data": {"result": []}})


numbers = st.floats(allow_nan=False)
names = st.dictionaries(st.text(min_size=1, max_size=5), st.text(max_size=5), max_size=3)


@given(st.lists(st.tuples(names, st.floats(0, 1e10), numbers), max_size=5))
def test_every_vector_is_parsed_as_it_was_written(samples: list[tuple[dict[str, str], float, float]]) -> None:
    result = [{"metric": labels, "value": [timestamp, repr(value)]} for labels, timestamp, value in samples]
    parsed = parse_query(json.loads(json.dumps(success("vector", result)))).value
    assert parsed == Vector(
        tuple(QuerySample(tuple(sorted(labels.items())), timestamp, value) for labels, timestamp, value in samples)
    )
