"""How often gates decide wrongly, and how soon rightly: `python -m tests.gate.power` prints the tables.

Simulates canaries: a share of the traffic, a look every two minutes for an hour, bad requests drawn per minute from a
Poisson distribution. `--runs`, `--seed` and `--json` change the number, the seed and the output.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict, dataclass
from math import sqrt
from statistics import NormalDist
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from exporter.gate.sequential import SequentialTest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Counts = np.ndarray[Any, np.dtype[np.float64]]

MINUTES: Final = 60
BASELINE_MINUTES: Final = 360
"""How long before the update the bursts are measured, as the rendered gate does."""
LOOK_MINUTES: Final = 2
WEIGHT: Final = 0.10
BAD_SHARE: Final = 0.005
OUTAGE: Final = (slice(20, 25), 0.20)
"""The minutes in which a dependency fails, and the share of requests that fail then, of both revisions."""
TEST: Final = SequentialTest()
SEED, RUNS = 18, 4000


@dataclass(frozen=True, slots=True)
class Case:
    """A kind of canary: requests per second of the service, how many times as bad it is, and disturbances.

    `burst` is the variance of a factor with which the bad requests of each revision and minute are multiplied.
    """

    name: str
    requests: float
    factor: float = 1.0
    burst: float = 0.0
    outage: bool = False


CASES: Final = (
    Case("no difference, 2/s", 2),
    Case("no difference, 20/s", 20),
    Case("no difference, 200/s", 200),
    Case("dependency fails, 20/s", 20, outage=True),
    Case("bursts, no difference, 200/s", 200, burst=1.0),
    Case("twice as bad, 2/s", 2, 2.0),
    Case("twice as bad, 20/s", 20, 2.0),
    Case("twice as bad, 200/s", 200, 2.0),
    Case("bursts, twice as bad, 200/s", 200, 2.0, burst=0.25),
    Case("5 times as bad, 2/s", 2, 5.0),
    Case("5 times as bad, 20/s", 20, 5.0),
)


@dataclass(frozen=True, slots=True)
class Canaries:
    """Simulated canaries, a row each: bad requests per minute of both revisions, and of the stable before it."""

    case: Case
    canary: Counts
    stable: Counts
    before: Counts

    @property
    def canary_requests(self) -> float:
        """Return the requests per minute of the canary."""
        return self.case.requests * 60 * WEIGHT

    @property
    def stable_requests(self) -> float:
        """Return the requests per minute of the stable revision."""
        return self.case.requests * 60 * (1 - WEIGHT)


def simulate(case: Case, runs: int, generator: np.random.Generator) -> Canaries:
    """Draw canaries of a case."""

    def draw(requests: float, factor: float, minutes: int, *, outage: bool = False) -> Counts:
        shares = np.full((runs, minutes), BAD_SHARE * factor)
        if outage:
            shares[:, OUTAGE[0]] = OUTAGE[1]
        if case.burst:
            shares *= generator.gamma(1 / case.burst, case.burst, shares.shape)
        return np.asarray(generator.poisson(requests * np.minimum(shares, 1.0)), dtype=float)

    canary, stable = case.requests * 60 * WEIGHT, case.requests * 60 * (1 - WEIGHT)
    return Canaries(
        case,
        draw(canary, case.factor, MINUTES, outage=case.outage),
        draw(stable, 1.0, MINUTES, outage=case.outage),
        draw(stable, 1.0, BASELINE_MINUTES),
    )


# Gates: the minute at which each canary fails, and at which it passes; infinite for never.

Decision = tuple["Counts", "Counts"]
NEVER: Final = np.inf


def first_look(reached: np.ndarray[Any, np.dtype[np.bool_]], times: int = 1) -> Counts:
    """Return the minute of the look at which a condition holds for the given time."""
    looks = np.cumsum(reached, axis=1) >= times
    return np.where(looks.any(axis=1), (np.argmax(looks, axis=1) + 1.0) * LOOK_MINUTES, NEVER)


def at_looks(minutes: Counts) -> Counts:
    """Return the columns at which a gate measures."""
    return minutes[:, LOOK_MINUTES - 1 :: LOOK_MINUTES]


def trailing(counts: Counts, window: int) -> Counts:
    """Return the sums of the last minutes."""
    total = np.cumsum(counts, axis=1)
    return total - np.pad(total, ((0, 0), (window, 0)))[:, : counts.shape[1]]


def never(canaries: Canaries) -> Counts:
    """Return that no canary passes early."""
    return np.full(len(canaries.canary), NEVER)


def copied_threshold(canaries: Canaries) -> Decision:
    """Fail at the fourth look with 10 % bad requests of all in the last five minutes, as the copied template does."""
    bad = trailing(canaries.canary + canaries.stable, 5)
    return first_look(at_looks(bad) >= 0.10 * 5 * 60 * canaries.case.requests, 4), never(canaries)


def twice_normal(canaries: Canaries) -> Decision:
    """Fail at the first look with twice the normal share in the last five minutes."""
    bad = trailing(canaries.canary, 5)
    return first_look(at_looks(bad) >= 2 * BAD_SHARE * 5 * canaries.canary_requests), never(canaries)


def z_scores(canaries: Canaries) -> Counts:
    """Return the z score of the difference of two shares at every look, of all requests since the start."""
    minutes = np.arange(1, MINUTES + 1)
    canary_n, stable_n = canaries.canary_requests * minutes, canaries.stable_requests * minutes
    canary, stable = np.cumsum(canaries.canary, axis=1), np.cumsum(canaries.stable, axis=1)
    pooled = (canary + stable) / (canary_n + stable_n)
    error = np.sqrt(pooled * (1 - pooled) * (1 / canary_n + 1 / stable_n))
    return at_looks((canary / canary_n - stable / stable_n) / np.where(error, error, np.inf))


def z_at_every_look(canaries: Canaries) -> Decision:
    """Fail at the first look with a one-sided z test at 1 %, as if it were the only look."""
    return first_look(z_scores(canaries) >= NormalDist().inv_cdf(0.99)), never(canaries)


def z_bonferroni(canaries: Canaries) -> Decision:
    """Fail likewise, with 1 % divided by the number of looks."""
    looks = MINUTES // LOOK_MINUTES
    return first_look(z_scores(canaries) >= NormalDist().inv_cdf(1 - 0.01 / looks)), never(canaries)


def kayenta(canaries: Canaries) -> Decision:
    """Judge once after 30 minutes: the lower bound of Mann-Whitney at 0.98 is above a quarter of the estimate."""
    points = 30
    canary = canaries.canary[:, :points] / canaries.canary_requests
    stable = canaries.stable[:, :points] / canaries.stable_requests
    differences = np.sort((canary[:, :, None] - stable[:, None, :]).reshape(len(canary), -1), axis=1)
    spread = NormalDist().inv_cdf(0.99) * sqrt(points * points * (2 * points + 1) / 12)
    lower = differences[:, max(int(points * points / 2 - spread), 0)]
    fails = lower > 0.25 * np.abs(np.median(differences, axis=1))
    return np.where(fails, float(points), NEVER), np.where(fails, NEVER, float(points))


def sequential(canaries: Canaries, *, correct_bursts: bool = True) -> Decision:
    """Fail and pass as the rendered gate does: Wald's evidence, divided by the bursts before the update."""
    per_canary, per_stable = TEST.evidence(1, 0, WEIGHT), TEST.evidence(0, 1, WEIGHT)
    evidence = np.cumsum(canaries.canary * per_canary + canaries.stable * per_stable, axis=1)
    if correct_bursts:
        mean = canaries.before.mean(axis=1)
        burst = np.maximum(1, canaries.before.var(axis=1) / np.where(mean, mean, 1))
        evidence = evidence / burst[:, None]
    enough = at_looks(np.cumsum(canaries.canary + canaries.stable, axis=1)) >= MIN_EVENTS
    looks = at_looks(evidence)
    fails, passes = first_look((looks >= TEST.failure) & enough), first_look((looks <= TEST.success) & enough)
    return np.where(fails < passes, fails, NEVER), np.where(passes < fails, passes, NEVER)


MIN_EVENTS: Final = 10
GATES: Final[dict[str, Callable[[Canaries], Decision]]] = {
    "copied (10 % of all, 4 times)": copied_threshold,
    "twice the normal share, once": twice_normal,
    "z at every look": z_at_every_look,
    "z, Bonferroni": z_bonferroni,
    "Kayenta's rule, one look": kayenta,
    "sequential, bursts ignored": lambda canaries: sequential(canaries, correct_bursts=False),
    "sequential": sequential,
}


@dataclass(frozen=True, slots=True)
class Power:
    """What a gate does with the canaries of a case: shares of them, and median minutes (infinite: of none)."""

    gate: str
    case: str
    failed: float
    low: float
    high: float
    fail_minutes: float
    passed: float
    pass_minutes: float
    failed_in_half: float
    """The share that failed within 30 minutes."""


def wilson(count: int, runs: int) -> tuple[float, float]:
    """Return the 95 % confidence interval of a share."""
    z, share = NormalDist().inv_cdf(0.975), count / runs
    centre, spread = share + z * z / (2 * runs), z * sqrt(share * (1 - share) / runs + z * z / (4 * runs * runs))
    return max(0.0, (centre - spread) / (1 + z * z / runs)), (centre + spread) / (1 + z * z / runs)


def measure(gate: str, canaries: Canaries) -> Power:
    """Let a gate decide on canaries."""
    fails, passes = GATES[gate](canaries)
    failed, passed = fails[fails < NEVER], passes[passes < NEVER]
    low, high = wilson(len(failed), len(fails))
    return Power(
        gate,
        canaries.case.name,
        *(len(failed) / len(fails), low, high, float(np.median(failed)) if len(failed) else NEVER),
        *(len(passed) / len(fails), float(np.median(passed)) if len(passed) else NEVER),
        float((fails <= MINUTES / 2).mean()),
    )


def table(runs: int = RUNS, seed: int = SEED) -> list[Power]:
    """Simulate every case, and let every gate decide."""
    rows = []
    for index, case in enumerate(CASES):
        # A generator for each, so that a case gives the same numbers whatever stands before it.
        canaries = simulate(case, runs, np.random.default_rng((seed, index)))
        rows += [measure(gate, canaries) for gate in GATES]
    return rows


def _lines(rows: list[Power]) -> Iterator[str]:
    for case in CASES:
        kind = "false alarms" if case.factor == 1 else "caught"
        yield f"\n{case.name}\n  {'gate':32} {kind:>12}  {'95 % interval':>16}  {'median':>7}  {'in 30 min':>9}  passed"
        for row in (row for row in rows if row.case == case.name):
            interval = f"{row.low:.1%} to {row.high:.1%}"
            minutes = f"{row.fail_minutes:.0f} min" if row.failed else "-"
            passed = f"{row.passed:.1%} ({row.pass_minutes:.0f} min)" if row.passed else "-"
            columns = f"{row.failed:>12.1%}  {interval:>16}  {minutes:>7}  {row.failed_in_half:>9.1%}  {passed}"
            yield f"  {row.gate:32} {columns}"


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(prog="python -m tests.gate.power", description=__doc__)
    parser.add_argument("--runs", type=int, default=RUNS, help="canaries of each case")
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--json", action="store_true", help="print JSON lines")
    options = parser.parse_args()
    rows = table(options.runs, options.seed)
    if options.json:
        for row in rows:
            print(json.dumps({key: None if value == NEVER else value for key, value in asdict(row).items()}))
        return
    print(f"{options.runs} canaries of each case, {WEIGHT:.0%} of the traffic, {BAD_SHARE:.1%} bad at rest,", end=" ")
    print(f"a look every {LOOK_MINUTES} minutes for {MINUTES}; seed {options.seed}")
    print("\n".join(_lines(rows)))


if __name__ == "__main__":
    main()
