"""The lock files hold what pyproject.toml requires, and agree with each other."""

from __future__ import annotations

import tomllib
from typing import TYPE_CHECKING, Final

import pytest
from packaging.requirements import Requirement

from tests.locks import EXTRAS, PRODUCT, ROOT, TESTS, versions

if TYPE_CHECKING:
    from pathlib import Path

PROJECT: Final = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def requirements(*extras: str) -> list[Requirement]:
    optional = PROJECT["optional-dependencies"]
    return [Requirement(text) for text in (*PROJECT["dependencies"], *(text for x in extras for text in optional[x]))]


@pytest.mark.parametrize("path", [PRODUCT, TESTS], ids=lambda path: path.name)
def test_a_lock_file_satisfies_every_requirement_of_its_extras(path: Path) -> None:
    locked = versions(path)
    for requirement in requirements(*EXTRAS[path]):
        name = requirement.name.lower().replace("_", "-").replace(".", "-")
        assert requirement.specifier.contains(locked.get(name, "0"), prereleases=True), (
            f"{requirement}: python -m tests.locks"
        )


def test_the_tests_run_with_the_versions_of_the_product() -> None:
    product, tests = versions(PRODUCT), versions(TESTS)
    assert product.items() <= tests.items()


def test_the_product_needs_nothing_of_the_tests() -> None:
    product = {requirement.name.lower() for requirement in requirements("build")}
    test_only = {requirement.name.lower() for requirement in requirements("test")} - product
    assert not test_only & versions(PRODUCT).keys()
