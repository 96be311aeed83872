"""Writes the YAML of a gate, with comments on what each choice does."""

from __future__ import annotations

import json
from textwrap import indent
from typing import TYPE_CHECKING, Final

from exporter.gate.arguments import argument_names
from exporter.gate.controller import Feature
from exporter.gate.go_format import format_duration
from exporter.gate.render.answers import Answers, NoData, Signal
from exporter.gate.render.evidence import BURST_SECONDS, FAST_BURN, budget_query, evidence_query
from exporter.gate.render.signals import (
    SIGNALS,
    ConditionPair,
    conditions,
    measures_service,
    query,
    sequential_conditions,
    value_conditions,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from exporter.gate.render.answers import Credential

ROLLOUT_ARGS: Final[Mapping[str, str]] = {
    "service-name": "value: {service}",
    "canary-hash": "valueFrom: {{podTemplateHashValue: Latest}}",
    "namespace": "valueFrom: {{fieldRef: {{fieldPath: metadata.namespace}}}}",
    "rollout-name": "valueFrom: {{fieldRef: {{fieldPath: metadata.name}}}}",
}
"""How a Rollout passes each argument that has no value in the template."""
NO_DATA_COMMENTS: Final = {
    NoData.PAUSE: "is neither good nor bad: it counts as inconclusive",
    NoData.FAIL: "is bad",
    NoData.PASS: "is good",
}
ENVIRONMENT: Final = "environment"
# It counts what the update has done since it began, so that bad moments overlap by intention.
_ALLOWED: Final = {Signal.NEW_ERRORS: "# gate-lint: allow overlap-in-time\n"}
_ERROR_LIMIT: Final = """\
consecutiveErrorLimit: 4  # tolerates 4: no answer five times in a row, 10 s apart, aborts the rollout
"""
TOKEN, USER, PASSWORD = "authorization", "username", "password"
"""Arguments of the credential; username and password are the keys of the Secret, too."""


def quoted(text: str) -> str:
    """Return text as a YAML scalar in double quotes."""
    # A JSON string is a YAML scalar, and its escapes are YAML's.
    return json.dumps(text, ensure_ascii=not text.isprintable())


def template(answers: Answers) -> str:
    """Return the AnalysisTemplate or ClusterAnalysisTemplate. Raises ValueError for a query without conditions."""
    kind = "ClusterAnalysisTemplate" if answers.cluster_scope else "AnalysisTemplate"
    namespace = f"\n  namespace: {quoted(answers.namespace)}  # that of the Rollout and the Secret"
    description = _description(answers)
    return f"""\
# {description[0].upper()}{description[1:]}, for Argo Rollouts {answers.controller}.
{_comments(_remarks(answers))}\
apiVersion: argoproj.io/v1alpha1
kind: {kind}
metadata:
  name: {quoted(answers.template_name)}{namespace if answers.namespace and not answers.cluster_scope else ""}
spec:
  args:
{indent(_arguments(answers), "    ")}\
  metrics:
{indent("".join(_metrics(answers)), "    ")}"""


def _description(answers: Answers) -> str:
    if not answers.is_sequential:
        return SIGNALS[answers.signal].value
    kind = (
        f"slow requests (more than {answers.slower_than:g} s)" if answers.signal is Signal.LATENCY else "bad requests"
    )
    return f"evidence that the canary has {answers.worse:g} times as many {kind} as the stable, per request"


def _remarks(answers: Answers) -> tuple[str, ...]:
    if not answers.is_sequential:
        return SIGNALS[answers.signal].remarks(answers)
    false_alarm, miss = f"{answers.false_alarm:.3g}", f"{answers.miss:.3g}"
    return (
        f"A sequential test (Wald): a canary that is no worse ever fails with a probability of at most {false_alarm},",
        f"one that is {answers.worse:g} times as bad passes with {miss}, however often it is measured. What hits both",
        "revisions alike cancels. Both must get requests of the same kind: no canary for requests with some header.",
        "argo_rollouts_pod_info comes from rollouts-exporter: 1 for each pod, with its role. The request metrics must",
        "have the labels namespace and pod.",
    )


def _metrics(answers: Answers) -> Iterator[str]:
    """Yield the items of `metrics`."""
    if not answers.is_sequential:
        schedule = _initial_schedule(answers) + _limits(answers)
        allow = "# gate-lint: allow diluted\n" if measures_service(answers) else _ALLOWED.get(answers.signal, "")
        yield _metric(
            answers, SIGNALS[answers.signal].metric, schedule + _conditions(answers), allow + _query(query(answers))
        )
        return
    schedule = _initial_schedule(answers) + _sequential_limits(answers)
    evidence = _condition_lines(sequential_conditions())
    hours = BURST_SECONDS // 3600
    remark = f"""\
# In each {answers.tile} s: the bad requests of both revisions, times the logarithm of how much likelier one is if the
# canary is worse. The sum is divided by how bursty the stable's were in the {hours} h before the update.
"""
    yield _metric(
        answers, f"sequential-{answers.signal}", schedule + evidence, remark + _query(evidence_query(answers))
    )
    remark = f"""\
# 1: this update has spent {answers.budget:.3g} of the month's error budget, or spends it {FAST_BURN} times too fast.
# -1: the canary has passed, which ends this metric together with the other.
"""
    guard = _condition_lines(value_conditions("< 0", ">= 1"))
    yield _metric(answers, "error-budget", schedule + guard, remark + _query(budget_query(answers)))


def _metric(answers: Answers, name: str, judgement: str, query_lines: str) -> str:
    return f"""\
- name: {name}
{indent(judgement, "  ")}\
  provider:
    prometheus:
      address: "{{{{args.address}}}}"
{indent(_authentication(answers), "      ")}\
{indent(query_lines, "      ")}"""


def _arguments(answers: Answers) -> str:
    passed = "".join(f"- name: {name}\n" for name in _passed_by_rollout(answers))
    address = f"\n  value: {quoted(answers.read_address)}" if answers.read_address else ""
    return f"""\
{"# The Rollout passes these." if passed else ""}
{passed}{_environment(answers)}\
# The read address: the part before /api/v1.
- name: address{address}
{_lines_of_test(answers) if answers.is_sequential else _threshold_arguments(answers)}\
{_secret_arguments(answers)}""".removeprefix("\n")


def _lines_of_test(answers: Answers) -> str:
    """Return the arguments of the sequential test."""
    test = answers.sequential_test
    return f"""\
# How many times as often as the stable a canary fails that must be found.
- name: worse
  value: "{_number(answers.worse)}"
# Evidence at or below this passes the canary: ln({answers.miss:.3g}),
- name: success
  value: "{test.success:.3f}"
# at or above this fails it: ln(1/{answers.false_alarm:.3g}); between the two it is measured again.
- name: failure
  value: "{test.failure:.3f}"
"""


def _threshold_arguments(answers: Answers) -> str:
    good, bad = ("above", "at or below") if answers.higher_is_better else ("below", "at or above")
    signal, (success, failure) = SIGNALS[answers.signal], _thresholds(answers)
    return f"""\
# {signal.value[0].upper()}{signal.value[1:]}: {good} this is good,
- name: success
  value: "{_number(success)}"
# {bad} this is bad{"" if success == failure else "; values between the two are inconclusive"}.
- name: failure
  value: "{_number(failure)}"
"""


def _environment(answers: Answers) -> str:
    if ENVIRONMENT not in argument_names(_query_text(answers)):
        return ""
    return f"# The label env of the traces.\n- name: {ENVIRONMENT}\n  value: {quoted(answers.environment)}\n"


def _secret_arguments(answers: Answers) -> str:
    """Return the arguments that come from the Secret: only a template's own arguments can."""
    name = quoted(answers.secret_name)
    keys = {USER: USER, PASSWORD: PASSWORD} if _uses_basic_auth(answers) else {TOKEN: answers.secret_key}
    namespace = "each Rollout's namespace" if answers.cluster_scope else "this namespace"
    return f"# The controller reads this from the Secret in {namespace}; a Rollout cannot pass it.\n" + "".join(
        f"- name: {argument}\n  valueFrom:\n    secretKeyRef: {{name: {name}, key: {quoted(key)}}}\n"
        for argument, key in keys.items()
    )


def _initial_schedule(answers: Answers) -> str:
    return f"""\
# The query's range, plus the {format_duration(answers.read_delay)} until a sample can be read.
initialDelay: {format_duration(answers.delay)}
interval: {format_duration(answers.interval)}
"""


def _limits(answers: Answers) -> str:
    # The controller's limits are what it tolerates: failureLimit 2 fails at the third.
    failures, inconclusives = answers.failures - 1, answers.inconclusives - 1
    return f"""\
count: {answers.count}  # the gate passes after this many, if no limit is exceeded
failureLimit: {failures}  # tolerates {failures}: bad measurement {answers.failures} rolls back
inconclusiveLimit: {inconclusives}  # tolerates {inconclusives}: inconclusive measurement {answers.inconclusives} pauses
{_ERROR_LIMIT}"""


def _sequential_limits(answers: Answers) -> str:
    return f"""\
count: {answers.count}  # after this many without a decision the rollout pauses
failureLimit: 0  # the first measurement at the upper line rolls back
consecutiveSuccessLimit: 1  # the first at the lower line passes
inconclusiveLimit: {answers.count - 1}  # between the lines it measures again, also without data
{_ERROR_LIMIT}"""


def _conditions(answers: Answers) -> str:
    return f"""\
# No data (no traffic, no such series, NaN) {NO_DATA_COMMENTS[answers.no_data]}.
{_condition_lines(conditions(answers))}"""


def _condition_lines(pair: ConditionPair) -> str:
    return f"""\
successCondition: {quoted(pair.success)}
failureCondition: {quoted(pair.failure)}
"""


def _authentication(answers: Answers) -> str:
    if _uses_basic_auth(answers):
        return f"""\
authentication:
  basicAuth:
    username: "{{{{args.{USER}}}}}"
    password: "{{{{args.{PASSWORD}}}}}"
"""
    return f"""\
headers:
  - key: Authorization
    value: "{{{{args.{TOKEN}}}}}"  # the complete header, with Basic
"""


def _query(text: str) -> str:
    # A block scalar can neither begin with white space nor hold control characters.
    if all(char.isprintable() or char == "\n" for char in text) and not text.startswith((" ", "\n")):
        return f"query: |\n{indent(text, '  ')}\n"
    return f"query: {quoted(text)}\n"


def _query_text(answers: Answers) -> str:
    """Return the query, that of the evidence for a sequential test."""
    return evidence_query(answers) if answers.is_sequential else query(answers)


def secret(answers: Answers, credential: Credential) -> str:
    """Return the Secret, the only text that contains the credential."""
    if _uses_basic_auth(answers):
        data = f"  {USER}: {quoted(credential.user)}\n  {PASSWORD}: {quoted(credential.password)}\n"
    else:
        data = f"  {quoted(answers.secret_key)}: {quoted(credential.header)}\n"
    return f"""\
# Keep this out of version control.
apiVersion: v1
kind: Secret
metadata:
  name: {quoted(answers.secret_name)}
{f"  namespace: {quoted(answers.namespace)}{chr(10)}" if answers.namespace else ""}\
type: Opaque
stringData:  # sent as written: one line, not base64
{data}"""


def snippet(answers: Answers) -> str:
    """Return the steps of the Rollout that use the gate."""
    scope = "\n              clusterScope: true" if answers.cluster_scope else ""
    args = "".join(
        f"            - name: {name}\n              {ROLLOUT_ARGS[name].format(service=quoted(answers.service))}\n"
        for name in _passed_by_rollout(answers)
    )
    duration = format_duration(answers.duration)
    wait = (
        f"at most {duration}, until it decides" if answers.is_sequential else f"{duration} if every measurement is good"
    )
    return f"""\
spec:
  strategy:
    canary:
      steps:
      - setWeight: {answers.weight}
      # Waits for the gate: {wait}.
      - analysis:
          templates:
            - templateName: {quoted(answers.template_name)}{scope}
{f"          args:{chr(10)}{args}" if args else ""}\
      - setWeight: {answers.next_weight}
"""


def _passed_by_rollout(answers: Answers) -> tuple[str, ...]:
    """Return the arguments of the query that the Rollout passes."""
    used = set(argument_names(_query_text(answers)))
    return tuple(name for name in ROLLOUT_ARGS if name in used)


def _thresholds(answers: Answers) -> tuple[float, float]:
    signal = SIGNALS[answers.signal]
    success = signal.success if answers.success is None else answers.success
    failure = signal.failure if answers.failure is None else answers.failure
    if (failure > success) if answers.higher_is_better else (failure < success):
        order = "not above" if answers.higher_is_better else "not below"
        raise ValueError(f"--failure ({failure:g}) must be {order} --success ({success:g})")
    return success, failure


def _number(value: float) -> str:
    """Return a threshold without loss, and 5 rather than 5.0."""
    return f"{value:g}" if float(f"{value:g}") == value else repr(value)


def _uses_basic_auth(answers: Answers) -> bool:
    # Up to 1.10 only a header can carry the credential.
    return answers.version.supports(Feature.BASIC_AUTH)


def _comments(lines: tuple[str, ...]) -> str:
    return "".join(f"# {line}\n" for line in lines)


def unknown_arguments(answers: Answers) -> tuple[str, ...]:
    """Return the arguments of --query that nothing passes."""
    if answers.signal is not Signal.PROMQL:
        return ()
    return tuple(name or "?" for name in argument_names(query(answers)) if name not in ROLLOUT_ARGS)
