"""What a tag publishes: built here with the same commands, checked, and used as its user would."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

from exporter import __version__
from tests.release import CHART, ROOT, ReleaseError, build_packages, check_tag, notes

WORKFLOWS: Final = ROOT / ".github" / "workflows"
TOOLS: Final = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"], str(Path.home() / "go" / "bin")])

WHEEL_COMMANDS: Final = (
    ("demo", "--for", "5s"), ("gate", "lint", "TEMPLATE"), ("series",), ("manual",), ("manual", "gate-lint/empty"),
    ("config", "--example"), ("--help",),
)  # fmt: skip


def tool(name: str) -> str:
    program = shutil.which(name, path=TOOLS)
    if program is None:
        assert os.environ.get("CI") != "true", f"{name} is installed by .ci/run"
        pytest.skip(f"{name} is not installed")
    return program


def run(*command: str | Path, cwd: Path = ROOT) -> str:
    result = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False, timeout=300)
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    tool("helm")
    output = tmp_path_factory.mktemp("dist")
    source = tmp_path_factory.mktemp("source") / "tree"
    shutil.copytree(ROOT, source, ignore=shutil.ignore_patterns(".*", "build", "tests", "__pycache__", "*.egg-info"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", TOOLS)
        patch.setattr("tests.release.ROOT", source)
        build_packages(output)
    return output


@pytest.fixture(scope="module")
def wheel(packages: Path) -> Path:
    (path,) = packages.glob("*.whl")
    return path


def test_only_the_tag_of_the_version_is_released() -> None:
    assert check_tag(f"v{__version__}") == __version__
    with pytest.raises(ReleaseError, match=r"exporter/__init__\.py"):
        check_tag("v0.0.9")


def test_the_notes_are_the_section_of_the_changelog() -> None:
    text = "# Changelog\n\n## [Unreleased]\n\n## [1.2.0] - 2026-12-01\n\n### Added\n- A.\n\n## [1.1.0]\n- B.\n"
    assert notes(text, "1.2.0") == "### Added\n- A.\n"
    assert notes(text, "1.1.0") == "- B.\n"
    with pytest.raises(ReleaseError, match=r"rename \[Unreleased\]"):
        notes(text, "1.3.0")


def test_chart_image_and_package_have_one_version() -> None:
    chart = (CHART / "Chart.yaml").read_text()
    assert re.findall(r"^(?:version|appVersion): \"?([0-9.]+)", chart, re.MULTILINE) == [__version__] * 2
    assert f'image.version="{__version__}"' in (ROOT / "Dockerfile").read_text()


def test_actionlint_accepts_the_workflows() -> None:
    run(tool("actionlint"), *sorted(WORKFLOWS.glob("*.yml")))


def test_zizmor_finds_nothing_in_workflows_and_actions() -> None:
    run(tool("zizmor"), "--offline", "--quiet", ".github")


def test_every_action_is_pinned_by_commit_with_its_version() -> None:
    lines = [
        line.strip()
        for path in sorted((ROOT / ".github").rglob("*.yml"))
        for line in path.read_text().splitlines()
        if re.match(r"\s*(- )?uses: (?!\./)", line)
    ]
    assert lines
    assert not [line for line in lines if not re.fullmatch(r"(- )?uses: \S+@[0-9a-f]{40} # v[0-9.]+", line)]


@pytest.mark.slow
def test_the_index_accepts_wheel_and_sdist(packages: Path) -> None:
    (sdist,) = packages.glob("rollouts_exporter-*.tar.gz")
    run(tool("twine"), "check", "--strict", *packages.glob("*.whl"), sdist)


@pytest.mark.slow
def test_the_wheel_has_the_package_and_nothing_else(wheel: Path) -> None:
    run(tool("check-wheel-contents"), "--toplevel", "exporter", wheel)


@pytest.mark.slow
def test_the_archives_hold_dashboards_rules_and_gates(packages: Path) -> None:
    names = {path.name for path in packages.iterdir()}
    assert {"dashboards.zip", "rules.zip", "gates.zip", f"rollouts-exporter-{__version__}.tgz"} <= names


@pytest.mark.slow
def test_the_wheel_alone_runs_its_commands(wheel: Path, tmp_path: Path) -> None:
    """Without the source tree: what a command reads at run time is in the wheel."""
    target = tmp_path / "site"
    run(sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--target", target, wheel)
    template = min((CHART / "gates").glob("*.yaml"))
    for arguments in WHEEL_COMMANDS:
        words = [str(template) if word == "TEMPLATE" else word for word in arguments]
        script = "import sys; sys.path.insert(0, sys.argv.pop(1)); from exporter.cli import main; main()"
        run(sys.executable, "-P", "-c", script, target, *words, cwd=tmp_path)
