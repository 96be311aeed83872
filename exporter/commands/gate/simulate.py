"""Simulates a gate: on answers from a file, or on the recorded runs of real controllers."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Final

from exporter.commands.gate.load import GateError, load
from exporter.commands.gate.run import Wish, conclude, unsupported
from exporter.gate.arguments import HIDDEN
from exporter.gate.expr import UnsupportedError
from exporter.gate.load import TemplateError
from exporter.gate.simulation import AnswerError, Answers, Case, Conditions, Simulation, simulate

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from exporter.commands.gate.load import Gate, Given
    from exporter.gate.controller import Controller

LONGEST: Final = 3600.0
"""Seconds of simulated time after which a gate without an end is left as it stands."""


def play(
    given: Given, *, answers: Path, controller: Controller, longest: float | None, as_json: bool, explain: bool
) -> int:
    """Simulate a gate, print what comes of it, and return the exit code. Raises GateError."""
    wish = Wish(controller, as_json=as_json, explain=explain)
    try:
        return conclude(_simulated(load(given, need_secrets=False), answers, controller, longest), wish)
    except UnsupportedError as error:
        raise unsupported(error) from None


def _simulated(gate: Gate, answers: Path, controller: Controller, longest: float | None) -> Simulation:
    """Simulate a gate. Raises GateError, and UnsupportedError for a condition not judged here."""
    conditions = Conditions(controller, time.time(), longest or LONGEST, _secrets(gate))
    try:
        return simulate(gate.spec, Answers(_answers(answers)).next, conditions)
    except AnswerError as error:
        raise GateError(f"{answers}: {error}") from None


def _secrets(gate: Gate) -> dict[str, str] | None:
    """Return the secrets where any is known; one that is not stands hidden."""
    known = {one.name: gate.secrets.get(one.name, HIDDEN) for one in gate.spec.args if one.secret}
    return known if gate.secrets else None


def _answers(file: Path) -> dict[str, list[object]]:
    document = _json(file.read_text() if file.is_file() else "", str(file))
    if not isinstance(document, dict) or not all(isinstance(several, list) for several in document.values()):
        raise GateError(f'{file} must be one JSON object: {{"QUERY": [answer, answer, …]}}')
    return document


def _json(text: str, where: str) -> object:
    if not text:
        raise GateError(f"{where} cannot be read, or is empty")
    try:
        return json.loads(text)
    except ValueError as error:
        raise GateError(f"{where} is no JSON: {error}") from None


def cases(file: Path, controller: Controller) -> Iterator[str]:
    """Yield a JSON object with name and status for each case of a file, a line each. Raises GateError."""
    try:
        opened = file.open()
    except OSError as error:
        raise GateError(f"{file} cannot be read: {error.strerror}") from None
    with opened as lines:
        for number, line in enumerate(lines, 1):
            if line.strip():
                document = _json(line, f"{file}:{number}")
                try:
                    case = Case(document["name"], document)  # type: ignore[index, arg-type]
                    yield json.dumps(_told(case, controller), sort_keys=True)
                except (KeyError, TypeError, ValueError) as error:
                    raise GateError(f"{file}:{number} is no case that can be simulated: {error}") from None


def _told(case: Case, controller: Controller) -> dict[str, object]:
    try:
        return {"name": case.name, "status": case.simulated(controller)}
    except (UnsupportedError, AnswerError, TemplateError) as error:
        return {"name": case.name, "status": None, "unsupported": str(error)}
