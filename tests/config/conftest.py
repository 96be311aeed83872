"""What the tests of the configuration share: writing a file, and loading it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import pytest

from exporter.config import ConfigError, LoadedConfig, load

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


class Load(Protocol):
    """Loads the text of a file (None: no file), with an environment and overrides."""

    def __call__(
        self,
        text: str | bytes | None = None,
        environment: Mapping[str, str] | None = None,
        overrides: Mapping[str, object] | None = None,
        name: str = "x.yaml",
    ) -> LoadedConfig: ...


class Faults(Protocol):
    """Loads likewise, and returns the faults as text, without the folder of the file."""

    def __call__(
        self,
        text: str | bytes | None = None,
        environment: Mapping[str, str] | None = None,
        overrides: Mapping[str, object] | None = None,
        name: str = "x.yaml",
    ) -> list[str]: ...


@pytest.fixture
def loaded(tmp_path: Path) -> Load:
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
def faults(loaded: Load, tmp_path: Path) -> Faults:
    def read(
        text: str | bytes | None = None,
        environment: Mapping[str, str] | None = None,
        overrides: Mapping[str, object] | None = None,
        name: str = "x.yaml",
    ) -> list[str]:
        with pytest.raises(ConfigError) as caught:
            loaded(text, environment, overrides, name)
        assert str(caught.value).splitlines() == [str(fault) for fault in caught.value.issues]
        return [str(fault).replace(f"{tmp_path}/", "") for fault in caught.value.issues]

    return read
