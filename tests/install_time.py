"""Times the two commands of the README in bare directories: `python -m tests.install_time --write`.

Each runs as written, in a copy of the committed tree, with an empty cache of pip; the second without the tests
themselves, unless `--tests` is given. It prints the table of the README. With `--write` the figures are kept in
`install_time.json`, from which `python -m tests.readme --write` makes the table.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[1]
FIGURES: Final = Path(__file__).with_name("install_time.json")
_COMMAND: Final = re.compile(r"^```sh\n(python3 -m venv [^\n]*)\n```", re.MULTILINE)
_PYTEST: Final = " && .venv/bin/pytest"
_PURPOSES: Final = ("install, and a minute of demo", "install the tools of the tests")
_MB: Final = 1_000_000


def readme_commands() -> list[str]:
    """Return the two commands of the README."""
    return _COMMAND.findall((ROOT / "README.md").read_text())


def measure(command: str) -> dict[str, int]:
    """Run a command in a new copy of the committed tree; return its seconds and the MB that it leaves behind."""
    with tempfile.TemporaryDirectory() as directory:
        archive = subprocess.run(["git", "archive", "HEAD"], cwd=ROOT, capture_output=True, check=True).stdout
        subprocess.run(["tar", "-x", "-C", directory], input=archive, check=True)
        started = time.monotonic()
        environment = {**os.environ, "PIP_NO_CACHE_DIR": "1"}
        environment.pop("PYTHONPATH", None)  # it would be this tree, not the copy
        subprocess.run(["bash", "-ec", command], cwd=directory, env=environment, check=True)
        seconds = round(time.monotonic() - started)
        files = (path.lstat().st_size for path in (Path(directory) / ".venv").rglob("*") if not path.is_dir())
        return {"seconds": seconds, "megabytes": round(sum(files) / _MB)}


def install_table() -> str:
    """Return the figures as a Markdown table."""
    rows = [f"| {purpose} | {each['seconds']} s | {each['megabytes']} MB |" for purpose, each in _figures().items()]
    return "\n".join(("| command | time on 2 cores | size |", "|---|---|---|", *rows))


def _figures() -> dict[str, dict[str, int]]:
    figures: dict[str, dict[str, int]] = json.loads(FIGURES.read_text())
    return figures


def main() -> None:
    """Measure, and print or write the figures."""
    parser = argparse.ArgumentParser(prog="python -m tests.install_time")
    parser.add_argument("--tests", action="store_true", help="run the tests, too")
    parser.add_argument("--write", action="store_true", help=f"write {FIGURES.name}")
    options = parser.parse_args()
    commands = [text if options.tests else text.removesuffix(_PYTEST) for text in readme_commands()]
    figures = dict(zip(_PURPOSES, map(measure, commands), strict=True))
    if options.write:
        FIGURES.write_text(f"{json.dumps(figures, indent=2)}\n")
    print(json.dumps(figures, indent=2))


if __name__ == "__main__":
    main()
