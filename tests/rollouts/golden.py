"""The derived series of every recording as a readable text: a line for a rollout when something about it changes.

    python -m tests.rollouts.golden [--write]

prints the texts, or writes them into golden/, where a test compares them. Lines with # are actions on the cluster.
"""

from __future__ import annotations

from collections import Counter
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tests.golden_texts import ActionLines, print_or_write

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from exporter.metrics import MetricFamily, MetricsSnapshot
    from exporter.rollouts.model import Rollout
    from tests.recorded import Recordings

GOLDEN_FOLDER: Final = Path(__file__).parent / "golden"
Key = tuple[str, str]
SeriesOfRollout = dict[str, dict[str, float]]
"""Family → values of the other labels → value."""


def golden_text(recordings: Recordings, name: str) -> str:
    """Return the text of one recording, with all its sources."""
    variant = "full" if "full" in recordings.variants(name) else "argo-only"
    ticks = recordings.ticks(name, variant)
    start = ticks[0].timestamp
    actions = ActionLines(recordings, name, start)
    lines = [f"{name}/{variant}: {len(ticks)} frames"]
    for timestamp, line in _lines(recordings, name, variant, start):
        lines += [*actions.until(timestamp), line]
    return "\n".join(lines) + "\n"


def _lines(recordings: Recordings, name: str, variant: str, start: float) -> Iterator[tuple[float, str]]:
    """Yield time and line of each change of a rollout, and sums at the end."""
    previous: dict[Key, str] = {}
    rollouts: dict[Key, SeriesOfRollout] = {}
    for tick, snapshot, tracker in recordings.play(name, variant):
        rollouts, offset = _by_rollout(snapshot.families), f"{tick.timestamp - start:+7.1f}"
        tracked = {rollout.key: rollout for rollout in tracker.status.rollouts}
        lines = {key: _line(series, tracked.get(key), start) for key, series in rollouts.items()}
        for key in sorted(key for key, line in lines.items() if previous.get(key) != line):
            yield tick.timestamp, f"{offset} {'/'.join(key)} {lines[key]}"
        previous = lines
        yield from ((tick.timestamp, f"{offset} {line}") for line in _stale_lines(snapshot))
    yield from ((inf, f"   last {line}") for line in _sums(rollouts))


def _by_rollout(families: Iterable[MetricFamily]) -> dict[Key, SeriesOfRollout]:
    """Group the derived series by rollout."""
    rollouts: dict[Key, SeriesOfRollout] = {}
    for family in families:
        if not family.name.startswith("argo_rollouts_"):
            continue
        for series, value in zip(family.series, family.values, strict=True):
            key = (series.label("namespace"), series.label("name"))
            rest = " ".join(text for label, text in series.labels if label not in ("namespace", "name"))
            if all(key):
                rollouts.setdefault(key, {}).setdefault(family.name, {})[rest] = value
    return rollouts


def _line(series: SeriesOfRollout, rollout: Rollout | None, start: float) -> str:
    columns = (column(series, rollout, start) for column in COLUMNS)
    return " | ".join(column for column in columns if column)


def _phase(series: SeriesOfRollout, _: Rollout | None, start: float) -> str:
    phase = " ".join(phase for phase, value in series.get("argo_rollouts_phase", {}).items() if value) or "?"
    since = series.get("argo_rollouts_phase_start_timestamp_seconds", {}).get("")
    return f"{phase} since {since - start:+.1f}" if since is not None else phase


def _progress(series: SeriesOfRollout, rollout: Rollout | None, _: float) -> str:
    in_progress = series.get("argo_rollouts_update_in_progress")
    state = f"{rollout.state.update_state} ({rollout.state.evidence})" if rollout else ""
    return f"updating {_counted(in_progress) if in_progress else '?'}: {state}"


def _fraction(series: SeriesOfRollout, rollout: Rollout | None, _: float) -> str:
    best = series.get("argo_rollouts_canary_fraction", {}).get("")
    method = rollout.fraction.method if rollout and rollout.fraction else ""
    step = series.get("argo_rollouts_canary_step_index", {}).get("")
    at_step = f" at step {step:g}" if step is not None else ""
    return f"fraction {'?' if best is None else format(best, '.4g')} {method}".rstrip() + at_step


def _pods(series: SeriesOfRollout, _: Rollout | None, __: float) -> str:
    ready = series.get("argo_rollouts_pods_ready", {})
    counts = series.get("argo_rollouts_pods", {}).items()
    return "pods " + (" ".join(f"{role} {ready[role]:g}/{count:g}" for role, count in counts if count) or "?")


def _health(series: SeriesOfRollout, _: Rollout | None, __: float) -> str:
    return "health " + (
        " ".join(name for name, value in series.get("argo_rollouts_health", {}).items() if value) or "?"
    )


def _counts_column(family: str, title: str) -> Callable[[SeriesOfRollout, Rollout | None, float], str]:
    def column(series: SeriesOfRollout, _: Rollout | None, __: float) -> str:
        counted = _counted({name: value for name, value in series.get(family, {}).items() if value})
        return f"{title} {counted}" if counted else ""

    return column


def _counted(values: dict[str, float]) -> str:
    return " ".join(f"{name} {value:.4g}" for name, value in values.items())


COLUMNS: Final[Sequence[Callable[[SeriesOfRollout, Rollout | None, float], str]]] = (
    _phase,
    _progress,
    _fraction,
    _pods,
    _health,
    _counts_column("argo_rollouts_updates_total", "updates"),
    _counts_column("argo_rollouts_last_update_duration_seconds", "took"),
    _counts_column("argo_rollouts_phase_transitions_total", "entered"),
    _counts_column("argo_rollouts_analysis_runs_total", "analyses"),
    _counts_column("argo_rollouts_unknown", "unknown"),
)


def _stale_lines(snapshot: MetricsSnapshot) -> Iterator[str]:
    """Count the derived series that go stale, by rollout and family."""
    for key, families in sorted(_by_rollout(snapshot.stale).items()):
        counts = Counter({name.removeprefix("argo_rollouts_"): len(series) for name, series in families.items()})
        yield f"{'/'.join(key)} ended: {_counted(dict(counts))}"


def _sums(rollouts: dict[Key, SeriesOfRollout]) -> Iterator[str]:
    for key in sorted(rollouts):
        paused = rollouts[key].get("argo_rollouts_pause_seconds_total", {}).get("", 0.0)
        yield f"{'/'.join(key)} paused for {paused:.1f} s"


if __name__ == "__main__":
    print_or_write(__doc__, GOLDEN_FOLDER, golden_text)
