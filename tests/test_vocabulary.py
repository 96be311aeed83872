"""The naming rules of .github/CONTRIBUTING.md, as far as a program can hold them."""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT: Final = Path(__file__).parent.parent
MODULES: Final = sorted((ROOT / "exporter").rglob("*.py"))
TESTS: Final = sorted((ROOT / "tests").rglob("*.py"))

OLD_WORDS: Final = frozenset(
    {
        *("anew", "cure", "cures", "deeds", "hearing", "heard", "kept", "lacking", "lacks", "mend", "said", "saying"),
        *("sayer", "says", "stirred", "tell", "tells", "told", "unheard", "whole", "whom", "why"),
    }
)
"""Words that no name contains: they do not describe a thing, and nobody searches for them."""
EMPTY_NAMES: Final = frozenset(
    {
        *("at", "found", "given", "known", "longest", "made", "many", "most", "one", "ones", "own", "seen", "shown"),
        *("taken", "wanted", "who"),
    }
)
"""Words that are not a name by themselves; `first_seen` is fine, `seen` is not."""
PUBLIC: Final = frozenset({"longest"})
"""Names of settings (`otlp.retry.longest`), which stay as they are."""
PLAIN_NAMES: Final = ("timestamp", "max_rows", "reason", "complete", "scraped_at", "known_hosts", "not_found")

_PART: Final = re.compile(r"[A-Z]?[a-z0-9]+|[A-Z]+(?![a-z])")


def names(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Yield the line and the text of each name that a module gives to something."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            yield node.lineno, node.name
        elif isinstance(node, ast.arg):
            yield node.lineno, node.arg
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.lineno, node.id
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            yield node.lineno, node.attr
        elif isinstance(node, ast.ExceptHandler | ast.MatchAs | ast.MatchStar) and node.name:
            yield node.lineno, node.name


def is_old(name: str) -> bool:
    """Return whether a name holds a word of the old dialect, or is an empty one."""
    parts = {part.lower() for part in _PART.findall(name)}
    return name not in PUBLIC and (not parts.isdisjoint(OLD_WORDS) or name.strip("_").lower() in EMPTY_NAMES)


@pytest.mark.parametrize("name", ["told", "_told", "SayerRow", "why_not", "one", "_at", "MOST", "kept_rows"])
def test_a_name_of_the_old_dialect_is_recognised(name: str) -> None:
    assert is_old(name)


@pytest.mark.parametrize("name", PLAIN_NAMES)
def test_a_plain_name_is_not(name: str) -> None:
    assert not is_old(name)


def test_no_name_is_of_the_old_dialect() -> None:
    old = [
        f"{module.relative_to(ROOT)}:{line}: {name}"
        for module in (*MODULES, *TESTS)
        for line, name in names(ast.parse(module.read_text()))
        if is_old(name)
    ]
    assert not old, "\n".join(old)


def test_a_class_name_belongs_to_one_package() -> None:
    packages: dict[str, set[str]] = defaultdict(set)
    for module in MODULES:
        for node in ast.parse(module.read_text()).body:
            if isinstance(node, ast.ClassDef):
                packages[node.name].add(str(module.relative_to(ROOT)))
    repeated = {name: sorted(modules) for name, modules in packages.items() if len(modules) > 1}
    assert not repeated, repeated
