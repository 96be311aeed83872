"""Read a configuration file: YAML with the line of each key, or a .env file of variables."""

from __future__ import annotations

import io
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import yaml

from exporter import yaml_nodes
from exporter.config.errors import Origin, quoted

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from exporter.config.errors import IssueCollector
    from exporter.config.model import SettingPath

_MAX_DEPTH = 12
"""Levels of nesting; the deepest setting has four (argo, index, section, key)."""
_MAX_NODES = 100_000
"""Values after aliases are resolved: a few nested aliases can expand to billions (an alias bomb)."""
_OS_ERRORS: tuple[tuple[type[OSError], str, str], ...] = (
    (FileNotFoundError, "does not exist", "check the path given with --config"),
    (IsADirectoryError, "is a directory", "pass the file in it with --config"),
    (PermissionError, "is not readable for this user", "grant this user read access"),
)


@dataclass(frozen=True, slots=True)
class Variable:
    """A variable of the environment or of a .env file; its text may be a secret, so the repr omits it."""

    name: str
    text: str = field(repr=False)
    origin: Origin

    @property
    def location(self) -> str:
        """Name of the variable, with the line if a .env file sets it."""
        return self.name if self.origin.layer == "environment" else f"{self.origin.detail}: {self.name}"


def os_error_issue(error: OSError | ValueError) -> tuple[str, str]:
    """Return message and hint for an error of the file system."""
    for error_type, message, hint in _OS_ERRORS:
        if isinstance(error, error_type):
            return message, hint
    reason = error.strerror if isinstance(error, OSError) else "the path is not valid"
    return f"cannot be read: {reason}", "check the path and its mount"


def read_file(file: Path, issues: IssueCollector) -> str | None:
    """Return the text of a file; add an error and return None if it cannot be read."""
    try:
        return file.read_bytes().decode("utf-8-sig")  # a file from Windows may begin with a byte order mark
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        issues.add_error(f"{file}:{line}", "is not UTF-8 text", "save it as UTF-8")
    except (OSError, ValueError) as error:
        issues.add_error(str(file), *os_error_issue(error))
    return None


class _UnsupportedYamlError(Exception):
    def __init__(self, node: yaml.Node, message: str, hint: str) -> None:
        super().__init__(message)
        self.line = yaml_nodes.line(node)
        self.hint = hint


class _TreeBuilder:
    """Builds text, lists and mappings from nodes, and records the line of each key.

    Scalars stay text and the model parses them, so that YAML does not convert them (`no` to false, 1.10 to 1.1).
    """

    def __init__(self) -> None:
        self.lines: dict[SettingPath, int] = {}
        self._nodes = 0

    def build(self, node: yaml.Node, path: SettingPath = ()) -> object:
        self._nodes += 1
        if self._nodes > _MAX_NODES or len(path) > _MAX_DEPTH:
            message = "has too many values, or is nested too deep"
            raise _UnsupportedYamlError(node, message, "write it without nested aliases")
        if not node.tag.startswith(yaml_nodes.CORE_TAG):
            raise _UnsupportedYamlError(node, f"has the tag {quoted(node.tag)}", "write the value without a tag")
        self.lines.setdefault(path, yaml_nodes.line(node))  # a key has its line already
        if isinstance(node, yaml.MappingNode):
            return dict(self._pairs(node, path))
        if isinstance(node, yaml.SequenceNode):
            return [self.build(item, (*path, index)) for index, _, item in yaml_nodes.children(node)]
        return None if node.tag == f"{yaml_nodes.CORE_TAG}null" else node.value

    def _pairs(self, node: yaml.MappingNode, path: SettingPath) -> Iterator[tuple[str, object]]:
        for duplicate in yaml_nodes.duplicate_keys(node):
            raise _UnsupportedYamlError(duplicate, f"has the key {quoted(duplicate.value)} twice", "keep one of them")
        for name, key, value in yaml_nodes.children(node):
            if not isinstance(key, yaml.ScalarNode):
                raise _UnsupportedYamlError(key, "has a key that is not text", "write key: value")
            self.lines[*path, name] = yaml_nodes.line(key)
            yield name, self.build(value, (*path, name))


def _yaml_error_issue(error: yaml.YAMLError, text: str) -> tuple[int, str]:
    """Return line and message, without quoting the file, which may contain secrets."""
    if isinstance(error, yaml.reader.ReaderError):
        return text[: error.position].count("\n") + 1, "has a character that YAML does not allow"
    mark = getattr(error, "problem_mark", None)
    # PyYAML quotes the text of the error; its names of tokens, <…>, and single characters may stay.
    message = re.sub(r" '(?!<)[^']{2,}'", "", (getattr(error, "problem", None) or "malformed").removeprefix("but "))
    return mark.line + 1 if mark else 1, f"is not YAML: {message}"


def read_yaml(file: Path, issues: IssueCollector) -> tuple[object, dict[SettingPath, int]]:
    """Return the tree of a YAML file with scalars as text, and the line of each path; (None, {}) after an error."""
    text = read_file(file, issues)
    builder = _TreeBuilder()
    try:
        node = yaml_nodes.compose(text) if text is not None else None
        tree = builder.build(node) if node else None
    except yaml.YAMLError as error:
        line, message = _yaml_error_issue(error, text or "")
        issues.add_error(f"{file}:{line}", message, "fix the line; `key: value` under a section, indented by spaces")
    except _UnsupportedYamlError as error:
        issues.add_error(f"{file}:{error.line}", str(error), error.hint)
    except RecursionError:
        issues.add_error(str(file), "is nested too deep", "use fewer levels")
    else:
        return tree, builder.lines
    return None, {}


def read_dotenv(file: Path, issues: IssueCollector) -> list[Variable]:
    """Return the variables of a .env file, each with its line."""
    from dotenv.parser import parse_stream  # noqa: PLC0415 - it takes 1 MB, and most files are YAML

    variables = []
    for binding in parse_stream(io.StringIO(read_file(file, issues) or "")):
        text = binding.original.string  # starts with the blank lines before it
        line = binding.original.line + text[: len(text) - len(text.lstrip())].count("\n")
        if binding.error:
            issues.add_error(f"{file}:{line}", "is not a line of a .env file", "write NAME=value")
        elif binding.key and binding.value is not None:
            variables.append(Variable(binding.key, binding.value, Origin("file", f"{file}:{line}")))
    return variables
