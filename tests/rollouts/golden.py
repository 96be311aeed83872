"""What is said of every recording, as text that people can read: a line a rollout where something of it changes.

    python -m tests.rollouts.golden [--write]

prints the texts, or writes them into golden/, where a test holds them. Lines with # are what was done to the cluster.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections import Counter, deque
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from tests.recorded import Recordings, unpack

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from exporter.metrics import MetricFamily, MetricsSnapshot
    from exporter.rollouts.model import Rollout

TEXTS: Final = Path(__file__).parent / "golden"
Key = tuple[str, str]
Told = dict[str, dict[str, float]]
"""Family → values of the other labels → value."""


def text(recordings: Recordings, name: str) -> str:
    """Tell what is said of one recording, by all its sources."""
    variant = "full" if "full" in recordings.variants(name) else "argo-only"
    ticks = recordings.ticks(name, variant)
    start = ticks[0].timestamp
    deeds = deque((at, what) for at, what in _deeds(recordings.folder / name / "events.jsonl") if at >= start)
    lines = [f"{name}/{variant}: {len(ticks)} frames"]
    for at, line in _lines(recordings, name, variant, start):
        while deeds and deeds[0][0] <= at:
            when, what = deeds.popleft()
            lines.append(f"{when - start:+7.1f} # {what}")
        lines.append(line)
    return "\n".join(lines) + "\n"


def _lines(recordings: Recordings, name: str, variant: str, start: float) -> Iterator[tuple[float, str]]:
    """Yield a time and a line for each rollout of which something changes, and in the end its sums."""
    before: dict[Key, str] = {}
    told: dict[Key, Told] = {}
    for tick, cycle, watch in recordings.play(name, variant):
        told, offset = _told(cycle.families), f"{tick.timestamp - start:+7.1f}"
        known = {rollout.key: rollout for rollout in watch.status.rollouts}
        lines = {key: _line(about, known.get(key), start) for key, about in told.items()}
        for key in sorted(key for key, line in lines.items() if before.get(key) != line):
            yield tick.timestamp, f"{offset} {'/'.join(key)} {lines[key]}"
        before = lines
        yield from ((tick.timestamp, f"{offset} {line}") for line in _endings(cycle))
    yield from ((inf, f"   last {line}") for line in _sums(told))


def _deeds(file: Path) -> Iterator[tuple[float, str]]:
    for line in file.read_text().splitlines():
        event: dict[str, Any] = json.loads(line)
        yield event["unix"], event["what"]


def _told(families: Iterable[MetricFamily]) -> dict[Key, Told]:
    """Sort what the derived series say by rollout."""
    found: dict[Key, Told] = {}
    for family in families:
        if not family.name.startswith("argo_rollouts_"):
            continue
        for series, value in zip(family.series, family.values, strict=True):
            key = (series.label("namespace"), series.label("name"))
            rest = " ".join(text for label, text in series.labels if label not in ("namespace", "name"))
            if all(key):
                found.setdefault(key, {}).setdefault(family.name, {})[rest] = value
    return found


def _line(told: Told, rollout: Rollout | None, start: float) -> str:
    columns = (column(told, rollout, start) for column in COLUMNS)
    return " | ".join(column for column in columns if column)


def _phase(told: Told, _: Rollout | None, start: float) -> str:
    phase = " ".join(phase for phase, one in told.get("argo_rollouts_phase", {}).items() if one) or "?"
    since = told.get("argo_rollouts_phase_start_timestamp_seconds", {}).get("")
    return f"{phase} since {since - start:+.1f}" if since is not None else phase


def _progress(told: Told, rollout: Rollout | None, _: float) -> str:
    moving = told.get("argo_rollouts_update_in_progress")
    standing = f"{rollout.state.update_state} ({rollout.state.evidence})" if rollout else ""
    return f"updating {_counted(moving) if moving else '?'}: {standing}"


def _fraction(told: Told, rollout: Rollout | None, _: float) -> str:
    best = told.get("argo_rollouts_canary_fraction", {}).get("")
    method = rollout.fraction.method if rollout and rollout.fraction else ""
    step = told.get("argo_rollouts_canary_step_index", {}).get("")
    at_step = f" at step {step:g}" if step is not None else ""
    return f"fraction {'?' if best is None else format(best, '.4g')} {method}".rstrip() + at_step


def _pods(told: Told, _: Rollout | None, __: float) -> str:
    ready = told.get("argo_rollouts_pods_ready", {})
    counted = told.get("argo_rollouts_pods", {}).items()
    return "pods " + (" ".join(f"{role} {ready[role]:g}/{count:g}" for role, count in counted if count) or "?")


def _health(told: Told, _: Rollout | None, __: float) -> str:
    return "health " + (" ".join(name for name, one in told.get("argo_rollouts_health", {}).items() if one) or "?")


def _entries(family: str, title: str) -> Callable[[Told, Rollout | None, float], str]:
    def column(told: Told, _: Rollout | None, __: float) -> str:
        counted = _counted({name: value for name, value in told.get(family, {}).items() if value})
        return f"{title} {counted}" if counted else ""

    return column


def _counted(values: dict[str, float]) -> str:
    return " ".join(f"{name} {value:.4g}" for name, value in values.items())


COLUMNS: Final[Sequence[Callable[[Told, Rollout | None, float], str]]] = (
    _phase,
    _progress,
    _fraction,
    _pods,
    _health,
    _entries("argo_rollouts_updates_total", "updates"),
    _entries("argo_rollouts_last_update_duration_seconds", "took"),
    _entries("argo_rollouts_phase_transitions_total", "entered"),
    _entries("argo_rollouts_analysis_runs_total", "analyses"),
    _entries("argo_rollouts_unknown", "unknown"),
)


def _endings(cycle: MetricsSnapshot) -> Iterator[str]:
    """Count the derived series of rollouts that ended, by rollout and family."""
    for key, told in sorted(_told(cycle.stale).items()):
        counted = Counter({family.removeprefix("argo_rollouts_"): len(series) for family, series in told.items()})
        yield f"{'/'.join(key)} ended: {_counted(dict(counted))}"


def _sums(told: dict[Key, Told]) -> Iterator[str]:
    for key in sorted(told):
        paused = told[key].get("argo_rollouts_pause_seconds_total", {}).get("", 0.0)
        yield f"{'/'.join(key)} paused for {paused:.1f} s"


def main() -> None:
    """Print or write the texts."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", action="store_true", help="write them into golden/, to be reviewed as a diff")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        recordings = Recordings(unpack(Path(directory)))
        for name in recordings.names:
            if chosen.write:
                TEXTS.mkdir(exist_ok=True)
                (TEXTS / f"{name}.txt").write_text(text(recordings, name))
            else:
                print(text(recordings, name))


if __name__ == "__main__":
    main()
