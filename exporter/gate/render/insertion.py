"""Inserts the step of a gate into the text of a Rollout. Every other character, comments too, stays as it is. Pure."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

import yaml

from exporter import yaml_nodes
from exporter.gate.kubernetes import KubernetesObject, ManifestFile, parse_manifest
from exporter.gate.render.manifest import snippet

if TYPE_CHECKING:
    from collections.abc import Sequence

    from exporter.gate.render.answers import Answers

STEPS: Final = ("spec", "strategy", "canary", "steps")
_LINE: Final = re.compile("[^\n\r\x85\u2028\u2029]*(?:\r\n|[\n\r\x85\u2028\u2029]|$)")
_BY_HAND: Final = "print the step with --part rollout, and insert it by hand"


def insert_step(text: str, answers: Answers) -> str:
    """Return a Rollout's text with the gate at the answered weight. Raises ValueError, with a hint."""
    rollout = _rollout(text, answers.rollout_name)
    steps = rollout.get(*STEPS)
    if not isinstance(steps, list) or not steps:
        raise ValueError(f"Rollout {rollout.name} has no spec.strategy.canary.steps; add steps, such as setWeight: 10")
    if answers.template_name in _template_names(steps):
        raise ValueError(f"Rollout {rollout.name} uses {answers.template_name} already; remove that step first")
    _, node = yaml_nodes.find(rollout.root, STEPS)
    if not isinstance(node, yaml.SequenceNode) or node.flow_style:
        raise ValueError(f"the steps of Rollout {rollout.name} are in brackets, or an alias; {_BY_HAND}")
    index, has_weight = _place(steps, answers.weight)
    line = _end_line(node.value[index - 1]) if index else yaml_nodes.find(rollout.root, STEPS)[0].end_mark.line
    changed = _with_lines(text, rollout.line_offset + line + 1, _step_lines(answers, has_weight=has_weight), node)
    _check(changed, rollout, index)
    return changed


def _rollout(text: str, name: str) -> KubernetesObject:
    objects = [item for item in parse_manifest(ManifestFile("", text)) if isinstance(item, KubernetesObject)]
    rollouts = [item for item in objects if item.kind == "Rollout"]
    named = [item for item in rollouts if item.name == name] or (rollouts if len(rollouts) == 1 else [])
    if len(named) != 1:
        names = ", ".join(item.name for item in rollouts) or "none"
        raise ValueError(f"the file has no Rollout {name}; it has: {names}; select one with --rollout")
    return named[0]


def _template_names(steps: Sequence[Any]) -> set[str]:
    analyses = [step["analysis"] for step in steps if isinstance(step, dict) and isinstance(step.get("analysis"), dict)]
    return {
        str(row.get("templateName"))
        for analysis in analyses
        for row in analysis.get("templates") or ()
        if isinstance(row, dict)
    }


def _place(steps: Sequence[Any], weight: int) -> tuple[int, bool]:
    """Return before which step the gate comes, and whether the canary has its weight there already."""
    for index, step in enumerate(steps):
        value = step.get("setWeight") if isinstance(step, dict) else None
        if isinstance(value, int) and value >= weight:
            return (index + 1, True) if value == weight else (index, False)
    return len(steps), False


def _step_lines(answers: Answers, *, has_weight: bool) -> list[str]:
    """Return the lines of the steps to insert, without indentation."""
    lines = snippet(answers).splitlines()
    first = next(index for index, line in enumerate(lines) if line.lstrip().startswith("- setWeight"))
    # The last line is the next weight, which the Rollout decides.
    chosen = lines[first + has_weight : -1]
    indent = len(lines[first]) - len(lines[first].lstrip())
    return [line[indent:] for line in chosen]


def _end_line(node: yaml.Node) -> int:
    """Return the last line (from 0) of a node's content, without the comments and blank lines behind it."""
    if isinstance(node, yaml.CollectionNode) and not node.flow_style and node.value:
        last = node.value[-1]
        return max(map(_end_line, last)) if isinstance(last, tuple) else _end_line(last)
    mark = node.end_mark
    # A block scalar ends at the start of the line after it.
    return int(mark.line - 1 if mark.column == 0 and mark.line > node.start_mark.line else mark.line)


def _with_lines(text: str, row: int, lines: Sequence[str], steps: yaml.Node) -> str:
    """Insert lines before a row (from 0), as deep as the dashes of the steps."""
    rows = _LINE.findall(text)
    line_break = "\r\n" if "\r\n" in text else "\n"
    if row and not rows[row - 1].endswith(("\n", "\r")):
        rows[row - 1] += line_break
    indent = " " * steps.start_mark.column
    return "".join([*rows[:row], *(f"{indent}{line}{line_break}" for line in lines), *rows[row:]])


def _check(text: str, rollout: KubernetesObject, index: int) -> None:
    """Raise ValueError unless the steps of the changed text are the old ones and those inserted."""
    before = list(rollout.get(*STEPS))
    try:
        after = list(_rollout(text, rollout.name).get(*STEPS) or ())
    except ValueError:
        after = []
    inserted = len(after) - len(before)
    if inserted < 1 or after[:index] + after[index + inserted :] != before:
        raise ValueError(f"the steps of Rollout {rollout.name} are written in an unusual way; {_BY_HAND}")
