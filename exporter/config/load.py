"""Loads the configuration: defaults < file < environment < command line, and every fault of it at once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pydantic import ValidationError

from exporter.config.env import nest, read_variables
from exporter.config.errors import ConfigError, ConfigIssue, IssueCollector, quoted
from exporter.config.layers import COMMAND_LINE, DEFAULT, Layer, Origin, flatten, merge, origin_of, unflatten
from exporter.config.schema import SettingPath, deepest_field, dotted, is_mapping, is_secret, value_format
from exporter.config.settings import Settings
from exporter.config.validation import CHECKS, CrossFieldIssue, file_issues, volatile_attributes
from exporter.config.yaml_lines import Variable, read_dotenv, read_yaml

if TYPE_CHECKING:
    from pathlib import Path as File

    from pydantic_core import ErrorDetails

Origins = Mapping[SettingPath, Origin]

_DEPENDENT_DEFAULT = "default_factory_not_called"
"""What pydantic says of a default that hangs on another field, when that one is faulty."""


@dataclass(frozen=True, slots=True)
class LoadedConfig:
    """Settings that can be used, the origin of each that is not a default, and what was odd about them."""

    settings: Settings
    origins: Origins
    warnings: tuple[ConfigIssue, ...] = ()


def load(
    file: File | None, environment: Mapping[str, str], overrides: Mapping[str, object] | None = None
) -> LoadedConfig:
    """Load the settings from a file (YAML, or variables when its name ends in .env), variables and overrides.

    Overrides are by dotted path, such as {"otlp.endpoint": "http://localhost:4318"}; a value may be a tree.
    Files that settings name are opened to see that they are there. Raises ConfigError with every fault found.
    """
    findings = IssueCollector()
    leaves = merge(_layers(file, environment, overrides or {}, findings), findings)
    origins = {path: leaf.origin for path, leaf in leaves.items()}
    settings = _validate(leaves, findings)
    if settings is not None:
        _cross_validate(settings, origins, findings)
    if settings is None or findings.errors:
        raise ConfigError(findings.errors)
    return LoadedConfig(settings, origins, tuple(findings.warnings))


def _layers(
    file: File | None, environment: Mapping[str, str], overrides: Mapping[str, object], findings: IssueCollector
) -> Iterator[Layer]:
    """Yield the layers, the weakest first."""
    file_beneath, written = _file_layers(file, findings) if file else ([], [])
    variables = [Variable(name, text, Origin("environment", name)) for name, text in environment.items()]
    beneath, above = read_variables(variables, findings)
    yield from (*file_beneath, *beneath, *written, *above)
    for dotted_path, value in overrides.items():
        yield flatten(nest(_parse_dotted_path(dotted_path), value), lambda _: COMMAND_LINE, findings)


def _file_layers(file: File, findings: IssueCollector) -> tuple[list[Layer], list[Layer]]:
    if file.name.endswith(".env"):
        return read_variables(read_dotenv(file, findings), findings)
    tree, lines = read_yaml(file, findings)

    def origin(path: SettingPath) -> Origin:
        known = next((path[:length] for length in range(len(path), 0, -1) if path[:length] in lines), ())
        return Origin("file", f"{file}:{lines.get(known, 1)}")

    return [], [flatten(tree, origin, findings)]


def _parse_dotted_path(dotted_path: str) -> SettingPath:
    """Split a dotted path; under a mapping the rest is one key, whatever dots it has."""
    keys: SettingPath = tuple(dotted_path.split("."))
    found, field = deepest_field(keys)
    if field is None or not is_mapping(field) or found == keys:
        return keys
    return (*found, dotted_path.split(".", len(found))[-1])


def _validate(leaves: Layer, findings: IssueCollector) -> Settings | None:
    """Return the settings; where leaves are faulty, the settings without them, so that the rest is checked too."""
    try:
        return Settings.model_validate(unflatten(leaves))
    except ValidationError as error:
        faulty = [details for details in error.errors(include_url=False) if details["type"] != _DEPENDENT_DEFAULT]
    for details in faulty:
        _add_validation_error(details, leaves, findings)
    sound = {path: leaf for path, leaf in leaves.items() if not any(_overlaps(one["loc"], path) for one in faulty)}
    try:
        return Settings.model_validate(unflatten(sound))
    except ValidationError:
        return None


def _overlaps(location: SettingPath, path: SettingPath) -> bool:
    """Say whether a fault at `location` is about the leaf at `path`: it is there, within it, or of what holds it."""
    return location[: len(path)] == path or path[: len(location)] == location


def _add_validation_error(details: ErrorDetails, leaves: Layer, findings: IssueCollector) -> None:
    location = details["loc"]
    path = next((path for path in leaves if location[: len(path)] == path), location)
    at, field = deepest_field(path)
    written = leaves[path].value if location in leaves else details["input"]
    problem, advice = _format_error(details, None if field is None or is_secret(field) else written)
    origins = {path: leaf.origin for path, leaf in leaves.items()}
    advice = advice or f"it takes: {value_format(field).kind if field else 'one of the known settings'}"
    findings.add_error(
        origin_of(origins, path).location, f"{_setting_name(path, origins)}: {problem}", advice, str(at[-1])
    )


def _format_error(details: ErrorDetails, written: object) -> tuple[str, str]:
    """Return the problem and its cure, "" where only the field knows that; `written` is quoted when it is one word."""
    if details["type"] == "setting":
        return details["msg"], details["ctx"]["cure"]
    problem = details["msg"].removeprefix("Input ").removeprefix("String ").replace("tuple", "list")
    return (f"{problem}, not {quoted(str(written))}" if isinstance(written, str | int | float) else problem), ""


def _setting_name(path: SettingPath, origins: Origins) -> str:
    return dotted(path, single_installation=not any(at[:2] == ("argo", 1) for at in origins))


def _cross_validate(settings: Settings, origins: Origins, findings: IssueCollector) -> None:
    for check, keys in CHECKS:
        if not keys & findings.invalid_keys:
            for complaint in check(settings):
                findings.add_error(*_locate(complaint, origins))
    for complaint in file_issues(settings):
        findings.add_error(*_locate(complaint, origins))
    for complaint in volatile_attributes(settings):
        findings.add_warning(*_locate(complaint, origins))


def _locate(complaint: CrossFieldIssue, origins: Origins) -> tuple[str, str, str]:
    nearest = (origin_of(origins, complaint.path[:length]) for length in range(len(complaint.path), 0, -1))
    place = next((origin.location for origin in nearest if origin != DEFAULT), "settings")
    return place, f"{_setting_name(complaint.path, origins)}: {complaint.message}", complaint.hint
