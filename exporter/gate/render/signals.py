"""What each signal asks: its query, what its value means, where good ends and bad begins. A row a signal."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from exporter.gate.go_format import written
from exporter.gate.render.answers import Answers, Signal

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

HASH: Final = "{{args.canary-hash}}"
NAMESPACE: Final = "{{args.namespace}}"
SERVICE: Final = "{{args.service-name}}"
ROLLOUT: Final = "{{args.rollout-name}}"


@dataclass(frozen=True, slots=True)
class Looks:
    """A row: the metric's name in the run, what its value is, thresholds, the query, and what to know of it."""

    metric: str
    value: str
    success: float
    failure: float
    query: Callable[[Answers], str]
    remarks: Callable[[Answers], tuple[str, ...]] = lambda _: ()


def query(answers: Answers) -> str:
    """Return the query, without an outer line break."""
    return SIGNALS[answers.signal].query(answers).strip("\n")


def _braces(*matchers: str) -> str:
    return f"{{{', '.join(one for one in matchers if one)}}}"


def _own(answers: Answers) -> tuple[str, ...]:
    """Return the matchers of the canary's own series; of the service's, where metrics do not name pods."""
    pods = f'{answers.pod_label}=~".+-{HASH}-.+"' if answers.pod_label else ""
    return f'{answers.service_label}="{SERVICE}"', pods


def _share(bad: str, all_of_them: str, span: str, tail: str = "") -> str:
    """Return bad ÷ all: 0 when there are none of the bad, nothing when there is no traffic."""
    return f"(sum(rate({bad}[{span}]){tail}) or vector(0))\n/\n(sum(rate({all_of_them}[{span}]){tail}) > 0)"


def _error_rate(answers: Answers) -> str:
    name, own = answers.metric or "http_requests_total", _own(answers)
    return _share(f"{name}{_braces(*own, answers.errors)}", f"{name}{_braces(*own)}", written(answers.range))


def _latency(answers: Answers) -> str:
    name = answers.metric or "http_request_duration_seconds_bucket"
    inner = f"sum by (le) (rate({name}{_braces(*_own(answers))}[{written(answers.range)}]))"
    return f"histogram_quantile({answers.quantile:g}, {inner})"


def _saturation(answers: Answers) -> str:
    pods = f'namespace="{NAMESPACE}", pod=~"{ROLLOUT}-{HASH}-.+"'
    used = answers.metric or "container_cpu_usage_seconds_total"
    limits = f'kube_pod_container_resource_limits{{{pods}, resource="cpu"}}'
    return f'sum(rate({used}{{{pods}, container!=""}}[{written(answers.range)}]))\n/\n(sum({limits}) > 0)'


def _apm(answers: Answers) -> str:
    own = (f'service_name="{SERVICE}"', 'env="{{args.environment}}"', 'span_kind="SPAN_KIND_SERVER"')
    name = answers.metric or "trace_endpoint_count"
    errors = 'http_status_code=~"5.."'
    return _share(f"{name}{_braces(*own, errors)}", f"{name}{_braces(*own)}", written(answers.range))


def _comparison(answers: Answers) -> str:
    return f"(\n{_indented(_of_role(answers, 'canary'))}\n)\n-\n(\n{_indented(_of_role(answers, 'stable'))}\n)"


def _of_role(answers: Answers, role: str) -> str:
    name = answers.metric or "http_requests_total"
    own = f'namespace="{NAMESPACE}"'
    pods = f'argo_rollouts_pod_info{{namespace="{NAMESPACE}", name="{ROLLOUT}", role="{role}"}}'
    join = f" * on (namespace, pod) group_left (role, name) ({pods} == 1)"
    return _share(f"{name}{_braces(own, answers.errors)}", f"{name}{_braces(own)}", written(answers.range), join)


def _indented(text: str) -> str:
    return "\n".join(f"  {line}" for line in text.split("\n"))


def _seen_together(answers: Answers) -> tuple[str, ...]:
    """Say what a query that cannot tell canary from stable means for the thresholds."""
    if tells_canary(answers):
        return ()
    return (
        "Canary and stable are seen together: while the canary has little weight, so has what is wrong with it.",
        f"At {answers.weight} %, a canary that fails every request adds {answers.weight / 100:g} to an error rate.",
    )


def tells_canary(answers: Answers) -> bool:
    """Say whether the query asks for the canary alone."""
    return answers.signal is not Signal.APM and (
        answers.signal in {Signal.COMPARISON, Signal.SATURATION} or HASH in query(answers)
    )


def _compared(_: Answers) -> tuple[str, ...]:
    return (
        "argo_rollouts_pod_info is this exporter's: 1 for each pod, with its role. The requests must carry the labels",
        "namespace and pod.",
    )


SIGNALS: Final[Mapping[Signal, Looks]] = {
    Signal.ERROR_RATE: Looks("error-rate", "share of bad requests, 0 to 1", 0.05, 0.10, _error_rate, _seen_together),
    Signal.LATENCY: Looks("latency", "seconds", 0.5, 1.0, _latency, _seen_together),
    Signal.SATURATION: Looks("saturation", "share of the CPU limit, 0 to 1", 0.8, 0.95, _saturation),
    Signal.APM: Looks("apm-error-rate", "share of bad requests, 0 to 1", 0.05, 0.10, _apm, _seen_together),
    Signal.COMPARISON: Looks(
        "canary-versus-stable",
        "the canary's share of bad requests minus the stable's",
        0.01,
        0.05,
        _comparison,
        _compared,
    ),
    Signal.PROMQL: Looks("query", "the query's value", 0.05, 0.10, lambda answers: answers.query.strip()),
}
