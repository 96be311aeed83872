"""Answers → the YAML of a gate, with comments that say what each choice does."""

from __future__ import annotations

import json
from textwrap import indent
from typing import TYPE_CHECKING, Final

from exporter.gate.controller import Ability
from exporter.gate.go_format import written
from exporter.gate.placeholders import names
from exporter.gate.render.answers import Answers, NoData, Signal
from exporter.gate.render.conditions import conditions
from exporter.gate.render.signals import SIGNALS, query, tells_canary

if TYPE_CHECKING:
    from collections.abc import Mapping

    from exporter.gate.render.credential import Credential

GIVEN: Final[Mapping[str, str]] = {
    "service-name": "value: {service}",
    "canary-hash": "valueFrom: {{podTemplateHashValue: Latest}}",
    "namespace": "valueFrom: {{fieldRef: {{fieldPath: metadata.namespace}}}}",
    "rollout-name": "valueFrom: {{fieldRef: {{fieldPath: metadata.name}}}}",
}
"""What a Rollout gives for each argument that has no value in the template."""
NO_DATA: Final = {
    NoData.PAUSE: "is neither good nor bad: it counts as inconclusive",
    NoData.FAIL: "is bad",
    NoData.PASS: "is good",
}
ENVIRONMENT: Final = "environment"
TOKEN, USER, PASSWORD = "authorization", "username", "password"
USER_KEY, PASSWORD_KEY = "username", "password"


def quoted(text: str) -> str:
    """Write text as a YAML scalar in double quotes."""
    return json.dumps(text, ensure_ascii=not text.isprintable())


def template(answers: Answers) -> str:
    """Write the AnalysisTemplate, or the ClusterAnalysisTemplate. Raises ValueError for a query that cannot be."""
    kind = "ClusterAnalysisTemplate" if answers.cluster_scope else "AnalysisTemplate"
    place = f"\n  namespace: {quoted(answers.namespace)}  # the Rollout's, and the Secret's"
    looks = SIGNALS[answers.signal]
    return f"""\
# {looks.value[0].upper()}{looks.value[1:]}, judged by Argo Rollouts {answers.controller}.
{_comments(looks.remarks(answers))}\
apiVersion: argoproj.io/v1alpha1
kind: {kind}
metadata:
  name: {quoted(answers.template_name)}{place if answers.namespace and not answers.cluster_scope else ""}
spec:
  args:
{indent(_arguments(answers), "    ")}\
  metrics:
    - name: {looks.metric}
{indent(_schedule(answers) + _conditions(answers), "      ")}\
      provider:
        prometheus:
          address: "{{{{args.address}}}}"
{indent(_proof(answers), "          ")}\
{indent(_query(answers), "          ")}"""


def _arguments(answers: Answers) -> str:
    good, bad = ("above", "at or below") if answers.higher_is_better else ("below", "at or above")
    looks = SIGNALS[answers.signal]
    given = "".join(f"- name: {one}\n" for one in _given(answers))
    place = f"\n  value: {quoted(answers.read_address)}" if answers.read_address else ""
    success, failure = _thresholds(answers)
    return f"""\
{"# The Rollout gives these." if given else ""}
{given}{_environment(answers)}\
# Where to read: what comes before /api/v1.
- name: address{place}
# {looks.value[0].upper()}{looks.value[1:]}: {good} this is good,
- name: success
  value: "{_number(success)}"
# {bad} this is bad{"" if success == failure else "; what lies between is inconclusive"}.
- name: failure
  value: "{_number(failure)}"
{_secret_arguments(answers)}""".removeprefix("\n")


def _environment(answers: Answers) -> str:
    if ENVIRONMENT not in names(query(answers)):
        return ""
    return f"# The label env of the traces.\n- name: {ENVIRONMENT}\n  value: {quoted(answers.environment)}\n"


def _secret_arguments(answers: Answers) -> str:
    """Read the credential from a Secret: only the template's own arguments can be."""
    name = quoted(answers.secret_name)
    keys = {USER: USER_KEY, PASSWORD: PASSWORD_KEY} if _basic_auth(answers) else {TOKEN: answers.secret_key}
    where = "each Rollout's namespace" if answers.cluster_scope else "this namespace"
    return f"# Read from the Secret in {where}, by the controller, each time; a Rollout cannot give it.\n" + "".join(
        f"- name: {argument}\n  valueFrom:\n    secretKeyRef: {{name: {name}, key: {quoted(key)}}}\n"
        for argument, key in keys.items()
    )


def _schedule(answers: Answers) -> str:
    tolerated, unsure = answers.failures - 1, answers.inconclusives - 1
    return f"""\
# The first look: once the query's range and the time until it can be read ({written(answers.read_delay)}) are over.
initialDelay: {written(answers.delay)}
interval: {written(answers.interval)}
count: {answers.count}  # the gate passes after so many, if no limit was exceeded
failureLimit: {tolerated}  # tolerates {tolerated}: bad measurement {answers.failures} rolls back
inconclusiveLimit: {unsure}  # tolerates {unsure}: inconclusive measurement {answers.inconclusives} pauses
consecutiveErrorLimit: 4  # tolerates 4: no answer five times in a row, 10 s apart, aborts the rollout
"""


def _conditions(answers: Answers) -> str:
    found = conditions(answers)
    return f"""\
# No data (no traffic, no such series, NaN) {NO_DATA[answers.no_data]}.
successCondition: {quoted(found.success)}
failureCondition: {quoted(found.failure)}
"""


def _proof(answers: Answers) -> str:
    if _basic_auth(answers):
        return f"""\
authentication:
  basicAuth:
    username: "{{{{args.{USER}}}}}"
    password: "{{{{args.{PASSWORD}}}}}"
"""
    return f"""\
headers:
  - key: Authorization
    value: "{{{{args.{TOKEN}}}}}"  # the whole header, Basic and all
"""


def _query(answers: Answers) -> str:
    allowed = "" if tells_canary(answers) else "# gate-lint: allow diluted\n"
    text = query(answers)
    if all(letter.isprintable() or letter == "\n" for letter in text) and not text.startswith((" ", "\n")):
        return f"{allowed}query: |\n{indent(text, '  ')}\n"
    return f"{allowed}query: {quoted(text)}\n"


def secret(answers: Answers, credential: Credential) -> str:
    """Write the Secret: the one text of ours that shows a credential."""
    if _basic_auth(answers):
        held = f"  {USER_KEY}: {quoted(credential.user)}\n  {PASSWORD_KEY}: {quoted(credential.password)}\n"
    else:
        held = f"  {quoted(answers.secret_key)}: {quoted(credential.header)}\n"
    return f"""\
# Keep this out of version control.
apiVersion: v1
kind: Secret
metadata:
  name: {quoted(answers.secret_name)}
{f"  namespace: {quoted(answers.namespace)}{chr(10)}" if answers.namespace else ""}\
type: Opaque
stringData:  # as it is sent: one line, no base64 around it
{held}"""


def snippet(answers: Answers) -> str:
    """Write what the Rollout needs: the steps around the gate."""
    scope = "\n              clusterScope: true" if answers.cluster_scope else ""
    given = "".join(
        f"            - name: {one}\n              {GIVEN[one].format(service=quoted(answers.service))}\n"
        for one in _given(answers)
    )
    return f"""\
spec:
  strategy:
    canary:
      steps:
      - setWeight: {answers.weight}
      # Waits for the gate: {written(answers.delay + (answers.count - 1) * answers.interval)} when all goes well.
      - analysis:
          templates:
            - templateName: {quoted(answers.template_name)}{scope}
{f"          args:{chr(10)}{given}" if given else ""}\
      - setWeight: {answers.next_weight}
"""


def _given(answers: Answers) -> tuple[str, ...]:
    """Return the arguments that the Rollout gives, those that the query uses."""
    used = set(names(query(answers)))
    return tuple(one for one in GIVEN if one in used)


def _thresholds(answers: Answers) -> tuple[float, float]:
    looks = SIGNALS[answers.signal]
    success = looks.success if answers.success is None else answers.success
    failure = looks.failure if answers.failure is None else answers.failure
    if (failure > success) if answers.higher_is_better else (failure < success):
        order = "not above" if answers.higher_is_better else "not below"
        raise ValueError(f"--failure ({failure:g}) must be {order} --success ({success:g})")
    return success, failure


def _number(value: float) -> str:
    """Write a threshold without loss, 5 rather than 5.0."""
    return f"{value:g}" if float(f"{value:g}") == value else repr(value)


def _basic_auth(answers: Answers) -> bool:
    return answers.version.can(Ability.BASIC_AUTH)


def _comments(lines: tuple[str, ...]) -> str:
    return "".join(f"# {line}\n" for line in lines)


def unknown_arguments(answers: Answers) -> tuple[str, ...]:
    """Return the arguments of the query that nobody gives."""
    return (
        tuple(one or "?" for one in names(query(answers)) if one not in GIVEN)
        if answers.signal is Signal.PROMQL
        else ()
    )
