"""Fixtures that write a configuration file and load it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import pytest

from exporter.config import ConfigError, LoadedConfig, load

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

T_co = TypeVar("T_co", covariant=True)


class Load(Protocol[T_co]):
    """Load the text of a file (None: no file) with an environment and overrides."""

    def __call__(
        self,
        text: str | bytes | None = None,
        environment: Mapping[str, str] | None = None,
        overrides: Mapping[str, object] | None = None,
        name: str = "x.yaml",
    ) -> T_co: ...


LoadConfig = Load[LoadedConfig]
LoadIssues = Load[list[str]]


@pytest.fixture
def load_config(tmp_path: Path) -> LoadConfig:
    def read(
        text: str | bytes | None = None,
        environment: Mapping[str, str] | None = None,
        overrides: Mapping[str, object] | None = None,
        name: str = "x.yaml",
    ) -> LoadedConfig:
        file = None
        if text is not None:
            file = tmp_path / name
            file.write_bytes(text if isinstance(text, bytes) else text.encode())
        return load(file, environment or {}, overrides)

    return read


@pytest.fixture
def load_issues(load_config: LoadConfig, tmp_path: Path) -> LoadIssues:
    """Load an invalid configuration and return its issues as text, without the directory of the file."""

    def read(*arguments: Any, **more: Any) -> list[str]:
        with pytest.raises(ConfigError) as caught:
            load_config(*arguments, **more)
        assert str(caught.value).splitlines() == [str(issue) for issue in caught.value.issues]
        return [str(issue).replace(f"{tmp_path}/", "") for issue in caught.value.issues]

    return read
