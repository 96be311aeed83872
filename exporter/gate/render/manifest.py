"""Writes the YAML of a gate, with comments on what each choice does."""

from __future__ import annotations

import json
from textwrap import indent
from typing import TYPE_CHECKING, Final

from exporter.gate.arguments import argument_names
from exporter.gate.controller import Feature
from exporter.gate.go_format import format_duration
from exporter.gate.render.answers import Answers, NoData, Signal
from exporter.gate.render.signals import SIGNALS, conditions, query, selects_canary

if TYPE_CHECKING:
    from collections.abc import Mapping

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
    signal = SIGNALS[answers.signal]
    return f"""\
# {signal.value[0].upper()}{signal.value[1:]}, for Argo Rollouts {answers.controller}.
{_comments(signal.remarks(answers))}\
apiVersion: argoproj.io/v1alpha1
kind: {kind}
metadata:
  name: {quoted(answers.template_name)}{namespace if answers.namespace and not answers.cluster_scope else ""}
spec:
  args:
{indent(_arguments(answers), "    ")}\
  metrics:
    - name: {signal.metric}
{indent(_schedule(answers) + _conditions(answers), "      ")}\
      provider:
        prometheus:
          address: "{{{{args.address}}}}"
{indent(_authentication(answers), "          ")}\
{indent(_query(answers), "          ")}"""


def _arguments(answers: Answers) -> str:
    good, bad = ("above", "at or below") if answers.higher_is_better else ("below", "at or above")
    signal = SIGNALS[answers.signal]
    passed = "".join(f"- name: {name}\n" for name in _passed_by_rollout(answers))
    address = f"\n  value: {quoted(answers.read_address)}" if answers.read_address else ""
    success, failure = _thresholds(answers)
    return f"""\
{"# The Rollout passes these." if passed else ""}
{passed}{_environment(answers)}\
# The read address: the part before /api/v1.
- name: address{address}
# {signal.value[0].upper()}{signal.value[1:]}: {good} this is good,
- name: success
  value: "{_number(success)}"
# {bad} this is bad{"" if success == failure else "; values between the two are inconclusive"}.
- name: failure
  value: "{_number(failure)}"
{_secret_arguments(answers)}""".removeprefix("\n")


def _environment(answers: Answers) -> str:
    if ENVIRONMENT not in argument_names(query(answers)):
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


def _schedule(answers: Answers) -> str:
    # The controller's limits are what it tolerates: failureLimit 2 fails at the third.
    failures, inconclusives = answers.failures - 1, answers.inconclusives - 1
    return f"""\
# The query's range, plus the {format_duration(answers.read_delay)} until a sample can be read.
initialDelay: {format_duration(answers.delay)}
interval: {format_duration(answers.interval)}
count: {answers.count}  # the gate passes after this many, if no limit is exceeded
failureLimit: {failures}  # tolerates {failures}: bad measurement {answers.failures} rolls back
inconclusiveLimit: {inconclusives}  # tolerates {inconclusives}: inconclusive measurement {answers.inconclusives} pauses
consecutiveErrorLimit: 4  # tolerates 4: no answer five times in a row, 10 s apart, aborts the rollout
"""


def _conditions(answers: Answers) -> str:
    pair = conditions(answers)
    return f"""\
# No data (no traffic, no such series, NaN) {NO_DATA_COMMENTS[answers.no_data]}.
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


def _query(answers: Answers) -> str:
    allow = "" if selects_canary(answers) else "# gate-lint: allow diluted\n"
    text = query(answers)
    # A block scalar can neither begin with white space nor hold control characters.
    if all(char.isprintable() or char == "\n" for char in text) and not text.startswith((" ", "\n")):
        return f"{allow}query: |\n{indent(text, '  ')}\n"
    return f"{allow}query: {quoted(text)}\n"


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
    duration = format_duration(answers.delay + (answers.count - 1) * answers.interval)
    return f"""\
spec:
  strategy:
    canary:
      steps:
      - setWeight: {answers.weight}
      # Waits for the gate: {duration} if every measurement is good.
      - analysis:
          templates:
            - templateName: {quoted(answers.template_name)}{scope}
{f"          args:{chr(10)}{args}" if args else ""}\
      - setWeight: {answers.next_weight}
"""


def _passed_by_rollout(answers: Answers) -> tuple[str, ...]:
    """Return the arguments of the query that the Rollout passes."""
    used = set(argument_names(query(answers)))
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
