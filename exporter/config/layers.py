"""Layers of settings by path, each leaf with its origin; a later layer is laid over an earlier one."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from pydantic_core import PydanticCustomError

from exporter.config.errors import IssueCollector, quoted, suggest
from exporter.config.otel import error_hint
from exporter.config.schema import SettingPath, dotted, is_mapping, is_section_list, section_of, value_format
from exporter.config.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pydantic.fields import FieldInfo

    from exporter.config.section import Section


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a setting was written: which layer, and where in it (file:line, or a variable's name)."""

    layer: Literal["default", "file", "environment", "command line"]
    detail: str = ""

    @property
    def location(self) -> str:
        """The place as a fault names it."""
        return self.detail or self.layer

    def __str__(self) -> str:
        return f"{self.layer} {self.detail}".rstrip()


DEFAULT = Origin("default")
COMMAND_LINE = Origin("command line")


@dataclass(frozen=True, slots=True)
class SourcedValue:
    """One value as written, not yet decoded; it may be a secret, so it is in no repr."""

    value: object = field(repr=False)
    origin: Origin


Layer = dict[SettingPath, SourcedValue]


@dataclass(frozen=True, slots=True)
class _Flattener:
    origin: Callable[[SettingPath], Origin]
    findings: IssueCollector
    layer: Layer = field(default_factory=dict)

    def section(self, model: type[Section], value: object, at: SettingPath) -> None:
        tree = self._opened(value, at)
        if tree is None:
            return
        if not isinstance(tree, Mapping):
            self._fault(
                at,
                "should be a mapping of keys to values",
                f"write {' or '.join(list(model.model_fields)[:3])} under it",
            )
            return
        for key, one in tree.items():
            known = model.model_fields.get(str(key))
            if known is None:
                where = f"in {dotted(at)}" if at else "at the top"
                place = self.origin((*at, str(key))).location
                self.findings.add_error(
                    place, f"unknown key {quoted(str(key))} {where}", suggest(str(key), model.model_fields)
                )
            elif one is not None:
                self._field(known, one, (*at, str(key)))

    def _field(self, known: FieldInfo, value: object, at: SettingPath) -> None:
        model = section_of(known)
        if model and is_section_list(known):
            self._many(model, value, at)
        elif model:
            self.section(model, value, at)
        elif is_mapping(known):
            self._pairs(known, value, at)
        else:
            self.layer[at] = SourcedValue(value, self.origin(at))

    def _many(self, model: type[Section], value: object, at: SettingPath) -> None:
        tree = self._opened(value, at)
        if not isinstance(tree, list | tuple):
            self.section(model, tree, at)
            return
        if not tree or not all(tree):
            self._fault(
                at, "is an empty list, or has an empty item", "name one installation at least, with its targets"
            )
        for number, one in enumerate(tree):
            self.section(model, one, (*at, number))

    def _pairs(self, known: FieldInfo, value: object, at: SettingPath) -> None:
        try:
            pairs = value_format(known).parse_pairs
            braced = isinstance(value, str) and value.lstrip().startswith("{")
            tree = pairs(value) if pairs and isinstance(value, str) and not braced else self._opened(value, at)
        except PydanticCustomError as error:
            self._fault(at, error.message(), error_hint(error))
            return
        if not isinstance(tree, Mapping):
            self._fault(at, "should be a mapping of names to values", "write name: value under it")
            return
        for key, one in tree.items():
            path = (*at, value_format(known).normalise_key(str(key)))
            if one is not None:
                self.layer[path] = SourcedValue(one, self.origin((*at, str(key))))

    def _opened(self, value: object, at: SettingPath) -> Any:  # noqa: ANN401 - whatever the JSON holds
        if not isinstance(value, str) or value.lstrip()[:1] not in {"{", "["}:
            return value
        try:
            return json.loads(value)
        except (ValueError, RecursionError):
            self._fault(at, "is no JSON", "write a JSON object, or set its keys one by one")
            return None

    def _fault(self, at: SettingPath, problem: str, advice: str) -> None:
        self.findings.add_error(
            self.origin(at).location, f"{dotted(at)}: {problem}" if at else problem, advice, str((at or ("",))[-1])
        )


def flatten(tree: object, origin: Callable[[SettingPath], Origin], findings: IssueCollector) -> Layer:
    """Turn a tree of settings into its leaves; unknown keys and wrong shapes become faults at their place."""
    spreading = _Flattener(origin, findings)
    spreading.section(Settings, tree, ())
    return spreading.layer


def merge(layers: Iterable[Layer], findings: IssueCollector) -> Layer:
    """Lay each layer over those before it.

    A list of installations replaces the installations below it; one that is written without a list goes into the
    only one below, and is a fault where there are several.
    """
    merged: Layer = {}
    for layer in layers:
        if any(_is_numbered(path) for path in layer):
            merged = {path: leaf for path, leaf in merged.items() if path[0] != "argo"}
        several = len({path[1] for path in merged if _is_numbered(path)}) > 1
        for path, leaf in layer.items():
            written = path
            if path[0] == "argo" and not _is_numbered(path):
                if several:
                    advice = "set it in the file, under the installation meant, or give the whole list as JSON"
                    findings.add_error(leaf.origin.location, f"{dotted(path)}: there are several installations", advice)
                    continue
                written = ("argo", 0, *path[1:])
            merged[written] = leaf
    return merged


def _is_numbered(path: SettingPath) -> bool:
    return path[0] == "argo" and isinstance(path[1], int)


def unflatten(layer: Layer) -> dict[str, Any]:
    """Turn leaves back into the nested form that the model validates."""
    tree: dict[Any, Any] = {}
    for path, leaf in layer.items():
        branch = tree
        for key in path[:-1]:
            branch = branch.setdefault(key, {})
        branch[path[-1]] = leaf.value
    if "argo" in tree:
        tree["argo"] = [tree["argo"][number] for number in sorted(tree["argo"])]
    return tree


def origin_of(origins: Mapping[SettingPath, Origin], path: SettingPath) -> Origin:
    """Return the origin of a path: its own, that of what it lies in, of the first below it, or the default."""
    for length in range(len(path), 0, -1):
        if path[:length] in origins:
            return origins[path[:length]]
    below = (origin for at, origin in origins.items() if at[: len(path)] == path)
    return next(below, DEFAULT)
