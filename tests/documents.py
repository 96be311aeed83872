"""The documents that users read (the README, the manual, the chart's pages) with their links, commands and names."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click
import yaml

from exporter import manual
from exporter.cli import main
from exporter.web.manual import anchor

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT: Final = Path(__file__).parents[1]
CHART: Final = ROOT / "charts/rollouts-exporter"
PROGRAM: Final = "rollouts-exporter"
DOCUMENTS: Final = (ROOT / "README.md", *manual.topics().values(), *sorted(CHART.glob("*.md")))
_FENCE: Final = re.compile(r"^ *```(\w*)\n(.*?)^ *```$", re.MULTILINE | re.DOTALL)
_LINK: Final = re.compile(r"\]\(([^)\s]+)\)")
_COMMENT: Final = re.compile(r"<!--.*?-->", re.DOTALL)
_INLINE: Final = re.compile(r"`([^`\n]+)`")
_HEADING: Final = re.compile(r"^#+ (.+)$", re.MULTILINE)


def fences(document: Path, language: str) -> list[str]:
    """Return the blocks of a document in a language."""
    return [block for kind, block in _FENCE.findall(document.read_text()) if kind == language]


def prose(document: Path) -> str:
    """Return a document without its blocks of code and comments."""
    return _COMMENT.sub("", _FENCE.sub("", document.read_text()))


def commands(document: Path) -> Iterator[list[str]]:
    """Yield the arguments of each command of the exporter, in blocks and in text, up to a pipe or a redirection."""
    text = prose(document).replace("\\|", "|")
    lines = [line for block in fences(document, "sh") for line in block.replace("\\\n", " ").splitlines()]
    lines += [part for part in _INLINE.findall(text) if part.startswith(f"{PROGRAM} ") and "[OPTIONS]" not in part]
    for line in lines:
        for part in re.split(r"&&|\|(?!\w+\])|(?<!\S)[<>]", line):
            words = part.strip()
            if words.startswith(f"{PROGRAM} ") and "…" not in words:
                yield shlex.split(words, comments=True)[1:]


def parse(command: click.Command, name: str, arguments: list[str], parent: click.Context | None = None) -> None:
    """Parse arguments down to a command without running it. Raises UsageError."""
    context = command.make_context(name, arguments, parent=parent)
    if isinstance(command, click.Group) and context._protected_args:
        sub_name, sub_command, rest = command.resolve_command(context, [*context._protected_args, *context.args])
        assert sub_command
        parse(sub_command, sub_name or "", rest, context)


def parse_command(arguments: list[str]) -> None:
    """Parse the arguments of a command of the exporter. Raises UsageError."""
    parse(main, PROGRAM, list(arguments))


def broken_links(document: Path, root: Path = ROOT) -> list[str]:
    """Return the links of a document that lead to no file below `root`, or to no heading of it."""
    links = _LINK.findall(prose(document))
    return [link for link in links if "://" not in link and not _leads_somewhere(document, link, root)]


def _leads_somewhere(document: Path, link: str, root: Path) -> bool:
    path, _, fragment = link.partition("#")
    target = (document.parent / path).resolve() if path else document
    if not target.exists() or not target.is_relative_to(root):
        return False
    return not fragment or fragment in {anchor(heading) for heading in _HEADING.findall(target.read_text())}


def named_settings(document: Path) -> Iterator[str]:
    """Yield the words in code that look like settings: a section of the configuration, a dot, a key."""
    from exporter.config.model import section_fields  # noqa: PLC0415 - only here
    from exporter.config.settings import Settings  # noqa: PLC0415 - only here

    sections = "|".join(section_fields(Settings))
    for part in _INLINE.findall(prose(document)):
        if match := re.fullmatch(rf"(?:config\.)?((?:{sections})\.[a-z_.]+)(?:[:=].*)?", part):
            yield match[1].rstrip(".")


def is_chart_value(key: str) -> bool:
    """Return whether a dotted key is a value of the chart, some of whose sections are named like settings."""
    values: object = yaml.safe_load((CHART / "values.yaml").read_text())
    for part in key.split("."):
        if not isinstance(values, dict) or part not in values:
            return False
        values = values[part]
    return True
