"""`python -m tests.locks` writes both lock files from pyproject.toml, with the versions that they already hold.

`requirements.lock` has what the exporter needs to run, and setuptools for the build of the image;
`.requirements-test.lock` has all of it in the same versions, and what the tests need.
`python -m tests.locks --upgrade` takes the newest versions.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[1]
PRODUCT: Final = ROOT / "requirements.lock"
TESTS: Final = ROOT / ".requirements-test.lock"
EXTRAS: Final = {PRODUCT: ("build",), TESTS: ("build", "pictures", "test")}
"""The extras of pyproject.toml in each lock file."""
_COMPILE: Final = (
    *("uv", "pip", "compile", "pyproject.toml", "--quiet", "--universal", "--python-version", "3.11"),
    *("--generate-hashes", "--no-header", "--no-annotate", "--only-binary", ":all:"),
    "--no-strip-extras",  # pip refuses coverage[toml] by hash where the file has coverage alone
)
_PIN: Final = re.compile(r"^([a-z0-9._-]+)(?:\[[^]]*\])?==([^\s;]+)", re.MULTILINE)


def versions(path: Path) -> dict[str, str]:
    """Return the versions in a lock file by the normalised name of the package."""
    return {name.replace("_", "-").replace(".", "-"): version for name, version in _PIN.findall(path.read_text())}


def main(options: list[str]) -> None:
    """Write both files, the product's first: the tests take its versions."""
    program = Path(sys.executable).with_name(_COMPILE[0])
    for path, extras in EXTRAS.items():
        chosen = [word for extra in extras for word in ("--extra", extra)]
        constraint = [] if path == PRODUCT else ["--constraint", PRODUCT.name]
        command: list[str | Path] = [program, *_COMPILE[1:], *chosen, *constraint, *options, "--output-file", path.name]
        subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)


if __name__ == "__main__":
    main(sys.argv[1:])
