"""A rule, whether it is followed, and the tests that prove it."""

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


class Compliance(StrEnum):
    """Whether a rule is followed."""

    FOLLOWED = "followed"
    ADAPTED = "adapted"
    NOT_FOLLOWED = "not followed"
    NOT_APPLICABLE = "not applicable"


@dataclass(frozen=True, slots=True)
class Row:
    """One rule; `tests` are pytest node ids, `reason` explains why it is adapted or not followed."""

    number: str
    rule: str
    compliance: Compliance
    tests: tuple[str, ...] = ()
    reason: str = ""

    def errors(self) -> Iterator[str]:
        """Yield the errors of the row: a missing test, no test, or no reason."""
        yield from (f"{self.number}: {node} does not exist" for node in self.tests if not exists(node))
        if self.compliance in {Compliance.FOLLOWED, Compliance.ADAPTED} and not self.tests:
            yield f"{self.number}: {self.compliance}, but no test proves it"
        if self.compliance is not Compliance.FOLLOWED and not self.reason:
            yield f"{self.number}: {self.compliance}, but no reason is given"


def followed(number: str, rule: str, *tests: tuple[str, ...]) -> Row:
    """Return the row of a rule that is followed."""
    return Row(number, rule, Compliance.FOLLOWED, sum(tests, ()))


def adapted(number: str, rule: str, reason: str, *tests: tuple[str, ...]) -> Row:
    """Return the row of a rule that is followed in part or differently; the tests prove what is done."""
    return Row(number, rule, Compliance.ADAPTED, sum(tests, ()), reason)


def not_followed(number: str, rule: str, reason: str, *tests: tuple[str, ...]) -> Row:
    """Return the row of a rule that is not followed."""
    return Row(number, rule, Compliance.NOT_FOLLOWED, sum(tests, ()), reason)


def not_applicable(number: str, rule: str, reason: str, *tests: tuple[str, ...]) -> Row:
    """Return the row of a rule about something that does not occur here."""
    return Row(number, rule, Compliance.NOT_APPLICABLE, sum(tests, ()), reason)


@dataclass(frozen=True, slots=True)
class In:
    """A file under tests/; called with names, it returns the node ids of its tests."""

    file: str

    def __call__(self, *names: str) -> tuple[str, ...]:
        """Return node ids: `tests/file::name`."""
        return tuple(f"tests/{self.file}::{name}" for name in names)


@dataclass(frozen=True, slots=True)
class Oracle:
    """The comparison with the collector and Prometheus; called with cases, it returns their node ids."""

    test: str

    def __call__(self, *cases: str) -> tuple[str, ...]:
        """Return node ids, one for each case."""
        return tuple(f"tests/oracle/test_oracle.py::{self.test}[{case}]" for case in cases)


PUSHED: Final = Oracle("test_a_page_is_pushed_as_by_the_collector_except_where_a_rule_decides")
SILENT: Final = Oracle("test_series_of_a_failing_target_go_stale_after_the_grace_period_as_the_collectors_do_at_once")


def exists(node: str) -> bool:
    """Return whether a test exists; with a case in brackets, whether the oracle has that case."""
    name, _, case = node.removesuffix("]").partition("[")
    file, _, path = name.partition("::")
    return path in _defined(ROOT / file) and (not case or case in _cases(ROOT / file))


@cache
def _defined(file: Path) -> frozenset[str]:
    """Return the tests in a file, those of a class as `Class::name`."""
    return frozenset(_tests(ast.parse(file.read_text()).body)) if file.is_file() else frozenset()


def _tests(body: list[ast.stmt], within: str = "") -> Iterator[str]:
    for node in body:
        if isinstance(node, ast.ClassDef) and node.name.startswith("Test"):
            yield from _tests(node.body, f"{node.name}::")
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_"):
            yield f"{within}{node.name}"


@cache
def _cases(file: Path) -> frozenset[str]:
    return frozenset(case.name.partition(".")[0] for case in (file.parent / "cases").glob("*.json*"))
