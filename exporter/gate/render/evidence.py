"""The queries of the sequential test: the evidence against the canary, and the guard of the error budget.

The formula is that of `exporter.gate.sequential`. A subquery adds it up, minute by minute, from the canary's birth on:
it is masked by argo_rollouts_pod_info, which has this hash in the role canary only during the update.
"""

from __future__ import annotations

from textwrap import indent
from typing import TYPE_CHECKING, Final

from exporter.gate.arguments import substitute_known
from exporter.gate.go_format import format_duration
from exporter.gate.render.answers import Signal
from exporter.gate.render.signals import DURATIONS, NAMESPACE, REQUESTS, SERVICE, braces

if TYPE_CHECKING:
    from exporter.gate.render.answers import Answers

CANARY, STABLE, BOTH = 'role="canary"', 'role="stable"', 'role=~"canary|stable"'
ROLLOUT_PODS: Final = 'argo_rollouts_pod_info{namespace="{{args.namespace}}", name="{{args.rollout-name}}", %s}'
WORSE, PASSED = "{{args.worse}}", "{{args.success}}"
BURST_SECONDS: Final = 6 * 3600
"""How long before the update the bursts of the stable's bad requests are measured."""
TRAFFIC_SECONDS: Final = 1800
"""Range of the present traffic."""
MAX_FIRST_COUNT: Final = 10
"""A new series counts from 0 if its value is below: VictoriaMetrics' increase has a similar bound."""
FAST_BURN: Final = 14
"""Burn rate that spends 2 % of a month's budget in an hour: the first alert of Google's SRE workbook."""
BUDGET_DAYS: Final = 30
"""The period of `--slo`."""
DEFAULT_METRICS: Final = {
    Signal.ERROR_RATE: REQUESTS,
    Signal.LATENCY: DURATIONS,
}


def evidence_query(answers: Answers) -> str:
    """Return the query of the evidence: above 0 against the canary, empty below the floor of bad requests."""
    history = f"[{format_duration(answers.history)}:{format_duration(answers.tile)}]"
    share = _lines(_requests(answers, CANARY), "/", f"({_requests(answers, BOTH)} > 0)")
    evidence = _lines(
        _bad_requests(answers, CANARY),
        f"* ln({WORSE} / (1 + ({WORSE} - 1) * (",
        indent(share, "  "),
        ")))",
        "+",
        _bad_requests(answers, STABLE),
        f"* ln(1 / (1 + ({WORSE} - 1) * (",
        indent(share, "  "),
        ")))",
    )
    return _lines(
        _sum_over_update(evidence, history),
        "/",
        _burst(answers),
        "and on ()",
        f"{_sum_over_update(_bad_requests(answers, BOTH), history)} >= {answers.min_events}",
    )


def budget_query(answers: Answers) -> str:
    """Return the query of the guard: 1 where the canary's bad requests must stop, -1 once the canary has passed."""
    history = f"[{format_duration(answers.history)}:{format_duration(answers.tile)}]"
    spent = _sum_over_update(_bad_requests(answers, CANARY), history)
    month, all_requests = BUDGET_DAYS * 86400, _all_requests(answers)
    budget = f"({answers.budget:g} * (1 - {answers.slo:g}) * {month} * avg_over_time(({all_requests})[1d:5m]))"
    short, long = (_burn_rate(answers, window) for window in ("5m", "1h"))
    return _lines(
        f"(vector(-1) and on () (\n{indent(evidence_query(answers), '  ')}\n) <= {PASSED})",
        "or",
        "max(",
        f'  label_replace(\n{indent(_lines(spent, "/", budget), "    ")},\n    "budget", "month", "", ""\n  )',
        "  or",
        indent(f"(\n{indent(_lines(short, f'/ {FAST_BURN} and on () ({long} > {FAST_BURN})'), '  ')}\n)", "  "),
        ")",
    )


def traffic_queries(answers: Answers, seconds: int = TRAFFIC_SECONDS) -> tuple[str, str]:
    """Return the queries of the service's requests per second, and of the bad ones, for its names in the answers."""
    total = f"sum({_rate(answers, _total(answers), seconds)})"
    if answers.signal is Signal.ERROR_RATE:
        bad = f"sum({_rate(answers, answers.errors, seconds)}) or vector(0)"
    else:
        bad = f"{total} - sum({_rate(answers, _bound(answers), seconds)})"
    return _named(answers, total), _named(answers, bad)


def bursts_query(answers: Answers) -> str:
    """Return the query of the dispersion of the service's bad requests in the last hours; empty without any."""
    _, bad = traffic_queries(answers, answers.range)
    counts = f"(({bad}) * {answers.tile})[{format_duration(BURST_SECONDS)}:{format_duration(answers.tile)}]"
    return f"stdvar_over_time({counts}) / (avg_over_time({counts}) > 0)"


def _named(answers: Answers, query: str) -> str:
    """Return a query with the names of the answers in place of the arguments."""
    if not answers.namespace:
        query = query.replace('namespace="{{args.namespace}}", ', "")
    return substitute_known(query, {"service-name": answers.service, "namespace": answers.namespace})


def _lines(*parts: str) -> str:
    return "\n".join(parts)


def _sum_over_update(expression: str, history: str) -> str:
    """Sum an expression over the minutes in which the revision is the canary."""
    pods = ROLLOUT_PODS % f'{CANARY}, pod_template_hash="{{{{args.canary-hash}}}}"'
    return f"sum_over_time((\n  (\n{indent(expression, '    ')}\n  )\n  and on () ({pods} == 1)\n){history})"


def _sum_of_pods(series: str, role: str) -> str:
    # == 1: after a pod's role changes, the series of the old role is exported as 0 for some minutes. max by: a pod has
    # several series if two exporters push it.
    pods = f"max by (namespace, pod) ({ROLLOUT_PODS % role} == 1)"
    return f"sum({series} * on (namespace, pod) group_left () {pods})"


def _requests(answers: Answers, role: str) -> str:
    """Return the query of the number of a role's requests in a tile."""
    return _sum_of_pods(_count(answers, _total(answers)), role)


def _bad_requests(answers: Answers, role: str) -> str:
    """Return the query of the number of a role's bad requests in a tile, 0 without any."""
    if answers.signal is Signal.ERROR_RATE:
        # A counter of failures has no series before the first one.
        return f"({_sum_of_pods(_errors(answers), role)} or on () vector(0))"
    # No `or vector(0)`: without a bucket of this bound the slow requests are unknown, not none.
    return f"({_requests(answers, role)} - {_sum_of_pods(_count(answers, _bound(answers)), role)})"


def _count(answers: Answers, matcher: str) -> str:
    """Return the query of each series' growth in a tile."""
    if answers.is_metricsql:
        return f"increase({_metric(answers)}{_braces(answers, matcher)}[{format_duration(answers.tile)}])"
    return f"{_rate(answers, matcher, answers.range)} * {answers.tile}"


def _errors(answers: Answers) -> str:
    """Return the query of each series' bad requests in a tile, the first one included.

    A series of failures begins with its first failure, which `rate` does not count: of a young canary with many pods
    that may be all of them.
    """
    if answers.is_metricsql:
        return _count(answers, answers.errors)  # VictoriaMetrics counts from 0 if the first value is small
    series, history = f"{_metric(answers)}{_braces(answers, answers.errors)}", format_duration(answers.history)
    # Seen for hours, a series is not new after a failed scrape. The bound keeps old counters out after a longer gap.
    earlier = f"last_over_time({series}[{history}] offset {format_duration(answers.tile)})"
    return f"({series} < {MAX_FIRST_COUNT} unless {earlier} or {_count(answers, answers.errors)})"


def _burst(answers: Answers) -> str:
    """Return the query of the dispersion of the stable's bad requests before the update, at least 1."""
    bad = f"({_bad_requests(answers, STABLE)} and on () ({_requests(answers, STABLE)} > 0))"
    before = f"[{format_duration(BURST_SECONDS)}:{format_duration(answers.tile)}]"
    offset = f"offset {format_duration(answers.history)}"
    ratio = _lines(f"stdvar_over_time({bad}{before} {offset})", "/", f"avg_over_time({bad}{before} {offset})")
    # Without bad requests it is 0/0, which no comparison lets through.
    return f"(\n  (\n{indent(ratio, '    ')}\n  ) > 1 or on () vector(1)\n)"


def _burn_rate(answers: Answers, window: str) -> str:
    """Return the query of how many times too fast the canary's bad requests spend the error budget of all."""

    def increase(matcher: str) -> str:
        return f"increase({_metric(answers)}{_braces(answers, matcher)}[{window}])"

    total, bad = increase(_total(answers)), _sum_of_pods(increase(answers.errors), CANARY)
    if answers.signal is Signal.LATENCY:
        bad = f"({_sum_of_pods(total, CANARY)} - {_sum_of_pods(increase(_bound(answers)), CANARY)})"
    return f"{bad} / ((1 - {answers.slo:g}) * (sum({total}) > 0))"


def _all_requests(answers: Answers) -> str:
    """Return the query of all the service's requests per second, those of all pods."""
    return f"sum({_rate(answers, _total(answers), 300)})"


def _rate(answers: Answers, matcher: str, seconds: int) -> str:
    return f"rate({_metric(answers)}{_braces(answers, matcher)}[{format_duration(seconds)}])"


def _metric(answers: Answers) -> str:
    return answers.metric or DEFAULT_METRICS[answers.signal]


def _braces(answers: Answers, matcher: str) -> str:
    return braces(f'namespace="{NAMESPACE}"', f'{answers.service_label}="{SERVICE}"', matcher)


def _total(answers: Answers) -> str:
    return "" if answers.signal is Signal.ERROR_RATE else 'le="+Inf"'


def _bound(answers: Answers) -> str:
    """Return the matcher of the bucket of fast requests."""
    bound = f"{answers.slower_than:g}"
    # Prometheus stores the bound 1 as 1.0, other stores as it was sent.
    return f'le="{bound}"' if "." in bound else f'le=~"{bound}|{bound}.0"'
