"""`gate run` from its options to its exit code."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rich.console import Console

from exporter import log
from exporter.commands import gate_show
from exporter.commands.gate_file import GateError, load
from exporter.commands.gate_run import Times, prepared, trials
from exporter.gate import explanation
from exporter.gate.condition import UnsupportedError
from exporter.gate.simulation import Simulation
from exporter.gate.status import Status, as_json

if TYPE_CHECKING:
    from exporter.commands.gate_file import Gate, Given
    from exporter.gate.assessment import Plan
    from exporter.gate.controller import Controller


@dataclass(frozen=True, slots=True)
class Wish:
    """What the command line wants: the controller, the times, and what is printed."""

    controller: Controller
    as_json: bool = False
    explain: bool = False
    speed: float = 1.0
    start: float | None = None
    end: float | None = None
    step: float | None = None
    longest: float | None = None

    @property
    def times(self) -> Times:
        """Return when the gate is tried. Raises GateError for times that do not go together."""
        if (self.end is None) != (self.step is None) or (self.end is not None and self.start is None):
            raise GateError("--at, --until and --every go together")
        return Times(self.start, self.end, self.step, self.speed, self.longest)


async def play(given: Given, wish: Wish) -> int:
    """Try a gate, print what comes of it, and return the exit code: the worst of several tries. Raises GateError."""
    try:
        gate, plan = prepared(load(given, need_secrets=True), wish.controller)
        if isinstance(plan, Status):
            return conclude(Simulation(plan), wish)
        many = len(wish.times.starts()) > 1
        return await (_several if many else _single)(gate, plan, wish)
    except UnsupportedError as error:
        raise unsupported(error) from None


async def _single(gate: Gate, plan: Plan, wish: Wish) -> int:
    with gate_show.Show(Console(stderr=wish.as_json), plan) as show:
        (done,) = [done async for _, done in trials(gate, plan, wish.controller, wish.times, show.see)]
    return conclude(done, wish)


async def _several(gate: Gate, plan: Plan, wish: Wish) -> int:
    code = 0
    async for start, done in trials(gate, plan, wish.controller, wish.times, _silent):
        code = max(code, gate_show.code(done.status), key=WORST.index)
        _tell(start, done, wish)
    return code


WORST = (0, gate_show.UNDECIDED, 3, 2, 1)
"""Exit codes from good to bad."""


def _silent(*_: object) -> None:
    pass


def _tell(start: float, done: Simulation, wish: Wish) -> None:
    if wish.as_json:
        print(json.dumps({"at": start, "status": as_json(done.status)}))  # noqa: T201 - one object a try
        return
    status = done.status
    counted = "; ".join(f"{one.name} {one.counts.successful} of {one.counts.count}" for one in status.results)
    said = log.SECRETS.mask(status.message)
    print(f"{gate_show.at(start)} {status.phase}{counted and f' ({counted})'}{said and f': {said}'}")  # noqa: T201


def conclude(done: Simulation, wish: Wish) -> int:
    """Print the end of a run, and return its exit code."""
    if wish.as_json:
        document = as_json(done.status)
        if wish.explain:
            document["explanations"] = [explanation.as_json(one) for one in done.told]
        lines = [json.dumps(document, sort_keys=True)]
    else:
        lines = [*(gate_show.explained(done.told) if wish.explain else ()), *gate_show.verdict(done.status)]
    for line in lines:
        print(log.SECRETS.mask(line))  # noqa: T201
    return gate_show.code(done.status)


def unsupported(error: UnsupportedError) -> GateError:
    """Return the refusal of a condition that cannot be judged here."""
    return GateError(f"it cannot be judged here, only by the controller: {error.message}")
