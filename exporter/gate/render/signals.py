"""The queries of the signals, one row each, and the conditions for a query's result type."""

from __future__ import annotations

from dataclasses import dataclass
from textwrap import indent
from typing import TYPE_CHECKING, Final

from exporter.gate import promql
from exporter.gate.go_format import format_duration
from exporter.gate.render.answers import Answers, NoData, Signal

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

HASH: Final = "{{args.canary-hash}}"
NAMESPACE: Final = "{{args.namespace}}"
SERVICE: Final = "{{args.service-name}}"
ROLLOUT: Final = "{{args.rollout-name}}"
ERROR_SHARE: Final = "share of bad requests, 0 to 1"
SUCCESS, FAILURE = "{{args.success}}", "{{args.failure}}"
REQUESTS, DURATIONS = "http_requests_total", "http_request_duration_seconds_bucket"
"""The metrics of requests and of their durations, unless the user names another one."""
HAS_DATA: Final = "len(result) > 0 && !isNaN(result[0])"
"""The condition of a result with a value, of a query with at most one series."""


@dataclass(frozen=True, slots=True)
class SignalTemplate:
    """A row: the metric's name in the run, what its value is, default thresholds, the query, and remarks about it."""

    metric: str
    value: str
    success: float
    failure: float
    query: Callable[[Answers], str]
    remarks: Callable[[Answers], tuple[str, ...]] = lambda _: ()


def query(answers: Answers) -> str:
    """Return the query, without line breaks around it."""
    return SIGNALS[answers.signal].query(answers).strip("\n")


def braces(*matchers: str) -> str:
    """Return the label matchers of a selector; those that are "" are omitted."""
    return f"{{{', '.join(matcher for matcher in matchers if matcher)}}}"


def _canary_matchers(answers: Answers) -> tuple[str, ...]:
    """Return the matchers of the canary's series; of the service's, if the metrics have no pod label."""
    # Pods of a Rollout are named ROLLOUT-HASH-SUFFIX.
    pods = f'{answers.pod_label}=~".+-{HASH}-.+"' if answers.pod_label else ""
    return f'{answers.service_label}="{SERVICE}"', pods


def _share(bad: str, total: str, window: str, join: str = "") -> str:
    """Return bad ÷ total: 0 without bad requests, empty without traffic."""
    # A counter of failures has no series before the first one; 0/0, the share of no traffic, would be NaN.
    return f"(sum(rate({bad}[{window}]){join}) or vector(0))\n/\n(sum(rate({total}[{window}]){join}) > 0)"


def _error_rate(answers: Answers) -> str:
    name, matchers = answers.metric or REQUESTS, _canary_matchers(answers)
    bad, total = f"{name}{braces(*matchers, answers.errors)}", f"{name}{braces(*matchers)}"
    return _share(bad, total, format_duration(answers.range))


def _latency(answers: Answers) -> str:
    name = answers.metric or DURATIONS
    buckets = f"rate({name}{braces(*_canary_matchers(answers))}[{format_duration(answers.range)}])"
    return f"histogram_quantile({answers.quantile:g}, sum by (le) ({buckets}))"


def _saturation(answers: Answers) -> str:
    pods = f'namespace="{NAMESPACE}", pod=~"{ROLLOUT}-{HASH}-.+"'
    name = answers.metric or "container_cpu_usage_seconds_total"
    # Without a container cAdvisor exports the sum of a pod, which would count twice.
    usage = f'{name}{{{pods}, container!=""}}[{format_duration(answers.range)}]'
    limits = f'kube_pod_container_resource_limits{{{pods}, resource="cpu"}}'
    return f"sum(rate({usage}))\n/\n(sum({limits}) > 0)"


def _apm(answers: Answers) -> str:
    # Last9's metrics of traces have no label of the pod, so canary and stable cannot be distinguished.
    matchers = (f'service_name="{SERVICE}"', 'env="{{args.environment}}"', 'span_kind="SPAN_KIND_SERVER"')
    name, errors = answers.metric or "trace_endpoint_count", 'http_status_code=~"5.."'
    bad, total = f"{name}{braces(*matchers, errors)}", f"{name}{braces(*matchers)}"
    return _share(bad, total, format_duration(answers.range))


def _comparison(answers: Answers) -> str:
    canary, stable = (indent(_share_of_role(answers, role), "  ") for role in ("canary", "stable"))
    return f"(\n{canary}\n)\n-\n(\n{stable}\n)"


def _share_of_role(answers: Answers, role: str) -> str:
    name = answers.metric or REQUESTS
    namespace = f'namespace="{NAMESPACE}"'
    pods = f'argo_rollouts_pod_info{{namespace="{NAMESPACE}", name="{ROLLOUT}", role="{role}"}}'
    # == 1: after a pod's role changes, the series of the old role is exported as 0 for some minutes.
    join = f" * on (namespace, pod) group_left (role, name) ({pods} == 1)"
    bad, total = f"{name}{braces(namespace, answers.errors)}", f"{name}{braces(namespace)}"
    return _share(bad, total, format_duration(answers.range), join)


def _alerts(answers: Answers) -> str:
    name = answers.metric or "ALERTS"
    firing, service = 'alertstate="firing"' if name == "ALERTS" else "", f'{answers.service_label}="{SERVICE}"'
    # Of another series, such as a recording rule's, those above 0 count. No alert has no series.
    return f"count({name}{braces(firing, service)} > 0) or vector(0)"


def _new_errors(answers: Answers) -> str:
    name, label = answers.metric or REQUESTS, answers.error_label
    service = (f'namespace="{NAMESPACE}"', f'{answers.service_label}="{SERVICE}"')
    window = format_duration(answers.range)
    roles = f'argo_rollouts_pod_info{{namespace="{NAMESPACE}", name="{ROLLOUT}", role="canary"}}'
    join = f" * on (namespace, pod) group_left () ({roles} == 1)"
    has_label, other_pods = f'{label}!=""', f'pod!~".+-{HASH}-.+"'
    bad = f"{name}{braces(*service, has_label, answers.errors)}"
    others = f"{name}{braces(*service, other_pods, has_label, answers.errors)}"
    # A counter that begins at 1 has no rate, but the pods of the canary are as old as the update.
    return (
        f"(\n  count(\n    sum by ({label}) ({bad}{join}) > 0\n    unless on ({label})\n"
        f"    max by ({label}) (max_over_time({others}[1d])) > 0\n  )\n  or vector(0)\n)\n"
        f"and on ()\nsum(rate({name}{braces(*service)}[{window}]){join}) > 0"
    )


def _dilution_remarks(answers: Answers) -> tuple[str, ...]:
    """Return what a query that does not separate canary and stable means for the thresholds."""
    if not measures_service(answers):
        return ()
    return (
        "Canary and stable are measured together: a canary of little weight has little influence on the value.",
        f"At {answers.weight} %, a canary that fails every request adds {answers.weight / 100:g} to an error rate.",
    )


def measures_service(answers: Answers) -> bool:
    """Return whether the query measures canary and stable together."""
    if answers.signal in {Signal.COMPARISON, Signal.SATURATION, Signal.ALERTS}:
        return False  # an alert is one of the service, but no share that the canary's weight could hide
    return answers.signal is Signal.APM or HASH not in query(answers)


def _alert_remarks(_: Answers) -> tuple[str, ...]:
    return (
        "Alerts of the service, whatever caused them. A rule needs its own `for` to fire: this gate complements one",
        "that measures the canary.",
    )


def _new_error_remarks(answers: Answers) -> tuple[str, ...]:
    return (
        f"A value of the label {answers.error_label} is new if only pods of the canary have bad requests with it, and",
        "no other pod had one in the last day. argo_rollouts_pod_info comes from rollouts-exporter. The request",
        "metrics must have the labels namespace and pod.",
    )


def _comparison_remarks(_: Answers) -> tuple[str, ...]:
    return (
        "argo_rollouts_pod_info comes from rollouts-exporter: 1 for each pod, with its role. The request metrics must",
        "have the labels namespace and pod.",
    )


SIGNALS: Final[Mapping[Signal, SignalTemplate]] = {
    Signal.ERROR_RATE: SignalTemplate("error-rate", ERROR_SHARE, 0.05, 0.10, _error_rate, _dilution_remarks),
    Signal.LATENCY: SignalTemplate("latency", "seconds", 0.5, 1.0, _latency, _dilution_remarks),
    Signal.SATURATION: SignalTemplate("saturation", "share of the CPU limit, 0 to 1", 0.8, 0.95, _saturation),
    Signal.APM: SignalTemplate("apm-error-rate", ERROR_SHARE, 0.05, 0.10, _apm, _dilution_remarks),
    Signal.COMPARISON: SignalTemplate(
        "canary-versus-stable",
        "the canary's share of bad requests minus the stable's",
        0.01,
        0.05,
        _comparison,
        _comparison_remarks,
    ),
    Signal.ALERTS: SignalTemplate("alerts", "number of firing alerts of the service", 1, 1, _alerts, _alert_remarks),
    Signal.NEW_ERRORS: SignalTemplate(
        "new-errors", "number of label values with errors on canary pods only", 1, 1, _new_errors, _new_error_remarks
    ),
    Signal.PROMQL: SignalTemplate("query", "the query's value", 0.05, 0.10, lambda answers: answers.query.strip()),
}


# Conditions: valid in every supported controller, with no data, NaN and several series handled.


@dataclass(frozen=True, slots=True)
class ConditionPair:
    """The conditions of a metric."""

    success: str
    failure: str


def conditions(answers: Answers) -> ConditionPair:
    """Return the conditions. Raises ValueError if the query is not PromQL, or returns neither scalar nor vector."""
    expression = answers.parse_query(query(answers)).expression
    match promql.result_type(expression):
        case promql.ResultType.SCALAR:
            return _compare(answers, "result", "!isNaN(result)", "isNaN(result)")
        case promql.ResultType.VECTOR if promql.single_series_labels(expression) is not None:
            return _compare(answers, "result[0]", HAS_DATA, "len(result) == 0 || isNaN(result[0])")
        case promql.ResultType.VECTOR:
            return _compare_all(answers)
        case other:
            raise ValueError(f"the query returns a {other}; use one that returns an instant vector: rate(…), sum(…)")


def sequential_conditions() -> ConditionPair:
    """Return the conditions of the evidence: both lines are part of the decision."""
    return value_conditions(f"<= {SUCCESS}", f">= {FAILURE}")


def value_conditions(success: str, failure: str) -> ConditionPair:
    """Return the conditions of a query with one value; no data and NaN are neither good nor bad."""
    return ConditionPair(f"{HAS_DATA} && result[0] {success}", f"{HAS_DATA} && result[0] {failure}")


def _compare(answers: Answers, value: str, has_data: str, no_data: str) -> ConditionPair:
    """Return the conditions for one value."""
    good, bad = _operators(answers)
    success, failure = f"{value} {good} {SUCCESS}", f"{value} {bad} {FAILURE}"
    return ConditionPair(
        f"{no_data} || {success}" if answers.no_data is NoData.PASS else f"{has_data} && {success}",
        f"{no_data} || {failure}" if answers.no_data is NoData.FAIL else f"{has_data} && {failure}",
    )


def _compare_all(answers: Answers) -> ConditionPair:
    """Return the conditions for several series: all must be good, and one bad one fails."""
    good, bad = _operators(answers)
    all_good, any_bad = f"all(result, {{# {good} {SUCCESS}}})", f"any(result, {{# {bad} {FAILURE}}})"
    # all() of an empty list is true, so len() is checked below.
    any_missing = "len(result) == 0 || any(result, {isNaN(#)})"
    if answers.no_data is NoData.PASS:
        return ConditionPair(f"all(result, {{isNaN(#) || # {good} {SUCCESS}}})", any_bad)
    if answers.no_data is NoData.FAIL:
        return ConditionPair(f"len(result) > 0 && {all_good}", f"{any_missing} || {any_bad}")
    return ConditionPair(f"len(result) > 0 && {all_good}", any_bad)


def _operators(answers: Answers) -> tuple[str, str]:
    return (">", "<=") if answers.higher_is_better else ("<", ">=")
