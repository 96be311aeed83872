"""The commands of the manual that need no cluster and no store run as written, and its queries are PromQL."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

import promql_parser
import pytest

from tests.documents import PROGRAM, fences
from tests.otlp.test_keep_names import ARTICLE_QUERIES

if TYPE_CHECKING:
    from collections.abc import Iterator

MANUAL: Final = Path(__file__).parents[1] / "exporter/manual"
PAGES: Final = sorted(page.name for page in MANUAL.glob("*.md"))
RUN: Final = ("check", "config", "series", "gate render", "gate lint")
"""Commands that need neither a cluster nor a store."""
_FILE_NAME: Final = re.compile(r"# (\S+\.yaml)\n")


def blocks(page: str, language: str) -> list[str]:
    return fences(MANUAL / page, language)


def commands(page: str) -> Iterator[str]:
    """Yield each command line of a page, its continuation lines joined, without comments."""
    for block in blocks(page, "sh"):
        for line in block.replace("\\\n", " ").splitlines():
            yield re.sub(r"(^|\s)#.*", "", line).strip()


def arguments_of(command: str) -> list[str] | None:
    """Return the arguments of a command of the exporter up to a redirection, None for another program."""
    if not command.startswith(f"{PROGRAM} "):
        return None
    return shlex.split(command.partition(" > ")[0].partition(" && ")[0])[1:]


@pytest.mark.slow
@pytest.mark.parametrize("page", ["article.md", "argo-provider.md"])
def test_the_commands_that_need_no_cluster_run_in_the_order_of_the_page(page: str, tmp_path: Path) -> None:
    for block in blocks(page, "yaml"):
        if name := _FILE_NAME.match(block):
            (tmp_path / name[1]).write_text(block)
    program = tmp_path / PROGRAM
    program.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m exporter "$@"\n')
    program.chmod(0o755)
    environment = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "PYTHONPATH": str(MANUAL.parents[1])}
    run = [command for command in commands(page) if command.startswith("printf") or runs_here(command)]
    for command in run:
        result = subprocess.run(
            ["sh", "-c", command], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
        )
        assert result.returncode == 0, f"{command}\n{result.stderr}"
    assert len(run) >= {"article.md": 10, "argo-provider.md": 1}[page]


def runs_here(command: str) -> bool:
    arguments = arguments_of(command)
    if arguments is None:
        return False
    words = [word for word in arguments if not word.startswith("-")]
    return any(" ".join(words).find(name) >= 0 and name.split()[0] in words for name in RUN)


def test_the_article_page_has_the_queries_that_run_against_a_real_store() -> None:
    (block,) = blocks("article.md", "promql")
    assert block.splitlines() == list(ARTICLE_QUERIES[:3])


@pytest.mark.parametrize("page", PAGES)
def test_every_query_is_promql(page: str) -> None:
    for block in blocks(page, "promql"):
        for query in block.splitlines():
            promql_parser.parse(query)
