"""Loads the configuration: defaults < file < environment < command line, and every fault of it at once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pydantic import ValidationError

from exporter.config.env import nest, read_variables
from exporter.config.errors import ConfigError, Fault, Findings, shown
from exporter.config.layers import COMMAND_LINE, DEFAULT, Layer, Origin, origin_at, overlay, spread, tree_of
from exporter.config.schema import Path, dotted, innermost, is_mapping, is_secret, spelling
from exporter.config.settings import Settings
from exporter.config.validation import CHECKS, Complaint, files, unsteady
from exporter.config.yaml_lines import Variable, read_dotenv, read_yaml

if TYPE_CHECKING:
    from pathlib import Path as File

    from pydantic_core import ErrorDetails

Origins = Mapping[Path, Origin]

_FOLLOWS = "default_factory_not_called"
"""What pydantic says of a default that hangs on another field, when that one is faulty."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """Settings that can be used, the origin of each that is not a default, and what was odd about them."""

    settings: Settings
    origins: Origins
    warnings: tuple[Fault, ...] = ()


def load(file: File | None, environment: Mapping[str, str], overrides: Mapping[str, object] | None = None) -> Loaded:
    """Load the settings from a file (YAML, or variables when its name ends in .env), variables and overrides.

    Overrides are by dotted path, such as {"otlp.endpoint": "http://localhost:4318"}; a value may be a tree.
    Files that settings name are opened to see that they are there. Raises ConfigError with every fault found.
    """
    findings = Findings()
    leaves = overlay(_layers(file, environment, overrides or {}, findings), findings)
    origins = {path: leaf.origin for path, leaf in leaves.items()}
    settings = _validated(leaves, findings)
    if settings is not None:
        _examine(settings, origins, findings)
    if settings is None or findings.faults:
        raise ConfigError(findings.faults)
    return Loaded(settings, origins, tuple(findings.warnings))


def _layers(
    file: File | None, environment: Mapping[str, str], overrides: Mapping[str, object], findings: Findings
) -> Iterator[Layer]:
    """Yield the layers, the weakest first."""
    file_beneath, written = _file_layers(file, findings) if file else ([], [])
    variables = [Variable(name, text, Origin("environment", name)) for name, text in environment.items()]
    beneath, above = read_variables(variables, findings)
    yield from (*file_beneath, *beneath, *written, *above)
    for dotted_path, value in overrides.items():
        yield spread(nest(_split(dotted_path), value), lambda _: COMMAND_LINE, findings)


def _file_layers(file: File, findings: Findings) -> tuple[list[Layer], list[Layer]]:
    if file.name.endswith(".env"):
        return read_variables(read_dotenv(file, findings), findings)
    tree, lines = read_yaml(file, findings)

    def origin(path: Path) -> Origin:
        known = next((path[:length] for length in range(len(path), 0, -1) if path[:length] in lines), ())
        return Origin("file", f"{file}:{lines.get(known, 1)}")

    return [], [spread(tree, origin, findings)]


def _split(dotted_path: str) -> Path:
    """Split a dotted path; under a mapping the rest is one key, whatever dots it has."""
    keys: Path = tuple(dotted_path.split("."))
    found, field = innermost(keys)
    if field is None or not is_mapping(field) or found == keys:
        return keys
    return (*found, dotted_path.split(".", len(found))[-1])


def _validated(leaves: Layer, findings: Findings) -> Settings | None:
    """Return the settings; where leaves are faulty, the settings without them, so that the rest is checked too."""
    try:
        return Settings.model_validate(tree_of(leaves))
    except ValidationError as error:
        faulty = [details for details in error.errors(include_url=False) if details["type"] != _FOLLOWS]
    for details in faulty:
        _note(details, leaves, findings)
    sound = {path: leaf for path, leaf in leaves.items() if not any(_concerns(one["loc"], path) for one in faulty)}
    try:
        return Settings.model_validate(tree_of(sound))
    except ValidationError:
        return None


def _concerns(location: Path, path: Path) -> bool:
    """Say whether a fault at `location` is about the leaf at `path`: it is there, within it, or of what holds it."""
    return location[: len(path)] == path or path[: len(location)] == location


def _note(details: ErrorDetails, leaves: Layer, findings: Findings) -> None:
    location = details["loc"]
    path = next((path for path in leaves if location[: len(path)] == path), location)
    at, field = innermost(path)
    written = leaves[path].value if location in leaves else details["input"]
    problem, advice = _told(details, None if field is None or is_secret(field) else written)
    origins = {path: leaf.origin for path, leaf in leaves.items()}
    advice = advice or f"it takes: {spelling(field).kind if field else 'one of the known settings'}"
    findings.fault(origin_at(origins, path).place, f"{_name(path, origins)}: {problem}", advice, str(at[-1]))


def _told(details: ErrorDetails, written: object) -> tuple[str, str]:
    """Return the problem and its cure, "" where only the field knows that; `written` is quoted when it is one word."""
    if details["type"] == "setting":
        return details["msg"], details["ctx"]["cure"]
    problem = details["msg"].removeprefix("Input ").removeprefix("String ").replace("tuple", "list")
    return (f"{problem}, not {shown(str(written))}" if isinstance(written, str | int | float) else problem), ""


def _name(path: Path, origins: Origins) -> str:
    return dotted(path, lone=not any(at[:2] == ("argo", 1) for at in origins))


def _examine(settings: Settings, origins: Origins, findings: Findings) -> None:
    for check, keys in CHECKS:
        if not keys & findings.spoiled:
            for complaint in check(settings):
                findings.fault(*_placed(complaint, origins))
    for complaint in files(settings):
        findings.fault(*_placed(complaint, origins))
    for complaint in unsteady(settings):
        findings.warn(*_placed(complaint, origins))


def _placed(complaint: Complaint, origins: Origins) -> tuple[str, str, str]:
    nearest = (origin_at(origins, complaint.path[:length]) for length in range(len(complaint.path), 0, -1))
    place = next((origin.place for origin in nearest if origin != DEFAULT), "settings")
    return place, f"{_name(complaint.path, origins)}: {complaint.problem}", complaint.cure
