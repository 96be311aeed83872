"""Arguments: what is named and not there, there and not named, or given in the wrong place."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from exporter.gate.lint.inputs import rows
from exporter.gate.placeholders import OPEN, TAG, named

if TYPE_CHECKING:
    from collections.abc import Iterator

    from exporter.gate.lint.finding import Spot
    from exporter.gate.lint.inputs import Gates
    from exporter.gate.lint.manifest import Path


def unresolved(gates: Gates) -> Iterator[Spot]:
    """Find `{{…}}` that nothing fills in."""
    for gate in gates.gates:
        names = {one.name for one in gate.arguments}
        for metric in gate.metrics:
            for path, text in texts(metric.raw(), metric.path()):
                for tag in TAG.findall(text):
                    asked = named(tag)
                    if asked not in names:
                        why = f"{{{{{tag}}}}} is filled in by nothing: the run becomes Error at once"
                        cure = f"add the argument {asked} to spec.args" if asked else "write {{args.NAME}}"
                        yield gate.document.spot(path, why, cure)
                if OPEN in TAG.sub("", text):
                    why = "there is {{ without }}: the run becomes Error at once"
                    yield gate.document.spot(path, why, "close it, or leave it out")


def unused(gates: Gates) -> Iterator[Spot]:
    """Find arguments that no metric uses."""
    for gate in gates.gates:
        used = {named(tag) for _, text in texts(gate.document.at("spec", "metrics"), ()) for tag in TAG.findall(text)}
        nested = bool(gate.document.at("spec", "templates"))
        for argument in gate.arguments:
            if argument.name not in used and not nested:
                why = f"no metric uses the argument {argument.name}"
                yield gate.document.spot(
                    ("spec", "args", argument.index), why, f"write {{{{args.{argument.name}}}}}, or leave it out"
                )


def repeated(gates: Gates) -> Iterator[Spot]:
    """Find two arguments of one name."""
    for gate in gates.gates:
        counts = Counter(one.name for one in gate.arguments)
        for argument in gate.arguments:
            if counts[argument.name] > 1:
                counts[argument.name] = 0
                path: Path = ("spec", "args", argument.index, "name")
                yield gate.document.spot(path, f"there are several arguments called {argument.name}", "leave one")


def without_value(gates: Gates) -> Iterator[Spot]:
    """Find arguments of an AnalysisRun that have no value: nobody is left to give one."""
    for gate in gates.gates:
        for argument in gate.arguments if gate.is_run else ():
            if not argument.given and gate.document.at("spec", "args", argument.index, "value") is None:
                path: Path = ("spec", "args", argument.index)
                why = f"argument {argument.name} has no value: the run becomes Error at once"
                yield gate.document.spot(path, why, "give it a value")


def both(gates: Gates) -> Iterator[Spot]:
    """Find arguments with a value and a valueFrom."""
    for gate in gates.gates:
        for index, row in enumerate(rows(gate.document.at("spec", "args"))):
            if row.get("value") is not None and row.get("valueFrom") is not None:
                why = f"argument {row.get('name')} has both value and valueFrom: a Rollout that uses it is InvalidSpec"
                yield gate.document.spot(("spec", "args", index), why, "leave one of them")


def texts(value: object, path: Path) -> Iterator[tuple[Path, str]]:
    """Return every text inside of a value, with its path."""
    if isinstance(value, str):
        yield path, value
    elif isinstance(value, dict):
        for key, one in value.items():
            yield from texts(one, (*path, str(key)))
    elif isinstance(value, list):
        for index, one in enumerate(value):
            yield from texts(one, (*path, index))
