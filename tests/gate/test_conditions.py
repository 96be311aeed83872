"""The expression language of conditions, compared with recordings of the real engines."""

from __future__ import annotations

from collections import Counter
from math import nan

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from exporter.gate.expr import (
    SCALAR,
    VECTOR,
    ConditionError,
    Engine,
    EngineFailure,
    UnsupportedError,
    check,
    evaluate,
    evaluate_time,
    parse,
    trace,
)
from exporter.gate.expr.syntax import Binary, Builtin, Member, walk
from tests.gate.recorded import lines

ENGINES = {"1.15": Engine.EXPR_1_15, "1.17": Engine.EXPR_1_17}
MAX_UNSUPPORTED_SHARE = 0.05


def evaluate_recorded(text: str, engine: Engine, result: float | list[float]) -> list[str]:
    """Return the outcome of a condition in the form of the recording, or ["unsupported"]."""
    try:
        outcome = evaluate(parse(text, engine), result)
    except UnsupportedError:
        return ["unsupported"]
    except ConditionError as error:
        return ["compile", error.message]
    if isinstance(outcome, bool):
        return ["ok", str(outcome).lower()]
    if not outcome.compiled:
        return ["compile", outcome.message]
    return ["type" if outcome.message.startswith("expected bool") else "run", outcome.message]


@pytest.mark.slow
@pytest.mark.parametrize("name", ENGINES)
def test_outcome_and_message_of_a_condition_equal_those_of_the_real_engine(name: str) -> None:
    kinds: Counter[str] = Counter()
    for row in lines("conditions"):
        result = row["result"]
        value = float(result) if isinstance(result, str) else [float(number) for number in result]
        outcome = evaluate_recorded(row["condition"], ENGINES[name], value)
        kinds[outcome[0]] += 1
        assert outcome in (row[name], ["unsupported"]), (row["condition"], result)
    assert kinds["unsupported"] < MAX_UNSUPPORTED_SHARE * kinds.total()
    assert min(kinds["ok"], kinds["compile"], kinds["run"], kinds["type"]) > 50


@pytest.mark.slow
@pytest.mark.parametrize("engine", Engine)
@given(text=st.text(max_size=40) | st.text("result[0]().#{}<>=!&|?:,;'\"`\\ inotandlet1e5+-*/%^$@x\n", max_size=60))
@settings(max_examples=300, deadline=None)
@example(text="(" * 3000)
@example(text="[" * 3000 + "]" * 3000)
@example(text="-" * 5000 + "1")
@example(text="1" + "+1" * 5000)
@example(text="result[0]" + " ? 1 : result[0]" * 800)
@example(text="'\\ud800'")
@example(text="٣")  # a digit, but Go reads no number
def test_any_text_raises_only_condition_errors(engine: Engine, text: str) -> None:
    try:
        evaluate(parse(text, engine), [0.5])
    except ConditionError as error:
        assert error.message  # noqa: PT017 - that it is raised is not the promise
        assert 0 <= error.position <= len(text)  # noqa: PT017


PIECES = st.sampled_from(
    """
    result result[0] # #index 0 1 0.05 'a' nil true ( ) [ ] { } , ; : ? ?? ?. . .. + - * / % ** == != < > <= >= in not
    and or && || ! | all( any( filter( map( len( sum( sort( reduce( first( let x = if else isNaN( asInt(
    """.split()  # noqa: SIM905 - a grammar is read in lines
)


@pytest.mark.slow
@pytest.mark.parametrize("engine", Engine)
@given(pieces=st.lists(PIECES, max_size=14), result=st.lists(st.floats(), max_size=3) | st.floats())
@settings(max_examples=400, deadline=None)
def test_any_sequence_of_tokens_is_true_false_or_an_engine_failure(
    engine: Engine, pieces: list[str], result: list[float] | float
) -> None:
    try:
        outcome = evaluate(parse(" ".join(pieces), engine), result)
    except ConditionError:
        return
    assert isinstance(outcome, bool | EngineFailure)


@pytest.mark.parametrize(
    ("condition", "result", "expected"),
    [
        ("result[0] < 0.05", [nan], False),
        ("result[0] >= 0.05", [nan], False),
        ("len(result) == 0 || result[0] < 0.05", [], True),
        ("all(result, {# < 0.05})", [], True),
        ("any(result, {# < 0.05})", [], False),
        ("default(result, 0) == result", [0.5], True),
        ("isNil(result)", [], False),
    ],
)
@pytest.mark.parametrize("engine", Engine)
def test_nan_and_empty_results_as_in_the_controller(
    engine: Engine, condition: str, result: list[float], *, expected: bool
) -> None:
    assert evaluate(parse(condition, engine), result) is expected


def test_outcomes_that_differ_between_the_engines() -> None:
    old, new = ENGINES.values()
    assert evaluate(parse("result[1] < 1", old), [0.5]) == EngineFailure("reflect: slice index out of range")
    assert evaluate(parse("result[1] < 1", new), [0.5]) == EngineFailure("index out of range: 1 (array length is 1)")
    assert evaluate(parse("max(result) < 1", old), [0.5]) == EngineFailure(
        "invalid argument for max (type []float64)", compiled=False
    )
    assert evaluate(parse("max(result) < 1", new), [0.5]) is True
    assert evaluate(parse("1 + result[0] not in [1.5]", old), [0.5]) is True, "1.15 loses the not"
    assert evaluate(parse("1 + result[0] not in [1.5]", new), [0.5]) is False
    with pytest.raises(ConditionError, match="expected name"):
        parse("result?.[0] < 1", old)
    assert evaluate(parse("result?.[0] < 1", new), [0.5]) is True


def test_an_error_has_the_position() -> None:
    with pytest.raises(ConditionError) as raised:
        parse("result[0] < foo(", Engine.EXPR_1_17)
    assert raised.value.position == 15
    with pytest.raises(ConditionError) as raised:
        check(parse("len(result) > 0 && result < 0.05", Engine.EXPR_1_17), VECTOR)
    assert (raised.value.message, raised.value.position) == (
        "invalid operation: < (mismatched types []float64 and float64)",
        19,
    )
    check(parse("result < 0.05", Engine.EXPR_1_17), SCALAR)


@pytest.mark.slow
@pytest.mark.parametrize(
    "condition",
    [
        'date("2026-01-01") < now()',
        "toJSON(result) == ''",
        "now().Hour() < 5",
        "result[0] < findLast(result, # > 0)",
        "'a' matches '(?i)A'",
        "len == 1",
        "repeat(repeat('a', 100000), 100000) == ''",
        "let x = 1..999; all(x, {all(x, {# > 0})})",
        # the engine does not check the bounds of a slice of an unknown value
        "default(result, 0)[len():] == result",
        "default(result, 0)[unknown:] == result",
    ],
)
def test_unsupported_features_are_reported(condition: str) -> None:
    with pytest.raises(UnsupportedError, match=r"not supported|a bug of the engine"):
        evaluate(parse(condition, Engine.EXPR_1_17), [0.5])


def test_nodes_have_the_positions_of_their_text() -> None:
    text = "len(result) > 0 && result[0] < 0.05"
    nodes = list(walk(parse(text, Engine.EXPR_1_17).root))
    assert [text[node.start : node.end] for node in nodes if isinstance(node, Member)] == ["result[0]"]
    assert [text[node.start : node.end] for node in nodes if isinstance(node, Builtin)] == ["len(result)"]
    assert [node.operator for node in nodes if isinstance(node, Binary)] == ["&&", ">", "<"]


def test_a_trace_has_the_value_of_each_sub_expression() -> None:
    text = "all(result, {# < 0.05}) || result[0] == 1"
    result = trace(parse(text, Engine.EXPR_1_17), [0.01, 0.2])
    steps = [(text[step.node.start : step.node.end], step.value, step.elements) for step in result.steps]
    assert ("# < 0.05", True, (0,)) in steps
    assert ("# < 0.05", False, (1,)) in steps
    assert ("all(result, {# < 0.05})", False, ()) in steps
    assert result.outcome is False


@pytest.mark.parametrize("engine", Engine)
def test_start_and_end_of_a_range_query(engine: Engine) -> None:
    now = 1_700_000_000.5
    assert evaluate_time("now()", engine, now) == now
    assert evaluate_time('now() - duration("1h30m")', engine, now) == now - 5400
    assert evaluate_time("1", engine, now) == EngineFailure("expected time.Time, but got int")
    assert evaluate_time("now() -", engine, now) == EngineFailure("unexpected token EOF", compiled=False)
    assert evaluate_time('now() - duration("1d")', engine, now) == EngineFailure(
        'time: unknown unit "d" in duration "1d"'
    )
    assert evaluate_time("result", engine, now) == EngineFailure("unknown name result", compiled=False)


@pytest.mark.parametrize("engine", Engine)
@pytest.mark.parametrize(
    ("call", "message"),
    [
        ('asFloat(".5e400")', 'strconv.ParseFloat: parsing ".5e400": value out of range'),
        ('asFloat("-1e400")', 'strconv.ParseFloat: parsing "-1e400": value out of range'),
        ('asFloat(".")', 'strconv.ParseFloat: parsing ".": invalid syntax'),
        ('asFloat("1e4_0")', 'strconv.ParseFloat: parsing "1e4_0": invalid syntax'),
        ('asInt("--5")', 'strconv.ParseInt: parsing "--5": invalid syntax'),
        ('asInt("\u00b2")', 'strconv.ParseInt: parsing "\u00b2": invalid syntax'),
        ('asInt("9223372036854775808")', 'strconv.ParseInt: parsing "9223372036854775808": value out of range'),
        ('asInt("18446744073709551615x")', 'strconv.ParseInt: parsing "18446744073709551615x": invalid syntax'),
        ('asInt("18446744073709551616x")', 'strconv.ParseInt: parsing "18446744073709551616x": value out of range'),
        (f'asInt("{"9" * 5000}")', f'strconv.ParseInt: parsing "{"9" * 5000}": value out of range'),
    ],
)
def test_a_number_in_text_fails_with_the_message_of_strconv(engine: Engine, call: str, message: str) -> None:
    assert evaluate(parse(f"{call} > 0", engine), [1.0]) == EngineFailure(message)


@pytest.mark.parametrize("engine", Engine)
def test_an_integer_of_any_length_is_out_of_range(engine: Engine) -> None:
    with pytest.raises(ConditionError, match="value out of range"):
        parse("9" * 5000, engine)
