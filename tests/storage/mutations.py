"""Take a mechanism of durability out of a copy of the exporter, and see a suite go red.

python -m tests.storage.mutations [NAME ...]: prints a line for each mutation, and exits 1 if a suite stays green.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from tests.storage.shim import ROOT, build


@dataclass(frozen=True, slots=True)
class Mutation:
    """Text of a module of storage that is replaced, and the arguments of the suite that must fail."""

    module: str
    old: str
    new: str
    suite: str


CRASH = "tests.storage.crash"
POWER = f"{CRASH} power --stride 6"
KILLS = f"{CRASH} kills --stride 2"
UNIT = "pytest -qx -p no:cacheprovider tests/storage/test_storage.py tests/storage/test_salvage.py"
APPLY = "            self._apply(batch, inserts, ledger)\n"
WRITE_LEDGER = "            self._write_ledger(ledger)\n"
TRANSACTION = """    connection.execute(schema.BEGIN)
    try:
        yield
        connection.execute(schema.COMMIT)
"""
MUTATIONS = {
    "a commit is synced (always)": Mutation("schema", "synchronous = FULL", "synchronous = NORMAL", POWER),
    "an acknowledgement is synced (always)": Mutation("disk", "ledger_file.sync()", "stored_ledger()", POWER),
    "the WAL is synced (interval)": Mutation(
        "flusher", "_sync(self._directory / WAL_FILE)", "pass", f"{POWER} --fsync interval"
    ),
    "a checkpoint is synced": Mutation(
        "flusher", "schema.SYNCHRONOUS[self._fsync]", "schema.SYNCHRONOUS['never']", POWER
    ),
    "a commit is a transaction": Mutation("database", TRANSACTION, "    try:\n        yield\n", KILLS),
    "the ledger follows the commit": Mutation("disk", APPLY + WRITE_LEDGER, WRITE_LEDGER + APPLY, KILLS),
    "an acknowledgement is in the ledger": Mutation("disk", f"else:\n{WRITE_LEDGER}", "else:\n", KILLS),
    "what is done is not adopted": Mutation("disk", "if head.id >= ledger.head]", "]", KILLS),
    "messages are committed with their cycle": Mutation("disk", "_apply_messages(connection, batch)", "pass", KILLS),
    "a finished message is removed": Mutation("disk", "for number in batch.finished", "for number in ()", KILLS),
    "counts are marked while the disk hangs": Mutation("writer", "target=self._mark_incomplete", "target=int", UNIT),
    "a salvaged file is synced": Mutation(
        "salvage",
        "target.execute(schema.BEGIN)",
        "target.execute('PRAGMA synchronous = OFF'); target.execute(schema.BEGIN)",
        POWER,
    ),
    "a failing read is no damage": Mutation(
        "disk", "damaged = self._suspicions > 1", "damaged = True", f"{CRASH} errors --stride 5"
    ),
    "rows have a checksum": Mutation("schema", "return row[-1] == checksum(*row[:-1])", "return True", UNIT),
}


def is_red(mutation: Mutation, directory: Path, environment: dict[str, str]) -> bool:
    """Apply a mutation to a copy of the tree, run its suite there, and return whether that fails."""
    for part in ("exporter", "tests"):
        shutil.copytree(ROOT / part, directory / part, ignore=shutil.ignore_patterns("__pycache__", "recordings"))
    shutil.copy(ROOT / "pyproject.toml", directory)
    path = directory / "exporter/storage" / f"{mutation.module}.py"
    source = path.read_text()
    assert mutation.old in source, mutation
    path.write_text(source.replace(mutation.old, mutation.new))
    command = [sys.executable, "-m", *mutation.suite.split()]
    return subprocess.run(command, cwd=directory, env=environment, capture_output=True, check=False).returncode != 0


def main() -> int:
    names = sys.argv[1:] or list(MUTATIONS)
    green = 0
    with tempfile.TemporaryDirectory() as root:
        environment = {**os.environ, "LD_PRELOAD": str(build(Path(root)))}
        for number, name in enumerate(names):
            red = is_red(MUTATIONS[name], Path(root) / str(number), environment)
            green += not red
            print(f"without {name!r}: {'red' if red else 'STILL GREEN'} ({MUTATIONS[name].suite})", flush=True)
    return bool(green)


if __name__ == "__main__":
    sys.exit(main())
