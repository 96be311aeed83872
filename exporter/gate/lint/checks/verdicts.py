"""What the conditions decide: found by judging values around every threshold, NaN, and nothing."""

from __future__ import annotations

import math
import re
from itertools import product
from typing import TYPE_CHECKING, Final

from exporter.gate import promql
from exporter.gate.analysis_run import Phase
from exporter.gate.lint.checks.queries import QUERY, parsed
from exporter.gate.lint.checks.references import uses
from exporter.gate.lint.probe import FAILURE, SUCCESS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from exporter.gate.lint.finding import Spot
    from exporter.gate.lint.inputs import Gates, Metric
    from exporter.gate.lint.probe import Judge

MOST_PAIRED: Final = 8
_CANARY: Final = re.compile(r"canary|hash|role|revision|track|version|variant|subset|pod", re.IGNORECASE)


def empty(gates: Gates) -> Iterator[Spot]:
    """Find conditions that fail when the query answers with nothing, as it may."""
    for judge in _able(gates):
        query = parsed(judge.metric)
        if judge.scalar or (query and not promql.may_be_empty(query.expression)):
            continue
        if judge.of() is Phase.ERROR:
            yield judge.metric.spot(
                (_first(judge),),
                "an empty answer (no traffic, no such series) makes the measurement an Error, and five of them in a row"
                " abort the rollout",
                "say what no data means: len(result) > 0 && … (not good), or len(result) == 0 || … (good)",
            )


def nan_passes(gates: Gates) -> Iterator[Spot]:
    """Find conditions for which NaN is good."""
    for judge in _with_nan(gates):
        if judge.of(math.nan) is Phase.SUCCESSFUL:
            yield judge.metric.spot(
                (_first(judge),),
                "NaN (0/0: no traffic) is Successful: a comparison with NaN is never true",
                "say what NaN means: isNaN(result[0]) || … in failureCondition (bad), !isNaN(result[0]) && … (not bad)",
            )


def nan_undecided(gates: Gates) -> Iterator[Spot]:
    """Find conditions between which NaN falls through."""
    for judge in _with_nan(gates):
        if judge.of(math.nan) is Phase.INCONCLUSIVE:
            yield judge.metric.spot(
                (SUCCESS,),
                "NaN (0/0: no traffic) falls through both conditions: Inconclusive, which pauses the rollout",
                "say what NaN means: !isNaN(result[0]) && … (pause), or isNaN(result[0]) || … where it belongs",
            )


def overlap(gates: Gates) -> Iterator[Spot]:
    """Find values that are success and failure at once."""
    for judge in _measurable(gates):
        both = [value for value in judge.points if judge.both(value)]
        if both:
            yield judge.metric.spot(
                (FAILURE,),
                f"{_shown(both[len(both) // 2])} is success and failure at once: failure wins",
                "leave no value to both conditions",
            )


def gap(gates: Gates) -> Iterator[Spot]:
    """Find values that are neither, unless inconclusiveLimit says that this is meant."""
    for judge in _measurable(gates):
        neither = [value for value in judge.points if judge.of(value) is Phase.INCONCLUSIVE]
        if neither and judge.metric.raw("inconclusiveLimit") is None:
            yield judge.metric.spot(
                (FAILURE,),
                f"{_shown(neither[len(neither) // 2])} is neither success nor failure: Inconclusive, and the first such"
                " measurement pauses the rollout until somebody acts",
                "let the conditions meet, or set inconclusiveLimit to say that the pause is meant",
            )


def constant(gates: Gates) -> Iterator[Spot]:
    """Find conditions that come to one verdict, whatever is measured."""
    for judge in _measurable(gates):
        found = {judge.of(value) for value in judge.points}
        if len(found) == 1 and Phase.ERROR not in found:
            yield judge.metric.spot(
                (_first(judge),),
                f"every value is {found.pop()}: this decides nothing",
                "compare result[0] with a threshold that it can reach",
            )


def several_series(gates: Gates) -> Iterator[Spot]:
    """Find queries that may answer with several series, of which the conditions see but the first."""
    for judge in _able(gates):
        query = parsed(judge.metric)
        if query is None or query.guessed or judge.scalar or promql.single(query.expression) is not None:
            continue
        if judge.metric.raw("provider", "prometheus", "rangeQuery") is None and _first_alone(judge):
            yield judge.metric.spot(
                QUERY,
                "the query may answer with several series, in no order, and the conditions look at one",
                "aggregate: sum(…), max(…); or judge all: all(result, {# < 0.05})",
            )


def diluted(gates: Gates) -> Iterator[Spot]:
    """Find shares of all traffic that a canary of this weight cannot move to failure, not even by failing wholly."""
    judges = {id(judge.metric): judge for judge in _able(gates)}
    told: set[int] = set()
    for use in uses(gates):
        for metric in (metric for _, gate in use.gates(gates) for metric in gate.metrics):
            judge = judges.get(id(metric))
            if judge and use.weight and id(metric) not in told and _hidden(judge, use.weight):
                told.add(id(metric))
                yield metric.spot(
                    QUERY,
                    f"at setWeight {use.weight * 100:g} of Rollout {use.rollout.name} a canary that fails every request"
                    f" makes {use.weight:g} of all traffic fail, which is not above the threshold",
                    'ask for the canary alone, such as pod=~".+-{{args.canary-hash}}-.+", or lower the threshold',
                )


def _hidden(judge: Judge, weight: float) -> bool:
    query = parsed(judge.metric)
    if not query or query.guessed or not promql.is_share(query.expression) or tells_canary(judge.metric):
        return False
    return judge.of(1.0) is Phase.FAILED and judge.of(weight * 0.99) is not Phase.FAILED


def tells_canary(metric: Metric) -> bool:
    """Say whether a query seems to ask for the canary alone, or for one of its pods."""
    return bool(_CANARY.search(str(metric.raw(*QUERY))))


def _first_alone(judge: Judge) -> bool:
    """Say whether a second value never changes the verdict."""
    some = judge.points[:: 1 + len(judge.points) // MOST_PAIRED]
    return all(judge.of(one, two) is judge.of(one) for one, two in product(some, repeat=2))


def _able(gates: Gates) -> Iterator[Judge]:
    return (judge for judge in gates.judges if judge.able)


def _measurable(gates: Gates) -> Iterator[Judge]:
    """Return those whose thresholds are known, or are one and the same argument."""
    return (judge for judge in _able(gates) if len(judge.unknown) <= 1)


def _with_nan(gates: Gates) -> Iterator[Judge]:
    """Return those whose query may answer NaN, and whose author does not speak of it."""
    for judge in _able(gates):
        query = parsed(judge.metric)
        if query and promql.may_be_nan(query.expression) and "isNaN" not in "".join(judge.texts.values()):
            yield judge


def _first(judge: Judge) -> str:
    return next(iter(judge.texts))


def _shown(value: float) -> str:
    return f"{value:.6g}"
