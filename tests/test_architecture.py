"""The architecture page names what exists: files, classes and functions, and a glossary that can be learned."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parent.parent
PAGE: Final = ROOT / ".github" / "ARCHITECTURE.md"
PAGES: Final = (PAGE, ROOT / ".github" / "CONTRIBUTING.md", *sorted((ROOT / ".github" / "adr").glob("*.md")))
MAX_GLOSSARY: Final = 60


def test_every_link_leads_to_a_file() -> None:
    broken = [
        f"{page.name}: {link}"
        for page in PAGES
        for link in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text())
        if "://" not in link and not (page.parent / link).exists()
    ]
    assert not broken


def test_every_name_in_code_font_exists() -> None:
    defined = {
        node.name
        for module in (ROOT / "exporter").rglob("*.py")
        for node in ast.walk(ast.parse(module.read_text()))
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
    }
    words = set(re.findall(r"`([^`\n]+)`", PAGE.read_text()))
    classes = {word for word in words if re.fullmatch(r"[A-Z][a-z]+[A-Za-z]*", word)}
    functions = {word.removesuffix("()").rpartition(".")[2] for word in words if re.fullmatch(r"[a-zA-Z_.]+\(\)", word)}
    assert classes
    assert not sorted((classes | functions) - defined)


def test_the_glossary_has_at_most_60_rows() -> None:
    glossary = PAGE.read_text().partition("## Glossary")[2].partition("\n## ")[0]
    terms = [line for line in glossary.splitlines() if line.startswith(("| ", "- ")) and not line.startswith("| ---")]
    assert 20 < len(terms) <= MAX_GLOSSARY + 1
