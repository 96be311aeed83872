"""`gate simulate`: runs a gate on query results from a file, or simulates the recorded runs of real controllers."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any, Final

from exporter.commands.gate.load import GateError, load_gate, read_text
from exporter.commands.gate.run import RunOptions, print_result, unsupported
from exporter.gate import simulation
from exporter.gate.arguments import REDACTED
from exporter.gate.expr import UnsupportedError
from exporter.gate.simulation import AnalysisRunResult, AnswerError, AnswerSequence, RunContext
from exporter.gate.template import TemplateError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from exporter.commands.gate.load import GateSource, LoadedGate
    from exporter.gate.controller import ControllerVersion

DEFAULT_MAX_SECONDS: Final = 3600.0
"""Seconds of simulated time after which the simulation of a gate without an end stops."""


def simulate(source: GateSource, answers: Path, options: RunOptions) -> int:
    """Simulate a gate, print the result, and return the exit code. Raises GateError."""
    try:
        return print_result(_simulate(load_gate(source, need_secrets=False), answers, options), options)
    except UnsupportedError as error:
        raise unsupported(error) from None


def _simulate(gate: LoadedGate, answers: Path, options: RunOptions) -> AnalysisRunResult:
    """Simulate a gate. Raises GateError, and UnsupportedError for a condition."""
    max_duration = options.max_duration or DEFAULT_MAX_SECONDS
    context = RunContext(options.controller, time.time(), max_duration, _secrets(gate))
    try:
        return simulation.simulate(gate.spec, AnswerSequence(_read_answers(answers)).next, context)
    except AnswerError as error:
        raise GateError(f"{answers}: {error}") from None


def _secrets(gate: LoadedGate) -> dict[str, str] | None:
    """Return the values of Secrets, a placeholder for an unknown one; None if all are unknown."""
    names = (argument.name for argument in gate.spec.args if argument.secret)
    return {name: gate.secrets.get(name, REDACTED) for name in names} if gate.secrets else None


def _read_answers(file: Path) -> dict[str, list[object]]:
    document = _parse_json(read_text(file, "--answers"), str(file))
    if not isinstance(document, dict) or not all(isinstance(answers, list) for answers in document.values()):
        raise GateError(f'{file} must be one JSON object: {{"QUERY": [result, result, …]}}')
    return document


def _parse_json(text: str | bytes, source: str) -> object:
    if not text:
        raise GateError(f"{source} is empty")
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise GateError(f"{source} is not JSON: {error}") from None


def simulate_recorded(file: Path, controller: ControllerVersion) -> Iterator[str]:
    """Yield a JSON object with name and status for each recorded run of a file, one per line. Raises GateError."""
    try:
        opened = file.open("rb")
    except OSError as error:
        raise GateError(f"{file} cannot be read: {error.strerror}") from None
    with opened as lines:
        for number, line in enumerate(lines, 1):
            if line.strip():
                document = _parse_json(line, f"{file}:{number}")
                try:
                    yield json.dumps(_recorded_result(document, controller), sort_keys=True)
                except (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError) as error:
                    raise GateError(f"{file}:{number} is not a recorded run: {error}") from None


def _recorded_result(document: Any, controller: ControllerVersion) -> dict[str, object]:  # noqa: ANN401 - any JSON
    name = document["name"]
    try:
        return {"name": name, "status": simulation.simulate_recorded(document, controller)}
    except (UnsupportedError, AnswerError, TemplateError) as error:
        return {"name": name, "status": None, "unsupported": str(error)}
