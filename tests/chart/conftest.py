"""helm, and the chart as it renders for each example."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

import pytest

from tests.chart.helm import documents, rendered, values, with_own_files

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

Manifests = list[dict[str, Any]]


@pytest.fixture(scope="session")
def helm(require_program: Callable[[str], str]) -> str:
    """Skip where helm is missing, and fail there in CI."""
    return require_program("helm")


@pytest.fixture(scope="session")
def manifests(require_program: Callable[[str], str]) -> Callable[[str], Manifests]:
    """What an example of values renders to, each rendered once."""
    require_program("helm")
    return cache(lambda example: documents(rendered(*values(example))))


@pytest.fixture(scope="session")
def chart_with_own_files(require_program: Callable[[str], str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    require_program("helm")
    return with_own_files(tmp_path_factory.mktemp("chart"))
