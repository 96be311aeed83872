"""Kubernetes YAML → objects with the line of each of their values; read by the linter and by `gate run`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final

import yaml

from exporter import yaml_nodes

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from exporter.yaml_nodes import Path

MAX_NODES: Final = 200_000
"""Values of one document with its aliases unfolded; more is an attack ("billion laughs"), not a manifest."""
# At the start of a line only: within a block scalar the dashes are indented.
_SEPARATOR: Final = re.compile(r"^---(?=\s|$)", re.MULTILINE)
# A directory may hold Helm templates and other files that are not YAML: only those about gates are reported.
_ABOUT_GATES: Final = re.compile(r"AnalysisTemplate|AnalysisRun|kind:\s*Rollout")
_TRAILING_COMMENT: Final = re.compile(r"\s#\s*(.*)$")


@dataclass(frozen=True, slots=True)
class ManifestFile:
    """A text and its name in findings; `is_explicit` is False for a file found in a directory."""

    name: str
    text: str
    is_explicit: bool = True


@dataclass(frozen=True, slots=True)
class KubernetesObject:
    """An object of a file: its plain values, the same as YAML nodes, and where its document starts in the file."""

    file: str
    content: Mapping[str, Any]
    root: yaml.Node
    line_offset: int
    lines: tuple[str, ...]

    @property
    def kind(self) -> str:
        """Return the object's kind."""
        return str(self.content.get("kind", ""))

    @property
    def name(self) -> str:
        """Return the object's name, "" if it has none."""
        return str(self.get("metadata", "name") or "")

    @property
    def namespace(self) -> str:
        """Return the object's namespace, "" if it has none."""
        return str(self.get("metadata", "namespace") or "")

    def get(self, *path: str | int) -> Any:  # noqa: ANN401 - a manifest holds anything
        """Return the value at a path, None if it is absent."""
        value: Any = self.content
        for key in path:
            value = _child(value, key)
        return value

    def line(self, path: Path) -> int:
        """Return the line (from 1) of a path's key; of the innermost part that exists if the value is absent."""
        return yaml_nodes.line(yaml_nodes.find(self.root, path)[0]) + self.line_offset

    def comments(self, path: Path) -> tuple[str, ...]:
        """Return the comments beside a value and directly above it."""
        key, value = yaml_nodes.find(self.root, path)
        # A block scalar ends at the start of a later line, so text there is not a comment on it.
        is_plain = isinstance(value, yaml.ScalarNode) and value.style not in {"|", ">"}
        trailing = self.lines[value.end_mark.line][value.end_mark.column :] if is_plain else ""
        comments = [match[1] for match in [_TRAILING_COMMENT.search(trailing)] if match]
        row = key.start_mark.line - 1
        while row >= 0 and self.lines[row].lstrip().startswith("#"):
            comments.append(self.lines[row].lstrip(" #"))
            row -= 1
        return tuple(comments)


@dataclass(frozen=True, slots=True)
class ManifestIssue:
    """Text that is not YAML, or YAML that Kubernetes does not read, such as a key twice in one mapping."""

    file: str
    line: int
    reason: str
    is_duplicate_key: bool = False
    hint: str = ""
    """How to fix it, if the text is YAML that only another program completes."""


def parse_manifest(file: ManifestFile) -> Iterator[KubernetesObject | ManifestIssue]:
    """Yield every object of a file, those in Lists too; documents that are no object are skipped."""
    line_offset = 0
    for text in _documents(file.text):
        try:
            yield from _parse_document(file.name, text, line_offset)
        except (yaml.YAMLError, ValueError, RecursionError) as error:
            if file.is_explicit or _ABOUT_GATES.search(text):
                yield _issue(file.name, text, line_offset, error)
        line_offset += len(yaml_nodes.split_lines(text)) - 1


def _documents(text: str) -> Iterator[str]:
    """Split a text before each `---`, so that an error costs only its own document."""
    cuts = [0, *(match.start() for match in _SEPARATOR.finditer(text) if match.start()), len(text)]
    yield from (text[start:end] for start, end in pairwise(cuts))


def _parse_document(name: str, text: str, line_offset: int) -> Iterator[KubernetesObject | ManifestIssue]:
    root = yaml_nodes.compose(text, yaml_nodes.KubernetesLoader)
    if root is None:
        return
    if yaml_nodes.unfolded_size(root) > MAX_NODES:
        raise ValueError(f"aliases unfold to more than {MAX_NODES:,} values")
    for node in yaml_nodes.walk(root):
        for key in yaml_nodes.duplicate_keys(node):
            reason = f"{key.value} occurs twice in one mapping"
            yield ManifestIssue(name, line_offset + yaml_nodes.line(key), reason, is_duplicate_key=True)
    for node in yaml_nodes.walk(root):
        if yaml_nodes.is_foreign_tag(node.tag):
            yield _tag_issue(name, line_offset + yaml_nodes.line(node), node.tag)
    lines = tuple(yaml_nodes.split_lines(text))
    yield from _objects(KubernetesObject(name, yaml_nodes.construct(root), root, line_offset, lines))


TAGS: Final = {
    "!vault": ("Ansible Vault", "decrypt it first: ansible-vault view, or ansible's template module"),
    "!reference": ("GitLab CI", "expand it first, with GitLab's CI lint"),
    "!ENC": ("pyaml-env", "replace it by a value, or by an argument from a Secret"),
    "!secret": ("ESPHome and Home Assistant", "use an argument with valueFrom.secretKeyRef"),
    **dict.fromkeys(
        ("!Ref", "!Sub", "!GetAtt", "!Join", "!ImportValue", "!FindInMap", "!Select", "!If"),
        ("CloudFormation", "deploy it with CloudFormation, or write the value"),
    ),
}
"""Tags of other programs: the program, and how to get rid of the tag."""


def _tag_issue(name: str, line: int, tag: str) -> ManifestIssue:
    program, hint = TAGS.get(tag, ("another program", "process the file with that program first, or remove the tag"))
    reason = f"{tag} is a tag of {program}: Kubernetes ignores it, and takes the text behind it as the value"
    return ManifestIssue(name, line, reason, hint=hint)


def _objects(document: KubernetesObject) -> Iterator[KubernetesObject]:
    """Yield an object, or those that a List contains."""
    if not isinstance(document.content, dict) or not document.kind:
        return
    items = document.get("items")
    # kubectl prints a List; an AnalysisTemplateList exists, too.
    if not document.kind.endswith("List") or not isinstance(items, list):
        yield document
        return
    for index, item in enumerate(items):
        _, node = yaml_nodes.find(document.root, ("items", index))
        yield from _objects(KubernetesObject(document.file, item, node, document.line_offset, document.lines))


def _issue(name: str, text: str, line_offset: int, error: Exception) -> ManifestIssue:
    if not isinstance(error, yaml.MarkedYAMLError):
        return ManifestIssue(name, line_offset + 1, " ".join(str(error).split()))
    mark = error.problem_mark or error.context_mark
    reason = " ".join(part for part in (error.context, error.problem) if part)
    lines = yaml_nodes.split_lines(text)
    if error.problem_mark and "{{" in "".join(lines[error.problem_mark.line : error.problem_mark.line + 1]):
        reason += "; it looks like a Helm template"
    return ManifestIssue(name, line_offset + (mark.line + 1 if mark else 1), reason)


def _child(value: object, key: str | int) -> Any:  # noqa: ANN401 - a manifest holds anything
    if isinstance(value, dict):
        return value.get(key)
    if isinstance(value, list) and isinstance(key, int) and key < len(value):
        return value[key]
    return None
