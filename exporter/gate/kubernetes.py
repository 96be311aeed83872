"""Kubernetes YAML → documents that know on which line each of their values stands."""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final

import yaml

from exporter.gate.lint.finding import Spot

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

Path = tuple[str | int, ...]
MOST_NODES: Final = 200_000
"""More than this many values, aliases unfolded, is no manifest but an attack."""

_DIVIDER: Final = re.compile(r"^---(?=\s|$)", re.MULTILINE)
_ABOUT_GATES: Final = re.compile(r"AnalysisTemplate|AnalysisRun|kind:\s*Rollout")
_TRAILING: Final = re.compile(r"\s#\s*(.*)$")


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """YAML as Kubernetes reads it: a date stays text."""


_Loader.yaml_implicit_resolvers = {
    first: [row for row in rows if row[0] != "tag:yaml.org,2002:timestamp"]
    for first, rows in _Loader.yaml_implicit_resolvers.items()
}


@dataclass(frozen=True, slots=True)
class Source:
    """A text that was read, and what it is called in findings; `named` is False for a file of a directory."""

    name: str
    text: str
    named: bool = True


@dataclass(frozen=True, slots=True)
class Document:
    """One Kubernetes object; `content` are its values, `root` the same with places, `above` the lines before it."""

    source: str
    content: Mapping[str, Any]
    root: yaml.Node
    above: int
    lines: tuple[str, ...]

    @property
    def kind(self) -> str:
        """Return the object's kind."""
        return str(self.content.get("kind", ""))

    @property
    def name(self) -> str:
        """Return the object's name, "" when it has none."""
        return str(self.at("metadata", "name") or "")

    @property
    def namespace(self) -> str:
        """Return the object's namespace, "" when it names none."""
        return str(self.at("metadata", "namespace") or "")

    def at(self, *path: str | int) -> Any:  # noqa: ANN401 - a manifest holds anything
        """Return the value at a path, None where there is none."""
        value: Any = self.content
        for key in path:
            value = _inside(value, key)
        return value

    def line(self, path: Path) -> int:
        """Return the line (from 1) of the value at a path: that of its key; of what encloses it when it is absent."""
        return self._find(path)[0].start_mark.line + self.above + 1

    def spot(self, path: Path, why: str, cure: str) -> Spot:
        """Say what is wrong with the value at a path."""
        return Spot(self.source, self.line(path), why, cure)

    def comments(self, path: Path) -> tuple[str, ...]:
        """Return the comments beside a value and straight above it."""
        key, value = self._find(path)
        found = _TRAILING.search(self.lines[value.end_mark.line][value.end_mark.column :] if _plain(value) else "")
        beside = [found[1]] if found else []
        row = key.start_mark.line - 1
        while row >= 0 and self.lines[row].lstrip().startswith("#"):
            beside.append(self.lines[row].lstrip(" #"))
            row -= 1
        return tuple(beside)

    def _find(self, path: Path) -> tuple[yaml.Node, yaml.Node]:
        """Return the nodes of a path's key and value, as far as the path goes."""
        key, value = self.root, self.root
        for step in path:
            for name, one in _children(value):
                if name == step:
                    key, value = one
                    break
            else:
                break
        return key, value


@dataclass(frozen=True, slots=True)
class Fault:
    """Text that is no YAML, or YAML that Kubernetes refuses to read; `repeated` is a key that stands twice."""

    source: str
    line: int
    why: str
    repeated: bool = False


def documents(source: Source) -> Iterator[Document | Fault]:
    """Read every object of a text, those inside of Lists too; what is no object is passed over."""
    above = 0
    for chunk in _chunks(source.text):
        try:
            yield from _read(source.name, chunk, above)
        except (yaml.YAMLError, ValueError, RecursionError) as error:
            if source.named or _ABOUT_GATES.search(chunk):
                yield _fault(source.name, chunk, above, error)
        above += chunk.count("\n")


def _fault(name: str, chunk: str, above: int, error: Exception) -> Fault:
    if not isinstance(error, yaml.MarkedYAMLError):
        return Fault(name, above + 1, " ".join(str(error).split()))
    mark = error.problem_mark or error.context_mark
    return Fault(name, above + (mark.line + 1 if mark else 1), _said(error, chunk))


def _chunks(text: str) -> Iterator[str]:
    """Cut a text before each `---`, so that a fault costs one document alone."""
    cuts = [0, *(found.start() for found in _DIVIDER.finditer(text) if found.start()), len(text)]
    yield from (text[start:end] for start, end in pairwise(cuts))


def _read(name: str, chunk: str, above: int) -> Iterator[Document | Fault]:
    loader = _Loader(chunk)
    try:
        root = loader.get_single_node()
        if root is None:
            return
        _measure(root)
        for key in _repeated(root):
            yield Fault(
                name, above + key.start_mark.line + 1, f"{key.value} stands twice in one mapping", repeated=True
            )
        content = loader.construct_document(root)
    finally:
        loader.dispose()
    yield from _objects(Document(name, content, root, above, tuple(chunk.split("\n"))))


def _objects(document: Document) -> Iterator[Document]:
    """Return an object, or those that a List holds."""
    if not isinstance(document.content, dict) or not document.kind:
        return
    items = document.at("items")
    if not document.kind.endswith("List") or not isinstance(items, list):
        yield document
        return
    for index, item in enumerate(items):
        node = document._find(("items", index))[1]  # noqa: SLF001 - a document of ours
        yield from _objects(Document(document.source, item, node, document.above, document.lines))


def _measure(root: yaml.Node) -> None:
    """Refuse what refers to itself, and what aliases blow up."""
    if _size(root, {}) > MOST_NODES:
        raise ValueError(f"aliases unfold to more than {MOST_NODES:,} values")


def _size(node: yaml.Node, known: dict[int, int]) -> int:
    if id(node) in known:
        if not known[id(node)]:
            raise ValueError("an alias refers to what encloses it")
        return known[id(node)]
    known[id(node)] = 0
    known[id(node)] = 1 + sum(_size(one[1], known) for _, one in _children(node))
    return known[id(node)]


def _children(node: yaml.Node) -> Iterator[tuple[str | int, tuple[yaml.Node, yaml.Node]]]:
    """Return what a node holds: the key or index of each, and the nodes of key and value."""
    if isinstance(node, yaml.MappingNode):
        yield from ((key.value, (key, value)) for key, value in node.value if isinstance(key.value, str))
    elif isinstance(node, yaml.SequenceNode):
        yield from ((index, (item, item)) for index, item in enumerate(node.value))


def _repeated(root: yaml.Node) -> Iterator[yaml.Node]:
    """Return every key that stands in one mapping for the second time."""
    seen: set[int] = set()
    waiting = [root]
    while waiting:
        node = waiting.pop()
        if id(node) in seen:
            continue
        seen.add(id(node))
        if isinstance(node, yaml.MappingNode):
            names = [key.value for key, _ in node.value if isinstance(key.value, str)]
            yield from (key for at, (key, _) in enumerate(node.value) if key.value in names[:at] and key.value != "<<")
        waiting.extend(one[1] for _, one in _children(node))


def _plain(node: yaml.Node) -> bool:
    return isinstance(node, yaml.ScalarNode) and node.style not in {"|", ">"}


def _said(error: yaml.MarkedYAMLError, chunk: str) -> str:
    mark = error.problem_mark
    words = " ".join(part for part in (error.context, error.problem) if part)
    lines = chunk.split("\n")
    line = lines[mark.line] if mark and mark.line < len(lines) else ""
    return f"{words}; it looks like a Helm template" if "{{" in line else words


def _inside(value: object, key: str | int) -> Any:  # noqa: ANN401 - a manifest holds anything
    if isinstance(value, dict):
        return value.get(key)
    if isinstance(value, list) and isinstance(key, int) and key < len(value):
        return value[key]
    return None
