"""Arguments of a template: values in place of `{{args.name}}`, as the controller substitutes them.

The controller substitutes in the metric's JSON with fasttemplate, so a value is quoted as Go quotes it. The messages of
`ResolutionError` are the controller's.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Final

from exporter.gate.go_format import quote
from exporter.gate.template import Argument, TemplateError, metric_json, read_spec

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from exporter.gate.template import Metric

OPEN: Final = "{{"
PLACEHOLDER: Final = re.compile(r"\{\{(.*?)\}\}", re.DOTALL)
"""A tag as fasttemplate reads it: up to the first closing braces, over line breaks, too."""
REDACTED: Final = "temp-for-secret"
"""The controller's placeholder for the value of a Secret, in the metric that is validated and written to the status."""
# Values are quoted as Go does, which has escapes (\a, \v, \x07) that JSON has not: the controller fails on them.
_ESCAPE: Final = re.compile(r"\\(u[0-9a-fA-F]{4}|.)")
_JSON_ESCAPES: Final = '"\\/bfnrtu'


class ResolutionError(ValueError):
    """Arguments that cannot be substituted; the message is the controller's."""


def argument_name(tag: str) -> str:
    """Return the argument that the inside of a placeholder names, "" if it names none."""
    name = tag.strip()
    return name.removeprefix("args.") if name.startswith("args.") else ""


def argument_names(text: str) -> tuple[str, ...]:
    """Return the argument that each placeholder of a text names."""
    return tuple(map(argument_name, PLACEHOLDER.findall(text)))


def substitute_known(text: str, values: Mapping[str, str]) -> str:
    """Replace the placeholders of known arguments, and leave the others."""
    return PLACEHOLDER.sub(lambda match: values.get(argument_name(match[1]), match[0]), text)


def rollout_arguments(namespace: str, rollout: str, canary_hash: str, service: str = "") -> dict[str, str]:
    """Return the arguments that a Rollout passes to a rendered gate; without a service it has the rollout's name."""
    return {
        "service-name": service or rollout,
        "canary-hash": canary_hash,
        "namespace": namespace,
        "rollout-name": rollout,
    }


def merge_args(
    template_args: Sequence[Argument], values: Mapping[str, str], *, require_values: bool = True
) -> tuple[Argument, ...]:
    """Return a template's arguments with these values, as a Rollout's `args` override them.

    Raises ResolutionError for a name that the template does not have, and with `require_values` for an argument
    without a value.
    """
    unknown = [name for name in values if name not in {argument.name for argument in template_args}]
    if unknown:
        names = ", ".join(argument.name for argument in template_args) or "none"
        raise ResolutionError(f"the template has no argument {unknown[0]}; it has: {names}")
    merged = tuple(
        Argument(argument.name, values[argument.name]) if argument.name in values else argument
        for argument in template_args
    )
    for argument in merged if require_values else ():
        if argument.value is None and argument.secret is None and not argument.field_path:
            raise ResolutionError(f"args.{argument.name} was not resolved; set it with --arg {argument.name}=…")
    return merged


def redacted_values(arguments: Sequence[Argument]) -> dict[str, str | None]:
    """Return the values of arguments, a placeholder for those from Secrets."""
    return {argument.name: REDACTED if argument.secret else argument.value for argument in arguments}


def resolve(metric: Metric, values: Mapping[str, str | None]) -> Metric:
    """Return a metric with the values of its arguments in place.

    Raises ResolutionError for an argument without a value, whether it is used or not, and for any other {{…}}.
    """
    for name, value in values.items():
        if value is None:
            raise ResolutionError(f"argument {quote(name)} was not supplied")
    text = _substitute(metric_json(metric), {f"args.{name}": value or "" for name, value in values.items()})
    # Checked before json.loads, whose message is not Go's.
    bad_escape = next((escape[1] for escape in _ESCAPE.finditer(text) if escape[1][0] not in _JSON_ESCAPES), None)
    if bad_escape:
        raise ResolutionError(f"invalid character '{bad_escape}' in string escape code")
    try:
        return read_spec({"metrics": [json.loads(text)]}).metrics[0]
    except (ValueError, TemplateError) as error:
        raise ResolutionError(str(error)) from None


def _substitute(text: str, values: Mapping[str, str]) -> str:
    unresolved: list[str] = []

    def replacement(match: re.Match[str]) -> str:
        name = match[1].strip()
        if name not in values:
            # The controller continues after an unknown tag, and its error names the last one.
            unresolved.append(match[1])
            return ""
        return quote(values[name])[1:-1]  # the tag is inside of a JSON string

    result = PLACEHOLDER.sub(replacement, text)
    # An unclosed tag is reported first: fasttemplate rejects it before it substitutes anything.
    _, opened, rest = PLACEHOLDER.split(text)[-1].partition(OPEN)
    if opened:
        raise ResolutionError(f'Cannot find end tag="}}}}" in the template={quote(text)} starting from {quote(rest)}')
    if unresolved:
        raise ResolutionError(f"failed to resolve {{{{{unresolved[-1]}}}}}")
    return result
