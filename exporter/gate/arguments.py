"""`{{args.x}}` in a metric → the metric with the values in place, as the controller does it: on the metric's JSON."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, Final

from exporter.gate.go_format import quoted
from exporter.gate.load import TemplateError, spec
from exporter.gate.template import Argument

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from exporter.gate.template import Authentication, Metric, Prometheus

OPEN: Final = "{{"
HIDDEN: Final = "temp-for-secret"
"""What stands for a secret wherever a value is not to be seen, as in the metric that is validated and shown."""
_TAG: Final = re.compile(r"\{\{(.*?)\}\}", re.DOTALL)
_ESCAPE: Final = re.compile(r"\\(u[0-9a-fA-F]{4}|.)")
_JSON_ESCAPES: Final = '"\\/bfnrtu'


class ResolutionError(ValueError):
    """Arguments that cannot be put in place; the message is the controller's."""


def merged(template: Sequence[Argument], given: Mapping[str, str], *, whole: bool = True) -> tuple[Argument, ...]:
    """Return a template's arguments with the values given in their place, as a Rollout's `args` do.

    Raises ResolutionError for a name that the template does not have, and, where the arguments are to be `whole`, for
    one that has no value in the end.
    """
    unknown = [name for name in given if name not in {argument.name for argument in template}]
    if unknown:
        known = ", ".join(argument.name for argument in template) or "none"
        raise ResolutionError(f"the template has no argument {unknown[0]}; it has: {known}")
    found = tuple(Argument(one.name, given[one.name], None, None) if one.name in given else one for one in template)
    for one in found:
        if whole and one.value is None and one.secret is None and one.field_path is None:
            raise ResolutionError(f"args.{one.name} was not resolved; give it with --arg {one.name}=…")
    return found


def hidden(arguments: Sequence[Argument]) -> dict[str, str | None]:
    """Return the values of arguments, a stand-in for those from Secrets."""
    return {one.name: HIDDEN if one.secret else one.value for one in arguments}


def resolved(metric: Metric, values: Mapping[str, str | None]) -> Metric:
    """Return a metric with the values of its arguments in place.

    Raises ResolutionError for an argument without a value, whether it is used or not, and for any other {{…}}.
    """
    for name, value in values.items():
        if value is None:
            raise ResolutionError(f"argument {quoted(name)} was not supplied")
    text = _substituted(json_of(metric), {f"args.{name}": value or "" for name, value in values.items()})
    bad = next((one[1] for one in _ESCAPE.finditer(text) if one[1][0] not in _JSON_ESCAPES), None)
    if bad:
        raise ResolutionError(f"invalid character '{bad}' in string escape code")
    try:
        return spec({"metrics": [json.loads(text)]}).metrics[0]
    except (ValueError, TemplateError) as error:
        raise ResolutionError(str(error)) from None


def _substituted(text: str, values: Mapping[str, str]) -> str:
    lost: list[str] = []

    def value(tag: re.Match[str]) -> str:
        name = tag[1].strip()
        if name not in values:
            lost.append(tag[1])
            return ""
        return quoted(values[name])[1:-1]

    done = _TAG.sub(value, text)
    _, opened, rest = _TAG.split(text)[-1].partition(OPEN)
    if opened:
        raise ResolutionError(f'Cannot find end tag="}}}}" in the template={quoted(text)} starting from {quoted(rest)}')
    if lost:
        raise ResolutionError(f"failed to resolve {{{{{lost[-1]}}}}}")
    return done


def json_of(metric: Metric) -> str:
    """Write a metric as the controller's JSON: its order of fields, none that is empty, < > & escaped."""
    document = _full(
        {
            "name": metric.name,
            "interval": metric.interval,
            "initialDelay": metric.initial_delay,
            "count": metric.count,
            "successCondition": metric.success_condition,
            "failureCondition": metric.failure_condition,
            "failureLimit": metric.failure_limit,
            "inconclusiveLimit": metric.inconclusive_limit,
            "consecutiveErrorLimit": metric.consecutive_error_limit,
            "provider": _provider(metric),
            "consecutiveSuccessLimit": metric.consecutive_success_limit,
        },
        always={"name", "provider"},
    )
    text = json.dumps(document, ensure_ascii=False, separators=(",", ":"))
    for char in "<>&\u2028\u2029":
        text = text.replace(char, f"\\u{ord(char):04x}")
    return text


def _full(document: Mapping[str, Any], always: frozenset[str] | set[str] = frozenset()) -> dict[str, Any]:
    """Leave out what Go leaves out as empty; a number that is 0 was given, and stays."""
    return {
        key: value
        for key, value in document.items()
        if key in always or (value is not None and value is not False and value not in ("", []))
    }


def _provider(metric: Metric) -> dict[str, Any]:
    asked = {} if metric.prometheus is None else {"prometheus": _prometheus(metric.prometheus)}
    return asked | {name: {} for name in metric.others}


def _prometheus(asked: Prometheus) -> dict[str, Any]:
    ranged = asked.range_query
    return _full(
        {
            "address": asked.address,
            "query": asked.query,
            "authentication": _authentication(asked.authentication),
            "timeout": asked.timeout,
            "insecure": asked.insecure,
            "headers": [{"key": header.key, "value": header.value} for header in asked.headers],
            "rangeQuery": ranged and _full({"start": ranged.start, "end": ranged.end, "step": ranged.step}),
        }
    )


def _authentication(proof: Authentication) -> dict[str, Any]:
    sigv4, oauth2, basic = proof.sigv4, proof.oauth2, proof.basic_auth
    return {
        "sigv4": _full({"region": sigv4.region, "profile": sigv4.profile, "roleArn": sigv4.role_arn}),
        "oauth2": _full(
            {
                "tokenUrl": oauth2.token_url,
                "clientId": oauth2.client_id,
                "clientSecret": oauth2.client_secret,
                "scopes": list(oauth2.scopes),
            }
        ),
        "basicAuth": _full({"username": basic.username, "password": basic.password}),
    }
