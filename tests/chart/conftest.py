"""Fixtures: helm, and the manifests of each example."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

import pytest

from tests.chart.helm import copy_with_small_files, documents, render, values_arguments

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

Manifests = list[dict[str, Any]]


@pytest.fixture(scope="session")
def helm(require_program: Callable[[str], str]) -> str:
    """Skip the test if helm is missing; fail it in CI."""
    return require_program("helm")


@pytest.fixture(scope="session")
def manifests(require_program: Callable[[str], str]) -> Callable[[str], Manifests]:
    """Return the manifests of an example of values; each is rendered once."""
    require_program("helm")
    return cache(lambda example: documents(render(*values_arguments(example))))


@pytest.fixture(scope="session")
def chart_with_small_files(require_program: Callable[[str], str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    require_program("helm")
    return copy_with_small_files(tmp_path_factory.mktemp("chart"))
