"""Rendered gates end as their answers ask, in each controller: with good, bad, absent and NaN results."""

from __future__ import annotations

from math import nan
from typing import TYPE_CHECKING, Any

import pytest

from exporter.gate.arguments import argument_names
from exporter.gate.controller import parse_version
from exporter.gate.load import read_objects, resolve_spec
from exporter.gate.render.answers import Answers, Signal
from exporter.gate.render.manifest import snippet, template
from exporter.gate.simulation import RunContext, parse_answer, simulate
from tests.gate.render.article import ARTICLE

if TYPE_CHECKING:
    from exporter.gate.analysis_run import AnalysisRunStatus

VERSIONS = ("1.6.6", "1.7.2", "1.8.3", "1.9.1", "1.10.0-rc1", "1.11.0")
ROLLOUT_ARGS = ("service-name", "canary-hash", "namespace", "rollout-name")


def final_status(answers: Answers, measured: list[Any]) -> AnalysisRunStatus:
    """Run a rendered gate on results in turn; the last one repeats."""
    text = template(answers)
    (rendered,) = read_objects(text).templates
    arguments = {name: "x" for name in ROLLOUT_ARGS if name in argument_names(text)}
    remaining = [parse_answer(result) for result in measured]
    context = RunContext(parse_version(answers.controller), 0.0, 7200.0)
    spec = resolve_spec(rendered, (rendered,), arguments)
    return simulate(spec, lambda _: remaining.pop(0) if len(remaining) > 1 else remaining[0], context).status


def summary(status: AnalysisRunStatus) -> tuple[str, int, float]:
    """Return phase, number of measurements and end."""
    (result,) = status.results
    assert status.completed_at is not None
    return str(status.phase), result.counts.count + result.counts.error, status.completed_at


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize(
    ("measured", "end"),
    [
        pytest.param([[0.01]], ("Successful", 5, 645), id="good"),
        pytest.param([[0.0]], ("Successful", 5, 645), id="no errors at all"),
        pytest.param([[0.2]], ("Failed", 3, 405), id="bad"),
        pytest.param([[0.1]], ("Failed", 3, 405), id="bad, just"),
        pytest.param([[0.2], [0.01], [0.2], [0.01], [0.2]], ("Failed", 5, 645), id="bad three times, not in a row"),
        pytest.param([[0.2], [0.2], [0.01]], ("Successful", 5, 645), id="bad twice"),
        pytest.param([[0.07]], ("Inconclusive", 3, 405), id="between"),
        pytest.param([[]], ("Inconclusive", 3, 405), id="absent"),
        pytest.param([[nan]], ("Inconclusive", 3, 405), id="NaN"),
        pytest.param([[], [], [0.01]], ("Successful", 5, 645), id="absent at first"),
        pytest.param([500], ("Error", 5, 205), id="no answer"),
        pytest.param([500, 500, 500, 500, [0.01]], ("Successful", 9, 685), id="no answer at first"),
    ],
)
def test_gate_ends_as_the_table_of_the_article_shows(
    measured: list[Any], end: tuple[str, int, float], version: str
) -> None:
    assert summary(final_status(Answers.model_validate({**ARTICLE, "controller": version}), measured)) == end


@pytest.mark.parametrize("signal", [signal for signal in Signal if signal is not Signal.PROMQL])
@pytest.mark.parametrize(("no_data", "phase"), [("pause", "Inconclusive"), ("fail", "Failed"), ("pass", "Successful")])
@pytest.mark.parametrize("absent", [[], [nan]], ids=["empty", "NaN"])
def test_no_data_has_the_chosen_meaning(signal: Signal, no_data: str, phase: str, absent: list[float]) -> None:
    answers = Answers.model_validate({**ARTICLE, "signal": signal, "no_data": no_data})
    assert str(final_status(answers, [absent]).phase) == phase


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize(
    ("measured", "phase"),
    [
        ([[0.01, 0.02]], "Successful"),
        ([[0.01, 0.2]], "Failed"),
        ([[0.2, nan]], "Failed"),
        ([[0.01, 0.07]], "Inconclusive"),
        ([[0.01, nan]], "Inconclusive"),
        ([[]], "Inconclusive"),
    ],
)
def test_every_series_is_evaluated(measured: list[Any], phase: str, version: str) -> None:
    answers = Answers.model_validate({**ARTICLE, "signal": "promql", "query": "errors:share", "controller": version})
    assert str(final_status(answers, measured).phase) == phase


@pytest.mark.parametrize(
    ("measured", "phase"),
    [({"scalar": 0.01}, "Successful"), ({"scalar": 0.2}, "Failed"), ({"scalar": nan}, "Inconclusive")],
)
def test_scalar_is_evaluated_as_a_number(measured: Any, phase: str) -> None:
    answers = Answers.model_validate({**ARTICLE, "signal": "promql", "query": "scalar(sum(x))", "store": "prometheus"})
    assert str(final_status(answers, [measured]).phase) == phase


@pytest.mark.parametrize(("measured", "phase"), [([[0.99]], "Successful"), ([[0.5]], "Failed"), ([[]], "Inconclusive")])
def test_higher_is_better_reverses_the_thresholds(measured: list[Any], phase: str) -> None:
    overrides = {"signal": "promql", "query": "sum(up)", "higher_is_better": True, "success": 0.95, "failure": 0.9}
    assert str(final_status(Answers.model_validate({**ARTICLE, **overrides}), measured).phase) == phase


def test_snippet_contains_the_duration_of_a_good_gate() -> None:
    answers = Answers.model_validate(ARTICLE)
    assert summary(final_status(answers, [[0.01]]))[2] == 645
    assert "10m45s if every measurement is good" in snippet(answers)
