"""A rule, what became of it, and the tests that prove it."""

from __future__ import annotations

import ast
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT: Final = Path(__file__).parent.parent.parent


class Verdict(StrEnum):
    """What became of a rule."""

    KEPT = "kept"
    BENT = "bent"
    NOT_KEPT = "not kept"
    FOREIGN = "does not apply"


@dataclass(frozen=True, slots=True)
class Row:
    """One rule in short words; `tests` are pytest's node names, `reason` says why it is not simply kept."""

    number: str
    rule: str
    verdict: Verdict
    tests: tuple[str, ...] = ()
    reason: str = ""

    def faults(self) -> Iterator[str]:
        """Say what is wrong with the row: a test that is not there, a promise without proof, a bend without reason."""
        yield from (f"{self.number}: there is no {node}" for node in self.tests if not exists(node))
        if self.verdict in {Verdict.KEPT, Verdict.BENT} and not self.tests:
            yield f"{self.number}: {self.verdict}, but no test proves it"
        if self.verdict is not Verdict.KEPT and not self.reason:
            yield f"{self.number}: {self.verdict}, but no reason is given"


def kept(number: str, rule: str, *tests: tuple[str, ...]) -> Row:
    """Return the row of a rule that is kept."""
    return Row(number, rule, Verdict.KEPT, sum(tests, ()))


def bent(number: str, rule: str, reason: str, *tests: tuple[str, ...]) -> Row:
    """Return the row of a rule that is kept in part or otherwise; the tests prove what is done."""
    return Row(number, rule, Verdict.BENT, sum(tests, ()), reason)


def not_kept(number: str, rule: str, reason: str, *tests: tuple[str, ...]) -> Row:
    """Return the row of a rule that is not kept."""
    return Row(number, rule, Verdict.NOT_KEPT, sum(tests, ()), reason)


def foreign(number: str, rule: str, reason: str, *tests: tuple[str, ...]) -> Row:
    """Return the row of a rule for something that does not occur here."""
    return Row(number, rule, Verdict.FOREIGN, sum(tests, ()), reason)


@dataclass(frozen=True, slots=True)
class In:
    """A file under tests/; called with names, it returns the node names of its tests."""

    file: str

    def __call__(self, *names: str) -> tuple[str, ...]:
        """Return node names: `tests/file::name`."""
        return tuple(f"tests/{self.file}::{name}" for name in names)


@dataclass(frozen=True, slots=True)
class Oracle:
    """The comparison with the collector and with Prometheus; called with cases, it returns their node names."""

    test: str

    def __call__(self, *cases: str) -> tuple[str, ...]:
        """Return node names: one for each case."""
        return tuple(f"tests/oracle/test_oracle.py::{self.test}[{case}]" for case in cases)


PUSHED: Final = Oracle("test_a_page_is_pushed_as_by_the_collector_except_where_a_rule_decides")
SILENT: Final = Oracle("test_series_of_a_failing_target_go_stale_after_the_grace_period_as_the_collectors_do_at_once")


def exists(node: str) -> bool:
    """Tell whether a file has a test; of a case in brackets, whether the oracle has it."""
    name, _, case = node.removesuffix("]").partition("[")
    file, _, path = name.partition("::")
    return path in _defined(ROOT / file) and (not case or case in _cases(ROOT / file))


@cache
def _defined(file: Path) -> frozenset[str]:
    """Return the tests that a file defines, those of a class as `Class::name`."""
    return frozenset(_tests(ast.parse(file.read_text()).body)) if file.is_file() else frozenset()


def _tests(body: list[ast.stmt], within: str = "") -> Iterator[str]:
    for one in body:
        if isinstance(one, ast.ClassDef) and one.name.startswith("Test"):
            yield from _tests(one.body, f"{one.name}::")
        elif isinstance(one, ast.FunctionDef | ast.AsyncFunctionDef) and one.name.startswith("test_"):
            yield f"{within}{one.name}"


@cache
def _cases(file: Path) -> frozenset[str]:
    return frozenset(case.name.partition(".")[0] for case in (file.parent / "cases").glob("*.json*"))
