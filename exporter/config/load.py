"""Load the configuration: defaults < file < environment < command line; all errors are reported together.

Each layer is flattened to single settings with their origins. The layers are merged and parsed, and the settings are
then checked against each other. An issue is located at the origin of its setting.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from exporter.config import schema
from exporter.config.env import assignments
from exporter.config.errors import ConfigIssue, IssueCollector, Origin, quoted, suggest
from exporter.config.model import SettingPath, parse_section, section_fields
from exporter.config.settings import Settings
from exporter.config.validation import CHECKS, WARNINGS, CrossFieldIssue, file_issues
from exporter.config.values import SURROGATE, SettingError
from exporter.config.yaml_lines import Variable, read_dotenv, read_yaml

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence
    from pathlib import Path

    from exporter.config.env import Assignment
    from exporter.config.model import Section, SettingFault, SettingField
    from exporter.config.values import ValueFormat

DEFAULT = Origin("default")
COMMAND_LINE = Origin("command line")


@dataclass(frozen=True, slots=True)
class SectionList:
    """A setting that is a list of sections: what messages call a section, and whether there must be one."""

    noun: str
    is_required: bool = False


SECTION_LISTS = {
    "argo": SectionList("installation", is_required=True),
    "gates": SectionList("gate"),
    "webhooks": SectionList("webhook"),
}
"""The settings that are a list of sections, or one section without the list."""


@dataclass(frozen=True, slots=True)
class SourcedValue:
    """A setting's value as written, before parsing; it may be a secret, so the repr omits it."""

    value: object = field(repr=False)
    origin: Origin


Layer = dict[SettingPath, SourcedValue]
Origins = Mapping[SettingPath, Origin]


@dataclass(frozen=True, slots=True)
class LoadedConfig:
    """Valid settings, the origin of each setting that is not a default, and warnings."""

    settings: Settings
    origins: Origins
    warnings: tuple[ConfigIssue, ...] = ()


class ConfigError(Exception):
    """The configuration is invalid; `issues` has every error, the exception's text one per line.

    `valid_part` are the settings without the invalid ones, which have their defaults; None if there are none.
    """

    def __init__(self, issues: Sequence[ConfigIssue], valid_part: LoadedConfig | None = None) -> None:
        super().__init__("\n".join(map(str, issues)))
        self.issues = tuple(issues)
        self.valid_part = valid_part


def load(
    file: Path | None, environment: Mapping[str, str], overrides: Mapping[str, object] | None = None
) -> LoadedConfig:
    """Load the settings from a file (YAML, or variables if its name ends in .env), environment and overrides.

    Keys of `overrides` are dotted paths, such as {"otlp.endpoint": "http://localhost:4318"}; a value may be a tree.
    Files that settings name are opened to check that they can be read. Raise ConfigError with every issue.
    """
    issues = IssueCollector()
    merged = merge(_layers(file, environment, overrides or {}, issues), issues)
    origins = {path: sourced.origin for path, sourced in merged.items()}
    settings = _parse(merged, origins, issues)
    _cross_validate(settings, origins, issues)
    loaded = LoadedConfig(settings, origins, tuple(issues.warnings))
    if issues.errors:
        raise ConfigError(issues.errors, loaded)
    return loaded


def _layers(
    file: Path | None, environment: Mapping[str, str], overrides: Mapping[str, object], issues: IssueCollector
) -> Iterator[Layer]:
    """Yield the layers, lowest precedence first."""
    # Variables of a .env file form the same two groups as the environment's, each just below that one.
    file_below, file_layers = _file_layers(file, issues) if file else ([], [])
    variables = [Variable(name, text, Origin("environment", name)) for name, text in environment.items()]
    below, above = _variable_layers(variables, issues)
    yield from (*file_below, *below, *file_layers, *above)
    for dotted_path, value in overrides.items():
        yield flatten(_nest(_parse_dotted_path(dotted_path), value), lambda _: COMMAND_LINE, issues)


def _file_layers(file: Path, issues: IssueCollector) -> tuple[list[Layer], list[Layer]]:
    if file.name.endswith(".env"):
        return _variable_layers(read_dotenv(file, issues), issues)
    tree, lines = read_yaml(file, issues)
    return [], [flatten(tree, lambda path: Origin("file", f"{file}:{lines.get(_closest(path, lines), 1)}"), issues)]


def _closest(path: SettingPath, paths: Collection[SettingPath]) -> SettingPath:
    """Return the path if it is one of `paths`, else the closest one above it; () if there is none."""
    return next((path[:length] for length in range(len(path), 0, -1) if path[:length] in paths), ())


def _variable_layers(variables: list[Variable], issues: IssueCollector) -> tuple[list[Layer], list[Layer]]:
    """Return the layers of variables that a file overrides, and of those that override it."""

    def layer(assignment: Assignment) -> Layer:
        variable, path, value = assignment
        return flatten(_nest(path, value), lambda _: variable.origin, issues)

    below, above = assignments(variables, issues)
    return list(map(layer, below)), list(map(layer, above))


def _nest(path: SettingPath, value: object) -> object:
    """Wrap a value in mappings: (a, b) and 1 become {a: {b: 1}}."""
    for key in reversed(path):
        value = {key: value}
    return value


def _parse_dotted_path(dotted_path: str) -> SettingPath:
    """Split a dotted path; below a mapping the remainder is one key, dots included."""
    keys: SettingPath = tuple(dotted_path.split("."))
    known_path, setting = schema.deepest_field(keys)
    if setting is None or not setting.is_mapping or known_path == keys:
        return keys
    return (*known_path, dotted_path.split(".", len(known_path))[-1])


def flatten(tree: object, origin: Callable[[SettingPath], Origin], issues: IssueCollector) -> Layer:
    """Return the settings of a tree by path. Unknown keys and values of the wrong shape become errors."""
    flattener = _Flattener(origin, issues)
    flattener.section(Settings, tree, ())
    return flattener.layer


@dataclass(frozen=True, slots=True)
class _Flattener:
    """Walks a tree along the model; text that starts with a brace or bracket is parsed as JSON, for variables."""

    origin: Callable[[SettingPath], Origin]
    issues: IssueCollector
    layer: Layer = field(default_factory=dict)

    def section(self, model: type[Section], value: object, path: SettingPath) -> None:
        tree = self._parse_json(value, path)
        if _is_unset(tree):
            return
        if not isinstance(tree, Mapping):
            hint = f"write {' or '.join(list(section_fields(model))[:3])} under it"
            self._add_error(path, "should be a mapping of keys to values", hint)
            return
        for name, item in tree.items():
            key = str(name)
            setting = section_fields(model).get(key)
            if setting is None:
                self._unknown_key(key, item, model, path)
            elif not _is_unset(item) or setting.is_list:
                self._field(setting, item, (*path, key))

    def _unknown_key(self, key: str, value: object, model: type[Section], path: SettingPath) -> None:
        section_name = f"in {schema.dotted(path)}" if path else "at the top level"
        hint = suggest(key, section_fields(model))
        keys = value if isinstance(value, Mapping) else {}
        replaced = [setting for below in keys for setting in schema.replacements((*path, key, str(below)))]
        if replacements := replaced or schema.replacements((*path, key)):
            hint = f"write {' and '.join(dict.fromkeys(replacements))} instead"
        message = f"unknown key {quoted(key)} {section_name}"
        self.issues.add_errors(ConfigIssue(self.origin((*path, key)).location, message, hint, str((*path, key)[0])))

    def _field(self, setting: SettingField, value: object, path: SettingPath) -> None:
        if setting.section and setting.is_section_list:
            self._section_list(setting.section, value, path)
        elif setting.section:
            self.section(setting.section, value, path)
        elif setting.is_mapping:
            self._mapping(setting.format, value, path)
        else:
            self._set(path, path, value)

    def _section_list(self, model: type[Section], value: object, path: SettingPath) -> None:
        tree = self._parse_json(value, path)
        if not isinstance(tree, list | tuple):
            self.section(model, tree, path)
            return
        element = SECTION_LISTS[str(path[0])]
        if not all(tree) or (not tree and element.is_required):
            self._add_error(path, "is an empty list, or has an empty item", f"list at least one {element.noun}")
        elif not tree:
            self._set(path, path, ())  # replaces the list of a lower layer
        for index, item in enumerate(tree):
            self.section(model, item, (*path, index))

    def _mapping(self, mapping_format: ValueFormat, value: object, path: SettingPath) -> None:
        try:
            if mapping_format.parse_pairs and isinstance(value, str) and not value.lstrip().startswith("{"):
                tree: Any = mapping_format.parse_pairs(value)
            else:
                tree = self._parse_json(value, path)
        except SettingError as error:
            self._add_error(path, str(error), error.hint)
            return
        if not isinstance(tree, Mapping):
            self._add_error(path, "should be a mapping of names to values", "write name: value under it")
            return
        for name, item in tree.items():
            if not _is_unset(item):
                self._set((*path, mapping_format.normalise_key(str(name))), (*path, str(name)), item)

    def _set(self, path: SettingPath, written_path: SettingPath, value: object) -> None:
        # Variables and JSON escapes may hold bytes that are not UTF-8, which no request could be made of.
        if any(map(SURROGATE.search, (*_texts(value), str(path[-1])))):
            self._add_error(path, "has characters that are not UTF-8", "write it as UTF-8 text")
        else:
            self.layer[path] = SourcedValue(value, self.origin(written_path))

    def _parse_json(self, value: object, path: SettingPath) -> Any:  # noqa: ANN401 - any JSON value
        if not isinstance(value, str) or value.lstrip()[:1] not in {"{", "["}:
            return value
        try:
            return json.loads(value)
        except (ValueError, RecursionError):
            self._add_error(path, "is not valid JSON", "write a JSON object, or set its keys one by one")
            return None

    def _add_error(self, path: SettingPath, message: str, hint: str) -> None:
        text = f"{schema.dotted(path)}: {message}" if path else message
        self.issues.add_error(self.origin(path).location, text, hint, path)


def _is_unset(value: object) -> bool:
    """Return whether a value is that of `key:`, or empty text, as templates write it: both leave the default."""
    return value is None or (isinstance(value, str) and not value.strip())


def _texts(value: object) -> Iterator[str]:
    """Yield every text in a value."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for name, item in value.items():
            yield from (*_texts(name), *_texts(item))
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _texts(item)


def merge(layers: Iterable[Layer], issues: IssueCollector) -> Layer:
    """Merge the layers; a later one overrides those before it.

    A list of sections replaces all earlier ones. Settings without an index belong to its only section; if there are
    several they are an error.
    """
    merged: Layer = {}
    for layer in layers:
        replaced = {path[0] for path in layer if _has_index(path) or (path[0] in SECTION_LISTS and len(path) == 1)}
        merged = {path: sourced for path, sourced in merged.items() if path[0] not in replaced}
        ambiguous = {path[0] for path in merged if _has_index(path) and path[1] != 0}
        for path, sourced in layer.items():
            element = None if _has_index(path) or len(path) == 1 else SECTION_LISTS.get(str(path[0]))
            if element is None:
                merged[path] = sourced
            elif path[0] in ambiguous:
                issues.add_error(
                    sourced.origin.location,
                    f"{schema.dotted(path)}: there are several {element.noun}s",
                    f"set it in the file under one {element.noun}, or set the complete list as JSON",
                    path[:1],
                )
            else:
                merged.pop((path[0],), None)  # an empty list
                merged[path[0], 0, *path[1:]] = sourced
    return merged


def _has_index(path: SettingPath) -> bool:
    return len(path) > 1 and isinstance(path[1], int)


def unflatten(layer: Layer) -> dict[str, Any]:
    """Return the nested tree of the settings."""
    tree: dict[Any, Any] = {}
    for path, sourced in layer.items():
        branch = tree
        for key in path[:-1]:
            branch = branch.setdefault(key, {})
        branch[path[-1]] = sourced.value
    for name in SECTION_LISTS:
        if isinstance(sections := tree.get(name), dict):
            tree[name] = [sections[index] for index in sorted(sections)]
    return tree


def origin_of(origins: Origins, path: SettingPath) -> Origin:
    """Return the origin of a path, of the closest path above it, of the first below it, or the default."""
    below = (origin for setting, origin in origins.items() if setting[: len(path)] == path)
    return origins.get(_closest(path, origins)) or next(below, DEFAULT)


def _parse(layer: Layer, origins: Origins, issues: IssueCollector) -> Settings:
    """Return the settings; invalid ones have their defaults, so that all are checked against each other."""
    faults: list[SettingFault] = []
    settings = parse_section(Settings, unflatten(layer), (), faults)
    for fault in faults:
        _add_fault(fault, origins, issues)
    return settings


def _add_fault(fault: SettingFault, origins: Origins, issues: IssueCollector) -> None:
    path, error = fault
    field_path, setting = schema.deepest_field(path)
    message, hint = str(error), error.hint
    # An unknown key may be a secret in the wrong place, so its value is not quoted either.
    if setting is not None and isinstance(error.value, str | int | float) and not schema.may_be_secret(setting):
        message += f", not {quoted(str(error.value))}"
    if setting is not None and not hint:
        hint = f"expected: {setting.format.kind}"
    issues.add_error(origin_of(origins, path).location, f"{_setting_name(path, origins)}: {message}", hint, field_path)


def _setting_name(path: SettingPath, origins: Origins) -> str:
    has_several = any(setting[:2] == (path[0], 1) for setting in origins)
    return schema.dotted(path, single_installation=not has_several)


def _cross_validate(settings: Settings, origins: Origins, issues: IssueCollector) -> None:
    checks = [check for check, keys in CHECKS if not keys & issues.invalid_keys]
    for check in (*checks, file_issues):
        issues.add_errors(*(_located(issue, origins) for issue in check(settings)))
    for check in WARNINGS:
        issues.warnings += [_located(issue, origins) for issue in check(settings)]


def _located(issue: CrossFieldIssue, origins: Origins) -> ConfigIssue:
    """Return an issue at the location of the closest setting that is not a default."""
    candidates = (origin_of(origins, issue.path[:length]) for length in range(len(issue.path), 0, -1))
    location = next((origin.location for origin in candidates if origin != DEFAULT), "settings")
    message = f"{_setting_name(issue.path, origins)}: {issue.message}"
    return ConfigIssue(location, message, issue.hint, str(issue.path[0]), issue.kind)
