"""`python -m tests.release --tag v1.2.3 --output dist` builds what a release publishes beside the image.

In the directory: wheel and sdist, the chart, archives of dashboards, rules and gates, and `notes.md`, the section of
the changelog. It ends with an error if the tag is not the version of the package, or the changelog has no such section.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import Final

from exporter import __version__

ROOT: Final = Path(__file__).parents[1]
CHART: Final = ROOT / "charts" / "rollouts-exporter"
ARCHIVES: Final = ("dashboards", "rules", "gates")
"""Folders of the chart that are of use without it."""
REPOSITORY: Final = "rollouts-exporter/rollouts-exporter"
"""The repository that the chart names; GITHUB_REPOSITORY of a release replaces it."""
_EPOCH: Final = (1980, 1, 1, 0, 0, 0)
"""The time of every file in an archive, the first that zip has: equal trees give equal archives."""


class ReleaseError(Exception):
    """Tag, version and changelog do not fit; the message names the file to change."""


def check_tag(tag: str) -> str:
    """Return the version of a tag. Raises ReleaseError."""
    if tag != f"v{__version__}":
        raise ReleaseError(f"the tag {tag} is not v{__version__}: set __version__ in exporter/__init__.py")
    return __version__


def notes(changelog: str, version: str) -> str:
    """Return the section of a version without its heading. Raises ReleaseError."""
    match = re.search(rf"^## \[{re.escape(version)}\][^\n]*\n(.*?)(?=^## \[|\Z)", changelog, re.MULTILINE | re.DOTALL)
    if match is None or not match[1].strip():
        raise ReleaseError(f"CHANGELOG.md has no section [{version}]: rename [Unreleased]")
    return f"{match[1].strip()}\n"


def write_archive(folder: Path, path: Path) -> None:
    """Write a zip archive of a folder's files."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in sorted(folder.rglob("*")):
            if file.is_file():
                name = zipfile.ZipInfo(str(file.relative_to(folder.parent)), _EPOCH)
                archive.writestr(name, file.read_bytes(), zipfile.ZIP_DEFLATED)


def build_packages(output: Path) -> None:
    """Build wheel, sdist, chart and archives into a directory, with the tools of this environment."""
    output.mkdir(parents=True, exist_ok=True)
    _run(sys.executable, "-m", "build", "--no-isolation", "--outdir", output, ROOT)
    package_chart(output, os.environ.get("GITHUB_REPOSITORY", REPOSITORY))
    for name in ARCHIVES:
        write_archive(CHART / name, output / f"{name}.zip")


def package_chart(output: Path, repository: str) -> None:
    """Package the chart of a repository, with the image that its release publishes as the default."""
    with tempfile.TemporaryDirectory() as folder:
        chart = Path(folder) / CHART.name
        shutil.copytree(CHART, chart)
        _replace(chart / "Chart.yaml", f"ghcr.io/{REPOSITORY}", f"ghcr.io/{repository.lower()}")
        _replace(chart / "Chart.yaml", REPOSITORY, repository)
        image = f"  repository: ghcr.io/{repository.lower()}\n"
        _replace(chart / "values.yaml", "  repository: rollouts-exporter\n", image)
        _run("helm", "package", chart, "--destination", output)


def _replace(file: Path, old: str, new: str) -> None:
    file.write_text(file.read_text().replace(old, new))


def _run(*command: str | Path) -> None:
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def main() -> None:
    """Build the release of a tag."""
    parser = argparse.ArgumentParser(prog="python -m tests.release")
    parser.add_argument("--tag", required=True)
    parser.add_argument("--output", required=True, type=Path)
    options = parser.parse_args()
    try:
        text = notes((ROOT / "CHANGELOG.md").read_text(), check_tag(options.tag))
    except ReleaseError as error:
        sys.exit(str(error))
    build_packages(options.output)
    (options.output / "notes.md").write_text(text)


if __name__ == "__main__":
    main()
