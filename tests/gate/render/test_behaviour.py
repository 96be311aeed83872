"""What is rendered, as each controller would run it: good, bad, absent and NaN answers end as was asked for."""

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
GIVEN = ("service-name", "canary-hash", "namespace", "rollout-name")


def ended(answers: Answers, measured: list[Any]) -> AnalysisRunStatus:
    """Run a rendered gate on answers, one after the other, the last for ever."""
    text = template(answers)
    (found,) = read_objects(text).templates
    arguments = {name: "x" for name in GIVEN if name in argument_names(text)}
    left = [parse_answer(one) for one in measured]
    context = RunContext(parse_version(answers.controller), 0.0, 7200.0)
    spec = resolve_spec(found, (found,), arguments)
    return simulate(spec, lambda _: left.pop(0) if len(left) > 1 else left[0], context).status


def story(status: AnalysisRunStatus) -> tuple[str, int, float]:
    """Return how it ended, after how many measurements, and when."""
    (result,) = status.results
    assert status.completed_at is not None
    return str(status.phase), result.counts.count + result.counts.error, status.completed_at


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize(
    ("measured", "end"),
    [
        pytest.param([[0.01]], ("Successful", 5, 630), id="good"),
        pytest.param([[0.0]], ("Successful", 5, 630), id="no errors at all"),
        pytest.param([[0.2]], ("Failed", 3, 390), id="bad"),
        pytest.param([[0.1]], ("Failed", 3, 390), id="bad, just"),
        pytest.param([[0.2], [0.01], [0.2], [0.01], [0.2]], ("Failed", 5, 630), id="bad three times, not in a row"),
        pytest.param([[0.2], [0.2], [0.01]], ("Successful", 5, 630), id="bad twice"),
        pytest.param([[0.07]], ("Inconclusive", 3, 390), id="between"),
        pytest.param([[]], ("Inconclusive", 3, 390), id="absent"),
        pytest.param([[nan]], ("Inconclusive", 3, 390), id="NaN"),
        pytest.param([[], [], [0.01]], ("Successful", 5, 630), id="absent at first"),
        pytest.param([500], ("Error", 5, 190), id="no answer"),
        pytest.param([500, 500, 500, 500, [0.01]], ("Successful", 9, 670), id="no answer at first"),
    ],
)
def test_the_articles_flow_ends_as_its_table_says(
    measured: list[Any], end: tuple[str, int, float], version: str
) -> None:
    assert story(ended(Answers.model_validate({**ARTICLE, "controller": version}), measured)) == end


@pytest.mark.parametrize("signal", [one for one in Signal if one is not Signal.PROMQL])
@pytest.mark.parametrize(("no_data", "phase"), [("pause", "Inconclusive"), ("fail", "Failed"), ("pass", "Successful")])
@pytest.mark.parametrize("absent", [[], [nan]], ids=["empty", "NaN"])
def test_no_data_means_what_was_asked_for(signal: Signal, no_data: str, phase: str, absent: list[float]) -> None:
    made = Answers.model_validate({**ARTICLE, "signal": signal, "no_data": no_data})
    assert str(ended(made, [absent]).phase) == phase


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
def test_every_series_of_several_is_judged(measured: list[Any], phase: str, version: str) -> None:
    made = Answers.model_validate({**ARTICLE, "signal": "promql", "query": "errors:share", "controller": version})
    assert str(ended(made, measured).phase) == phase


@pytest.mark.parametrize(
    ("measured", "phase"),
    [({"scalar": 0.01}, "Successful"), ({"scalar": 0.2}, "Failed"), ({"scalar": nan}, "Inconclusive")],
)
def test_a_scalar_is_judged_as_a_number(measured: Any, phase: str) -> None:
    made = Answers.model_validate({**ARTICLE, "signal": "promql", "query": "scalar(sum(x))"})
    assert str(ended(made, [measured]).phase) == phase


@pytest.mark.parametrize(("measured", "phase"), [([[0.99]], "Successful"), ([[0.5]], "Failed"), ([[]], "Inconclusive")])
def test_higher_may_be_better(measured: list[Any], phase: str) -> None:
    asked = {"signal": "promql", "query": "sum(up)", "higher_is_better": True, "success": 0.95, "failure": 0.9}
    assert str(ended(Answers.model_validate({**ARTICLE, **asked}), measured).phase) == phase


def test_the_snippet_says_how_long_a_good_gate_takes() -> None:
    made = Answers.model_validate(ARTICLE)
    assert story(ended(made, [[0.01]]))[2] == 630
    assert "10m30s if every measurement is good" in snippet(made)
