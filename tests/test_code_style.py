"""Style, layout, types and import layers of the repository, checked by their tools."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
TOOLS = {
    "style": ("ruff", "check"),
    "layout": ("ruff", "format", "--check"),
    "types": ("mypy",),
    "layers": ("lint-imports",),
}


@pytest.mark.slow
@pytest.mark.parametrize("tool", TOOLS)
def test_style_layout_types_and_layers(tool: str) -> None:
    name, *arguments = TOOLS[tool]
    program = shutil.which(name, path=f"{Path(sys.executable).parent}")
    assert program is not None, f"{name} is not installed; install the extra `test`"
    result = subprocess.run([program, *arguments], cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr


def test_top_level_files_are_listed() -> None:
    allowed = {"CHANGELOG.md", "Dockerfile", "LICENSE", "README.md", "charts", "exporter", "pyproject.toml", "tests"}
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode:
        pytest.skip("not a git checkout")
    names = {line.partition("/")[0] for line in listed.stdout.splitlines()}
    assert {name for name in names if not name.startswith(".")} <= allowed | {"requirements.lock"}
