"""The steps of a canary, from the text that kube-state-metrics makes of a list: `[map[setWeight:20] map[pause:map[]]]`.

Go sorts the keys of a map and quotes no text, so that users' text with a bracket of its own makes the list ambiguous:
then it has no steps, not wrong ones.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from exporter.rollouts.details import CanaryStep

if TYPE_CHECKING:
    from collections.abc import Iterator

_UNIT_SECONDS: Final = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_DURATION: Final = re.compile(r"([0-9]+(?:\.[0-9]*)?|\.[0-9]+)(ns|us|µs|ms|s|m|h)")
_STEP: Final = re.compile(r"map\[([A-Za-z]\w*):(.*)\]", re.DOTALL)
_STEP_START: Final = re.compile(
    r"(?:^\[| )map\[(?:setWeight|pause|analysis|experiment|setCanaryScale|setHeaderRoute|setMirrorRoute|plugin):"
)
_FIELD: Final = re.compile(r"(?:^| )([A-Za-z]\w*):")
_ROUTES: Final = {"setHeaderRoute": ("match",), "setMirrorRoute": ("match", "percentage")}
"""The steps that make a route, and the fields that one has: without them the step removes the route."""


@lru_cache(maxsize=4096)  # most rollouts of a fleet have the steps of a few templates
def parse_steps(text: str) -> tuple[CanaryStep, ...] | None:
    """Return the steps, None if there are none or the text is ambiguous."""
    elements = _elements(text)
    # Brackets in users' text may balance over two steps, which then look like one.
    if elements is None or len(_STEP_START.findall(text)) > len(elements):
        return None
    steps = [_step(element) for element in elements]
    return tuple(step for step in steps if step is not None) if steps and None not in steps else None


def parse_duration(text: str) -> float | None:
    """Return seconds of a Go duration (`1h30m`) or of a plain number, None for anything else."""
    if re.fullmatch(r"[0-9]+(?:\.[0-9]+)?", text):
        return float(text)
    parts = list(_DURATION.finditer(text))
    if not parts or "".join(part.group() for part in parts) != text:
        return None
    return sum(float(part[1]) * _UNIT_SECONDS[part[2]] for part in parts)


def _elements(text: str) -> list[str] | None:
    """Return the elements of a list of maps, None if its brackets do not balance."""
    if not (text.startswith("[map[") and text.endswith("]]")):
        return None
    inner = text[1:-1]
    depth, elements, start = 0, [], 0
    for position, letter in enumerate(inner):
        depth += (letter == "[") - (letter == "]")
        if depth == 0 and letter == "]":
            elements.append(inner[start : position + 1].removeprefix(" "))
            start = position + 1
        if depth < 0:
            return None
    return elements if depth == 0 and start == len(inner) else None


def _step(text: str) -> CanaryStep | None:
    match = _STEP.fullmatch(text)
    if match is None:
        return None
    kind, value = match.groups()
    fields = dict(_fields(value.removeprefix("map[").removesuffix("]"))) if value.startswith("map[") else {}
    if kind == "pause":
        return CanaryStep(kind, duration=parse_duration(fields.get("duration", "")))
    if kind == "setWeight" and re.fullmatch(r"[0-9]{1,9}", value):
        return CanaryStep(kind, weight=float(value))
    if kind in _ROUTES:
        return CanaryStep(kind, route=fields.get("name", ""), makes_route=any(name in fields for name in _ROUTES[kind]))
    return CanaryStep(kind)


def _fields(text: str) -> Iterator[tuple[str, str]]:
    """Yield the keys of a map with their text."""
    depths, depth = [], 0
    for letter in text:
        depths.append(depth)
        depth += (letter == "[") - (letter == "]")
    keys = [match for match in _FIELD.finditer(text) if depths[match.start(1)] == 0]
    ends = [*(match.start() for match in keys[1:]), len(text)]
    for match, end in zip(keys, ends, strict=False):
        yield match[1], text[match.end() : end]
