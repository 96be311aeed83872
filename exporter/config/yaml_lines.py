"""Reads a configuration file: YAML with the line of each key, or a .env file of variables."""

from __future__ import annotations

import io
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import yaml
from dotenv.parser import parse_stream

from exporter import yaml_nodes
from exporter.config.errors import Origin, quoted

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path as File

    from exporter.config.errors import IssueCollector
    from exporter.config.schema import SettingPath

_DEEPEST = 12
_MOST_NODES = 100_000
_OS_FAULTS: tuple[tuple[type[OSError], str, str], ...] = (
    (FileNotFoundError, "does not exist", "check the path given with --config"),
    (IsADirectoryError, "is a directory", "name the file in it with --config"),
    (PermissionError, "may not be read by this user", "give this user the right to read it"),
)


@dataclass(frozen=True, slots=True)
class Variable:
    """One variable of the environment or of a .env file; its text may be a secret."""

    name: str
    text: str = field(repr=False)
    origin: Origin

    @property
    def location(self) -> str:
        """The variable's name, after the line of the .env file that sets it."""
        return self.name if self.origin.layer == "environment" else f"{self.origin.detail}: {self.name}"


def os_fault(error: OSError | ValueError) -> tuple[str, str]:
    """Say what an error of the file system means, and its cure."""
    for kind, problem, advice in _OS_FAULTS:
        if isinstance(error, kind):
            return problem, advice
    reason = error.strerror if isinstance(error, OSError) else "the path is not valid"
    return f"cannot be read: {reason}", "check the path and its mount"


def read_file(file: File, findings: IssueCollector) -> str | None:
    """Return the text of a file, None after noting why there is none."""
    try:
        return file.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        findings.add_error(f"{file}:{line}", "is not UTF-8 text", "save it as UTF-8")
    except (OSError, ValueError) as error:
        findings.add_error(str(file), *os_fault(error))
    return None


class _BadYamlError(Exception):
    def __init__(self, node: yaml.Node, problem: str, advice: str) -> None:
        super().__init__(problem)
        self.line = yaml_nodes.line(node)
        self.advice = advice


class _Reading:
    """Turns nodes into text, lists and mappings, and keeps the line of each key.

    Scalars stay text: the model decodes them, so YAML's own guesses (no is false, 1.10 is 1.1) never happen.
    """

    def __init__(self) -> None:
        self.lines: dict[SettingPath, int] = {}
        self._nodes = 0

    def value(self, node: yaml.Node, at: SettingPath = ()) -> object:
        self._nodes += 1
        if self._nodes > _MOST_NODES or len(at) > _DEEPEST:
            raise _BadYamlError(node, "holds too much, or is nested too deep", "write it without nested aliases")
        if not node.tag.startswith(yaml_nodes.CORE_TAG):
            raise _BadYamlError(node, f"has the tag {quoted(node.tag)}", "write the value without a tag")
        self.lines.setdefault(at, yaml_nodes.line(node))
        if isinstance(node, yaml.MappingNode):
            return dict(self._pairs(node, at))
        if isinstance(node, yaml.SequenceNode):
            return [self.value(item, (*at, index)) for index, _, item in yaml_nodes.children(node)]
        return None if node.tag == f"{yaml_nodes.CORE_TAG}null" else node.value

    def _pairs(self, node: yaml.MappingNode, at: SettingPath) -> Iterator[tuple[str, object]]:
        for duplicate in yaml_nodes.duplicate_keys(node):
            raise _BadYamlError(duplicate, f"has the key {quoted(duplicate.value)} twice", "keep one of them")
        for name, key, value in yaml_nodes.children(node):
            if not isinstance(key, yaml.ScalarNode):
                raise _BadYamlError(key, "has a key that is no word", "write key: value")
            self.lines[*at, name] = yaml_nodes.line(key)
            yield name, self.value(value, (*at, name))


def _yaml_problem(error: yaml.YAMLError, text: str) -> tuple[int, str]:
    """Return the line and the problem, without what stands in the file, since that may be a secret."""
    if isinstance(error, yaml.reader.ReaderError):
        return text[: error.position].count("\n") + 1, "holds a character that YAML does not allow"
    mark = getattr(error, "problem_mark", None)
    problem = re.sub(r" '(?!<)[^']{2,}'", "", (getattr(error, "problem", None) or "malformed").removeprefix("but "))
    return mark.line + 1 if mark else 1, f"is not YAML: {problem}"


def read_yaml(file: File, findings: IssueCollector) -> tuple[object, dict[SettingPath, int]]:
    """Return the tree in a YAML file, its scalars as text, and the line of each path; (None, {}) after a fault."""
    text = read_file(file, findings)
    reading = _Reading()
    try:
        node = yaml_nodes.compose(text) if text is not None else None
        tree = reading.value(node) if node else None
    except yaml.YAMLError as error:
        line, problem = _yaml_problem(error, text or "")
        findings.add_error(f"{file}:{line}", problem, "mend the line; `key: value` under a section, indented by spaces")
    except _BadYamlError as error:
        findings.add_error(f"{file}:{error.line}", str(error), error.advice)
    except RecursionError:
        findings.add_error(str(file), "is nested too deep", "write it with fewer levels")
    else:
        return tree, reading.lines
    return None, {}


def read_dotenv(file: File, findings: IssueCollector) -> list[Variable]:
    """Return the variables of a .env file, each with its line."""
    variables = []
    for binding in parse_stream(io.StringIO(read_file(file, findings) or "")):
        blank = binding.original.string
        line = binding.original.line + blank[: len(blank) - len(blank.lstrip())].count("\n")
        if binding.error:
            findings.add_error(f"{file}:{line}", "is no line of a .env file", "write NAME=value")
        elif binding.key and binding.value is not None:
            variables.append(Variable(binding.key, binding.value, Origin("file", f"{file}:{line}")))
    return variables
