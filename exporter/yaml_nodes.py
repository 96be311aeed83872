"""YAML as PyYAML nodes, which keep the line of every key and value.

Read by the configuration (whose scalars stay text) and by the `gate` commands (Kubernetes manifests), so that both can
name the line of what is wrong.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import yaml

if TYPE_CHECKING:
    from collections.abc import Iterator

Path = tuple[str | int, ...]
"""Keys and list indexes from the root of a document to a value."""
CORE_TAG = "tag:yaml.org,2002:"
MERGE_KEY = "<<"
MAX_DEPTH = 1000
"""Nested brackets, or dashes of one line: libyaml's time grows with the square of the depth, and its stack ends."""
_NESTING = re.compile(r"[\[{]+|[\]}]+|(?:[-?:][ \t]+){8,}")
_LINE_BREAK = re.compile("\r\n|[\n\r\x85\u2028\u2029]")


class KubernetesLoader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """YAML as Kubernetes reads it: a date stays text. In C where PyYAML has it, since manifests may be large."""

    def construct_foreign(self, node: yaml.Node) -> Any:  # noqa: ANN401 - a document holds anything
        """Return the value behind a tag of another program, such as !vault, which Kubernetes ignores."""
        if isinstance(node, yaml.ScalarNode):
            return self.construct_scalar(node)
        return (
            self.construct_mapping(node, deep=True)
            if isinstance(node, yaml.MappingNode)
            else self.construct_sequence(node, deep=True)
        )


KubernetesLoader.add_constructor(None, KubernetesLoader.construct_foreign)


# A new table, since the inherited one is that of PyYAML's own loader.
KubernetesLoader.yaml_implicit_resolvers = {
    first: [row for row in rows if row[0] != f"{CORE_TAG}timestamp"]
    for first, rows in KubernetesLoader.yaml_implicit_resolvers.items()
}


def compose(text: str, loader_class: type[Any] = yaml.SafeLoader) -> yaml.Node | None:
    """Return the root node of a text of one document, None if it is empty.

    Raises yaml.YAMLError, and RecursionError for a text that is nested too deep.
    """
    if _is_too_deep(text):
        raise RecursionError(f"it is nested more than {MAX_DEPTH} levels deep")
    loader = loader_class(text)
    try:
        node: yaml.Node | None = loader.get_single_node()
    finally:
        loader.dispose()
    return node


def _is_too_deep(text: str) -> bool:
    depth = 0
    for run in _NESTING.findall(text):
        if run[0] in "]}":
            depth = max(0, depth - len(run))
        elif run[0] in "[{":
            depth += len(run)
        if depth > MAX_DEPTH or len(run.split()) > MAX_DEPTH:
            return True
    return False


def construct(root: yaml.Node) -> Any:  # noqa: ANN401 - a document holds anything
    """Return the plain value of a node, as Kubernetes reads it. Raises yaml.YAMLError, and ValueError."""
    loader = KubernetesLoader("")
    try:
        return loader.construct_document(root)
    # What PyYAML raises for a text that is not of its explicit tag, such as `!!bool x` or `!!timestamp x`.
    except (ArithmeticError, AttributeError, LookupError, TypeError):
        raise ValueError("a value does not fit its tag") from None
    finally:
        loader.dispose()


def split_lines(text: str) -> list[str]:
    """Split a text at what YAML 1.1, and so Kubernetes, counts as a line break."""
    return _LINE_BREAK.split(text)


def is_foreign_tag(tag: str) -> bool:
    """Return whether a tag is not one of YAML itself: one of another program."""
    return tag not in KubernetesLoader.yaml_constructors


def line(node: yaml.Node) -> int:
    """Return the line of a node, from 1."""
    return int(node.start_mark.line) + 1


def children(node: yaml.Node) -> Iterator[tuple[Any, yaml.Node, yaml.Node]]:
    """Yield each entry of a mapping or list: key or index, the node of the key (of the item) and of the value."""
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            yield key.value, key, value
    elif isinstance(node, yaml.SequenceNode):
        for index, item in enumerate(node.value):
            yield index, item, item


def duplicate_keys(node: yaml.Node) -> Iterator[yaml.Node]:
    """Yield the keys of a mapping that repeat an earlier one; merge keys may."""
    names: set[str] = set()
    for name, key, _ in children(node) if isinstance(node, yaml.MappingNode) else ():
        if isinstance(name, str) and name != MERGE_KEY:
            if name in names:
                yield key
            names.add(name)


def find(root: yaml.Node, path: Path) -> tuple[yaml.Node, yaml.Node]:
    """Return the nodes of a path's key and value, or those of the deepest part of the path that exists."""
    key, value = root, root
    for step in path:
        entry = next(((key, value) for name, key, value in children(value) if name == step), None)
        if entry is None:
            break
        key, value = entry
    return key, value


def walk(root: yaml.Node) -> Iterator[yaml.Node]:
    """Yield every node of a document once, however often an alias refers to it."""
    visited: set[int] = set()
    pending = [root]
    while pending:
        node = pending.pop()
        if id(node) not in visited:
            visited.add(id(node))
            yield node
            pending.extend(value for _, _, value in children(node))


def unfolded_size(root: yaml.Node) -> int:
    """Return how many nodes a document has with its aliases unfolded. Raises ValueError for a circular alias."""
    # Counted without unfolding: each node is visited once, however many nodes its aliases stand for.
    return _unfolded_size(root, {})


def _unfolded_size(node: yaml.Node, sizes: dict[int, int]) -> int:
    if id(node) in sizes:
        if not sizes[id(node)]:
            raise ValueError("an alias refers to a value that contains it")
        return sizes[id(node)]
    sizes[id(node)] = 0  # in progress
    sizes[id(node)] = 1 + sum(_unfolded_size(value, sizes) for _, _, value in children(node))
    return sizes[id(node)]
