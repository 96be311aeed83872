"""Runs a target on mutated inputs in a process of its own, so that a crash, a hang and lost memory are findings."""

from __future__ import annotations

import hashlib
import itertools
import json
import resource
import signal
import subprocess
import sys
import time
import traceback
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Final

from tests.fuzz.mutation import Mutator
from tests.fuzz.targets import TARGETS, Target, past_inputs

if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_MEMORY: Final = 3 * 1024**3
"""Bytes of address space: a bomb of some KB that takes more is a finding (MemoryError)."""
MAX_GROWTH: Final = 512 * 1024**2
"""Bytes of memory by which the peak may grow with one input."""
HANG_SECONDS: Final = 30.0
"""Seconds of one input after which the process is ended: not all C and Rust code lets a signal through."""
_SHRINK_SECONDS: Final = 10.0
ROOT: Final = Path(__file__).parent.parent.parent


class TooSlowError(Exception):
    """An input takes longer than the target allows."""


@dataclass(frozen=True, slots=True)
class Finding:
    """A broken law: the target, the kind and place of the error, its text, and the smallest input that was found."""

    target: str
    key: str
    text: str
    content: bytes
    seed: str


@contextmanager
def _time_limit(seconds: float) -> Iterator[None]:
    """Stop what takes more CPU time, which a busy machine does not stretch."""

    def stop(*_: object) -> None:
        raise TooSlowError(f"longer than {seconds:g} s")

    signal.signal(signal.SIGPROF, stop)
    signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)


def failure(target: Target, content: bytes, seed: str) -> tuple[str, str] | None:
    """Return the key and the text of the law that an input breaks, None if it breaks none."""
    peak = _peak_bytes()
    try:
        with _time_limit(target.seconds):
            target.check(content, Random(seed))
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:  # noqa: BLE001 - any exception is a finding, also a panic of Rust
        frames = traceback.extract_tb(error.__traceback__)
        ours = [frame for frame in frames if "/exporter/" in frame.filename] or list(frames)
        detail = (
            str(error)[:40] if type(error).__name__ == "LawError" else f"{Path(ours[-1].filename).name}:{ours[-1].name}"
        )
        return f"{type(error).__name__} {detail}", "".join(traceback.format_exception(error))[-3000:]
    growth = _peak_bytes() - peak
    return ("memory", f"{growth} bytes") if growth > MAX_GROWTH else None


def _peak_bytes() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def inputs(target: Target, seed: int) -> Iterator[tuple[str, bytes]]:
    """Yield the corpus, then mutated inputs without an end, each with its seed."""
    corpus = [*past_inputs(target.name), *target.corpus()]
    for number, content in enumerate(corpus):
        yield f"corpus {number}", content
    words = target.words()
    for number in itertools.count():
        name = f"{seed} {target.name} {number}"
        random = Random(name)
        yield name, Mutator(random, words).mutate(random.choice(corpus), random.choice(corpus))


def shrink(target: Target, content: bytes, seed: str, key: str, current: Path) -> bytes:
    """Return a smaller input that breaks the same law, as far as one gets in some seconds."""
    size = len(content) // 2
    end = time.monotonic() + _SHRINK_SECONDS
    while time.monotonic() < end:
        current.touch()
        for start in range(0, len(content), max(size, 1)):
            smaller = content[:start] + content[start + size :]
            if time.monotonic() > end:
                return content
            if smaller != content and (failure(target, smaller, seed) or ("",))[0] == key:
                content = smaller
                break
        else:
            if size <= 1:
                break
            size //= 2
    return content


def run_here(target: Target, seed: int, seconds: float, count: int | None, current: Path) -> Iterator[Finding]:
    """Yield the findings of a target, one of each kind, until a time is over or `count` mutated inputs are checked.

    The input in progress is in the file `current`.
    """
    resource.setrlimit(resource.RLIMIT_AS, (MAX_MEMORY, MAX_MEMORY))
    reported_keys: set[str] = set()
    end = time.monotonic() + seconds
    corpus_size = len(target.corpus()) + len(past_inputs(target.name))
    limit = None if count is None else corpus_size + count
    for name, content in itertools.islice(inputs(target, seed), limit):
        if time.monotonic() > end:
            return
        current.write_bytes(content)
        broken = failure(target, content, name)
        if broken is not None and broken[0] not in reported_keys:
            reported_keys.add(broken[0])
            yield Finding(target.name, *broken, shrink(target, content, name, broken[0], current), name)


def child(target_name: str, seed: int, seconds: float, count: int | None, current: Path) -> None:
    """Print the findings of a target as JSON, one a line: the body of the process that `run` starts."""
    (target,) = (target for target in TARGETS if target.name == target_name)
    for finding in run_here(target, seed, seconds, count, current):
        row = {"key": finding.key, "text": finding.text, "content": finding.content.hex(), "seed": finding.seed}
        print(json.dumps(row), flush=True)


def run(target: Target, seed: int, seconds: float, count: int | None, folder: Path) -> list[Finding]:
    """Run a target in a process of its own; return the findings, also that it crashed or hung."""
    current = folder / f"current-{target.name}"
    current.write_bytes(b"")
    arguments = [target.name, str(seed), str(seconds), str(count or 0), str(current)]
    output, errors = folder / f"output-{target.name}", folder / f"errors-{target.name}"
    with output.open("w") as stdout, errors.open("w") as stderr:
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.fuzz", "--child", *arguments], cwd=ROOT, stdout=stdout, stderr=stderr
        )
        hung = _wait(process, current, HANG_SECONDS + target.seconds)
    findings: list[Finding] = []
    for line in output.read_text().splitlines():
        row = json.loads(line)
        findings.append(Finding(target.name, row["key"], row["text"], bytes.fromhex(row["content"]), row["seed"]))
    if hung or process.returncode:
        key = "hang" if hung else f"crash {process.returncode}"
        findings.append(Finding(target.name, key, errors.read_text()[-3000:], current.read_bytes(), "?"))
    return findings


def _wait(process: subprocess.Popen[bytes], current: Path, seconds: float) -> bool:
    """Wait for the end of the process; end it, and return True, if one input takes longer than `seconds`."""
    while process.poll() is None:
        with suppress(subprocess.TimeoutExpired):
            process.wait(0.5)
        if time.time() - current.stat().st_mtime > seconds:
            process.kill()
            process.wait()
            return True
    return False


def save(finding: Finding, folder: Path) -> Path:
    """Write the input of a finding, and its text beside it; return the file."""
    digest = hashlib.sha256(finding.key.encode()).hexdigest()[:8]
    file = folder / finding.target / digest
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(finding.content)
    file.with_suffix(".txt").write_text(f"{finding.key}\nseed: {finding.seed}\n{finding.text}\n")
    return file
