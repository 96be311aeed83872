"""Arguments that are used and not declared, declared and not used, or without a value."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from exporter.gate.arguments import OPEN, PLACEHOLDER, argument_name, argument_names
from exporter.gate.lint.inputs import rows

if TYPE_CHECKING:
    from collections.abc import Iterator

    from exporter.gate.lint.findings import Issue
    from exporter.gate.lint.inputs import LintInput
    from exporter.yaml_nodes import Path


def check_unresolved(lint_input: LintInput) -> Iterator[Issue]:
    """Report placeholders without an argument, and braces that are not closed."""
    for gate in lint_input.gates:
        names = {argument.name for argument in gate.arguments}
        for metric in gate.metrics:
            for path, text in _texts(metric.raw(), metric.path()):
                for tag in PLACEHOLDER.findall(text):
                    name = argument_name(tag)
                    if name not in names:
                        reason = f"no argument replaces {{{{{tag}}}}}: the run ends in Error at once"
                        hint = f"add the argument {name} to spec.args" if name else "write {{args.NAME}}"
                        yield gate.issue(path, reason, hint)
                if OPEN in PLACEHOLDER.sub("", text):
                    reason = "{{ is not closed by }}: the run ends in Error at once"
                    yield gate.issue(path, reason, "close it or remove it")


def check_unused(lint_input: LintInput) -> Iterator[Issue]:
    """Report arguments that no metric uses."""
    for gate in lint_input.gates:
        texts = _texts(gate.document.get("spec", "metrics"), ())
        used = {name for _, text in texts for name in argument_names(text)}
        if gate.document.get("spec", "templates"):
            continue  # a referenced template may use it
        for argument in gate.arguments:
            if argument.name not in used:
                reason = f"no metric uses the argument {argument.name}"
                hint = f"use it as {{{{args.{argument.name}}}}}, or remove it"
                yield gate.issue(("spec", "args", argument.index), reason, hint)


def check_repeated(lint_input: LintInput) -> Iterator[Issue]:
    """Report arguments with the same name."""
    for gate in lint_input.gates:
        counts = Counter(argument.name for argument in gate.arguments)
        for argument in gate.arguments:
            if counts[argument.name] > 1:
                counts[argument.name] = 0  # reported once
                path: Path = ("spec", "args", argument.index, "name")
                yield gate.issue(path, f"several arguments have the name {argument.name}", "keep one of them")


def check_without_value(lint_input: LintInput) -> Iterator[Issue]:
    """Report arguments of an AnalysisRun without a value: no Rollout can supply it."""
    for gate in lint_input.gates:
        for argument in gate.arguments if gate.is_run else ():
            if not argument.is_set and argument.row.get("value") is None:
                reason = f"argument {argument.name} has no value: the run ends in Error at once"
                yield gate.issue(("spec", "args", argument.index), reason, "set its value")


def check_both(lint_input: LintInput) -> Iterator[Issue]:
    """Report arguments with both a value and a valueFrom."""
    for gate in lint_input.gates:
        for index, row in enumerate(rows(gate.document.get("spec", "args"))):
            if row.get("value") is not None and row.get("valueFrom") is not None:
                name = row.get("name")
                reason = f"argument {name} has both value and valueFrom: a Rollout that uses the gate is InvalidSpec"
                yield gate.issue(("spec", "args", index), reason, "remove one of them")


def _texts(value: object, path: Path) -> Iterator[tuple[Path, str]]:
    """Yield every text inside of a value, with its path."""
    if isinstance(value, str):
        yield path, value
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from _texts(item, (*path, str(key)))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _texts(item, (*path, index))
