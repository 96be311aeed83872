"""The language of conditions, against what its engines made of thousands of them."""

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
    trace,
    evaluate_time,
    parse,
)
from exporter.gate.expr.syntax import Binary, Builtin, Member, walk
from tests.gate.recorded import lines

ENGINES = {"1.15": Engine.EXPR_1_15, "1.17": Engine.EXPR_1_17}
MOST_UNJUDGED = 0.05


def ours(text: str, engine: Engine, result: float | list[float]) -> list[str]:
    """What we make of a condition, in the form of the recording; "unsupported" is what we refuse to judge."""
    try:
        found = evaluate(parse(text, engine), result)
    except UnsupportedError:
        return ["unsupported"]
    except ConditionError as error:
        return ["compile", error.message]
    if isinstance(found, bool):
        return ["ok", str(found).lower()]
    if not found.compiled:
        return ["compile", found.message]
    return ["type" if found.message.startswith("expected bool") else "run", found.message]


@pytest.mark.parametrize("name", ENGINES)
def test_a_condition_gives_what_the_engine_gives_to_the_letter(name: str) -> None:
    kinds: Counter[str] = Counter()
    for row in lines("conditions"):
        result = row["result"]
        value = float(result) if isinstance(result, str) else [float(one) for one in result]
        got = ours(row["condition"], ENGINES[name], value)
        kinds[got[0]] += 1
        assert got in (row[name], ["unsupported"]), (row["condition"], result)
    assert kinds["unsupported"] < MOST_UNJUDGED * kinds.total()
    assert min(kinds["ok"], kinds["compile"], kinds["run"], kinds["type"]) > 50


@pytest.mark.parametrize("engine", Engine)
@given(text=st.text(max_size=40) | st.text("result[0]().#{}<>=!&|?:,;'\"`\\ inotandlet1e5+-*/%^$@x\n", max_size=60))
@settings(max_examples=300, deadline=None)
@example(text="(" * 3000)
@example(text="[" * 3000 + "]" * 3000)
@example(text="-" * 5000 + "1")
@example(text="1" + "+1" * 5000)
@example(text="result[0]" + " ? 1 : result[0]" * 800)
@example(text="'\\ud800'")
@example(text="٣")  # a digit, but no number of Go's
def test_the_parser_raises_nothing_but_its_own_errors(engine: Engine, text: str) -> None:
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


@pytest.mark.parametrize("engine", Engine)
@given(pieces=st.lists(PIECES, max_size=14), result=st.lists(st.floats(), max_size=3) | st.floats())
@settings(max_examples=400, deadline=None)
def test_whatever_is_judged_is_true_false_or_a_fault(
    engine: Engine, pieces: list[str], result: list[float] | float
) -> None:
    try:
        found = evaluate(parse(" ".join(pieces), engine), result)
    except ConditionError:
        return
    assert isinstance(found, bool | EngineFailure)


@pytest.mark.parametrize(
    ("condition", "result", "found"),
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
def test_the_traps_of_a_gate(engine: Engine, condition: str, result: list[float], *, found: bool) -> None:
    assert evaluate(parse(condition, engine), result) is found


def test_the_same_condition_can_differ_between_the_engines() -> None:
    old, new = ENGINES.values()
    assert evaluate(parse("result[1] < 1", old), [0.5]) == EngineFailure("reflect: slice index out of range")
    assert evaluate(parse("result[1] < 1", new), [0.5]) == EngineFailure("index out of range: 1 (array length is 1)")
    assert evaluate(parse("max(result) < 1", old), [0.5]) == EngineFailure(
        "invalid argument for max (type []float64)", compiled=False
    )
    assert evaluate(parse("max(result) < 1", new), [0.5]) is True
    assert evaluate(parse("1 + result[0] not in [1.5]", old), [0.5]) is True, "it forgets the not"
    assert evaluate(parse("1 + result[0] not in [1.5]", new), [0.5]) is False
    with pytest.raises(ConditionError, match="expected name"):
        parse("result?.[0] < 1", old)
    assert evaluate(parse("result?.[0] < 1", new), [0.5]) is True


def test_an_error_says_where() -> None:
    with pytest.raises(ConditionError) as found:
        parse("result[0] < foo(", Engine.EXPR_1_17)
    assert found.value.position == 15
    with pytest.raises(ConditionError) as found:
        check(parse("len(result) > 0 && result < 0.05", Engine.EXPR_1_17), VECTOR)
    assert (found.value.message, found.value.position) == (
        "invalid operation: < (mismatched types []float64 and float64)",
        19,
    )
    check(parse("result < 0.05", Engine.EXPR_1_17), SCALAR)


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
    ],
)
def test_what_is_not_known_is_said_and_never_guessed(condition: str) -> None:
    with pytest.raises(UnsupportedError, match=r"not judged here|a slip of the engine"):
        evaluate(parse(condition, Engine.EXPR_1_17), [0.5])


def test_the_tree_tells_what_stands_where() -> None:
    text = "len(result) > 0 && result[0] < 0.05"
    nodes = list(walk(parse(text, Engine.EXPR_1_17).root))
    assert [text[node.start : node.end] for node in nodes if isinstance(node, Member)] == ["result[0]"]
    assert [text[node.start : node.end] for node in nodes if isinstance(node, Builtin)] == ["len(result)"]
    assert [node.operator for node in nodes if isinstance(node, Binary)] == ["&&", ">", "<"]


def test_a_judgement_tells_each_sub_expression() -> None:
    text = "all(result, {# < 0.05}) || result[0] == 1"
    judgement = trace(parse(text, Engine.EXPR_1_17), [0.01, 0.2])
    told = [(text[step.node.start : step.node.end], step.value, step.elements) for step in judgement.steps]
    assert ("# < 0.05", True, (0,)) in told
    assert ("# < 0.05", False, (1,)) in told
    assert ("all(result, {# < 0.05})", False, ()) in told
    assert judgement.outcome is False


@pytest.mark.parametrize("engine", Engine)
def test_the_times_of_a_range_query(engine: Engine) -> None:
    now = 1_700_000_000.5
    assert evaluate_time("now()", engine, now) == now
    assert evaluate_time('now() - duration("1h30m")', engine, now) == now - 5400
    assert evaluate_time("1", engine, now) == EngineFailure("expected time.Time, but got int")
    assert evaluate_time("now() -", engine, now) == EngineFailure("unexpected token EOF", compiled=False)
    assert evaluate_time('now() - duration("1d")', engine, now) == EngineFailure('time: unknown unit "d" in duration "1d"')
    assert evaluate_time("result", engine, now) == EngineFailure("unknown name result", compiled=False)
