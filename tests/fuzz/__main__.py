"""`python -m tests.fuzz [--minutes N] [--seed S] [TARGET …]`: fuzz, and write what is found into a folder."""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from tests.fuzz.runner import child, run, save
from tests.fuzz.targets import TARGETS


def main() -> int:
    """Fuzz the targets one after the other; return 1 if anything was found."""
    if sys.argv[1:2] == ["--child"]:
        name, seed, seconds, count, current = sys.argv[2:]
        child(name, int(seed), float(seconds), int(count) or None, Path(current))
        return 0
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=", ".join(target.name for target in TARGETS))
    parser.add_argument("--minutes", type=float, default=1.0, help="for all targets together; default: 1")
    parser.add_argument("--seed", type=int, default=1, help="another seed gives other inputs")
    parser.add_argument("--folder", type=Path, default=None, help="for findings; default: a temporary one")
    options = parser.parse_args()
    targets = [target for target in TARGETS if not options.targets or target.name in options.targets]
    if not targets:
        parser.error(f"no such target; use {', '.join(target.name for target in TARGETS)}")
    folder = options.folder or Path(tempfile.mkdtemp(prefix="fuzz-"))
    folder.mkdir(parents=True, exist_ok=True)
    finding_count = 0
    for target in targets:
        findings = run(target, options.seed, options.minutes * 60 / len(targets), None, folder)
        finding_count += len(findings)
        print(f"{target.name}: {len(findings)} findings")
        for finding in findings:
            print(f"  {finding.key}: {save(finding, folder)} ({len(finding.content)} bytes, seed {finding.seed})")
    return int(finding_count > 0)


if __name__ == "__main__":
    sys.exit(main())
