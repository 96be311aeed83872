"""Suggests how to judge a service: from its traffic in the past weeks to tests, with what each will do. Pure."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from math import ceil, erfc, exp, floor, inf, isfinite, log10, sqrt
from statistics import median, quantiles
from typing import TYPE_CHECKING, Any, Final

from exporter.gate.sequential import SequentialTest, ServiceTraffic, detectable_factor, expected_minutes

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

WEIGHTS: Final = (5, 10, 25, 50)
"""Weights of a canary in percent for which something is suggested."""
LIMIT_MINUTES: Final = 60.0
"""How long a gate may take: that of `gate render` by default."""
MIN_WORSE: Final = 2.0
"""A smaller regression needs more requests than most services have."""
FACTORS: Final = (1.5, 2.0, 3.0, 5.0, 10.0, 20.0, 50.0, 100.0)
"""Regressions among which the smallest detectable one is looked for."""
WINDOWS: Final = (120, 300, 600)
"""Intervals of a threshold, in seconds."""
LOOKS, FAILURES = 5, 3
"""Measurements of a threshold, and how many bad ones fail it: the defaults of `gate render`."""
FALSE_ABORTS: Final = 0.2
"""False aborts a month that are tolerable: one in five months."""
CAUGHT: Final = 0.95
"""The probability with which a threshold finds a regression that counts as found: 1 - --miss by default."""
MAX_HOURS: Final = 56
"""Hours of the past that are computed with: evenly spread, more change nothing."""
EXACT_MEAN: Final = 500.0
"""Up to this mean the Poisson distribution is summed up; beyond, the normal one is as good (and exp(-745) is 0)."""


@dataclass(frozen=True, slots=True)
class TrafficHistory:
    """The traffic of a service in each of the past hours, and its updates in a month."""

    hours: tuple[ServiceTraffic, ...]
    updates: float
    updates_are_assumed: bool = False

    @property
    def typical(self) -> ServiceTraffic:
        """Return the medians."""
        hours = self.hours
        return ServiceTraffic(
            median(hour.requests for hour in hours),
            median(hour.bad_share for hour in hours),
            median(hour.burst for hour in hours),
        )

    @property
    def quiet(self) -> ServiceTraffic:
        """Return the traffic of the quietest tenth of the hours, with the median share of bad requests."""
        requests = [hour.requests for hour in self.hours]
        return replace(self.typical, requests=quantiles(requests, n=10)[0] if len(requests) > 1 else requests[0])

    @property
    def sample(self) -> tuple[ServiceTraffic, ...]:
        """Return some of the hours, evenly spread."""
        return self.hours[:: ceil(len(self.hours) / MAX_HOURS)]


@dataclass(frozen=True, slots=True)
class SequentialSuggestion:
    """A sequential test at a weight: minutes to pass and to catch, and what it finds in an hour (infinite: nothing)."""

    weight: int
    worse: float
    false_alarm: float
    miss: float
    pass_minutes: float
    catch_minutes: float
    quiet_pass_minutes: float
    detectable: float
    quiet_detectable: float
    false_aborts: float
    """Expected number of equal canaries that fail in a month, at most."""

    @property
    def decides(self) -> bool:
        """Return whether both decisions are expected within the limit."""
        return max(self.pass_minutes, self.catch_minutes) <= LIMIT_MINUTES


@dataclass(frozen=True, slots=True)
class ThresholdSuggestion:
    """A threshold at a weight: window in seconds, the share at which it fails, false aborts a month, what it finds."""

    weight: int
    window: int
    success: float
    failure: float
    false_aborts: float
    detectable: float


def suggest_sequential(history: TrafficHistory, miss: float = 0.05) -> Iterator[SequentialSuggestion]:
    """Yield a test for each weight: that for the smallest regression that it decides on within the limit."""
    typical, quiet = history.typical, history.quiet
    # At most 1 %, and less for a service that is updated often.
    false_alarm = min(0.01, float(f"{FALSE_ABORTS / max(history.updates, 1):.1g}"))
    highest = 1 / typical.bad_share if typical.bad_share else inf
    for weight in WEIGHTS:
        share = weight / 100
        # A canary cannot fail more than every request.
        factors = [worse for worse in FACTORS if worse == MIN_WORSE or MIN_WORSE < worse <= highest]
        candidates = [_sequential(SequentialTest(worse, false_alarm, miss), history, weight) for worse in factors]
        chosen = next((candidate for candidate in candidates if candidate.decides), candidates[0])
        test = SequentialTest(chosen.worse, false_alarm, miss)
        yield replace(
            chosen,
            quiet_pass_minutes=expected_minutes(test, quiet, share, 1),
            detectable=detectable_factor(test, typical, share, LIMIT_MINUTES),
            quiet_detectable=detectable_factor(test, quiet, share, LIMIT_MINUTES),
        )


def _sequential(test: SequentialTest, history: TrafficHistory, weight: int) -> SequentialSuggestion:
    share, typical = weight / 100, history.typical
    passes, catches = (expected_minutes(test, typical, share, factor) for factor in (1.0, test.worse))
    false_aborts = test.false_alarm * history.updates
    numbers = (test.worse, test.false_alarm, test.miss, passes, catches)
    return SequentialSuggestion(weight, *numbers, inf, inf, inf, false_aborts)


def suggest_threshold(history: TrafficHistory) -> Iterator[ThresholdSuggestion]:
    """Yield for each weight the threshold that finds the smallest regression with tolerable false aborts."""
    for weight in WEIGHTS:
        yield min(
            (_threshold(history, weight, window) for window in WINDOWS),
            key=lambda suggestion: (suggestion.detectable, suggestion.window),
        )


def _threshold(history: TrafficHistory, weight: int, window: int) -> ThresholdSuggestion:
    """Return the lowest threshold with tolerable false aborts, and the smallest factor that it finds."""
    share = weight / 100
    level = max(history.typical.bad_share, 1e-6)
    while _false_aborts(history, share, window, level) > FALSE_ABORTS and level < 1:
        level *= 1.1
    failure = min(_rounded_up(level), 1.0)
    detected = (factor for factor in FACTORS if _failed(history, share, window, failure, factor) >= CAUGHT)
    false_aborts = _false_aborts(history, share, window, failure)
    return ThresholdSuggestion(weight, window, failure, failure, false_aborts, next(detected, inf))


def _rounded_up(number: float) -> float:
    """Return a number of two significant digits, not below the given one."""
    unit = 10 ** (floor(log10(number)) - 1)
    return float(f"{ceil(number / unit) * unit:.2g}")


def _false_aborts(history: TrafficHistory, share: float, window: int, level: float) -> float:
    return _failed(history, share, window, level, 1.0) * history.updates


def _failed(history: TrafficHistory, share: float, window: int, level: float, factor: float) -> float:
    """Return the probability that a canary fails, averaged over the hours."""
    sample = history.sample
    return sum(_fails(hour, share, window, level, factor) for hour in sample) / len(sample)


def _fails(hour: ServiceTraffic, share: float, window: int, level: float, factor: float) -> float:
    requests = hour.requests * share * window
    mean = requests * min(hour.bad_share * factor, 1.0)
    bad = poisson_tail(ceil(requests * level), mean, hour.burst) if requests >= 1 else 0.0
    return sum(_binomial(LOOKS, count, bad) for count in range(FAILURES, LOOKS + 1))


def _binomial(number: int, count: int, probability: float) -> float:
    combinations = 1
    for index in range(count):
        combinations = combinations * (number - index) // (index + 1)
    return float(combinations * probability**count * (1 - probability) ** (number - count))


def poisson_tail(count: int, mean: float, burst: float = 1.0) -> float:
    """Return the probability of at least a count of events, whose variance is `burst` times that of single ones."""
    if count <= 0:
        return 1.0
    if mean <= 0:
        return 0.0
    if mean > EXACT_MEAN or burst > 1:
        return erfc((count - 0.5 - mean) / sqrt(2 * mean * burst)) / 2
    term, total = exp(-mean), 0.0
    for index in range(count):
        total += term
        term *= mean / (index + 1)
    return max(0.0, 1 - total)


def suggestions_json(suggestions: Iterable[SequentialSuggestion | ThresholdSuggestion]) -> list[dict[str, Any]]:
    """Return suggestions as JSON, in which infinite numbers are null."""
    return [
        {key: None if isinstance(value, float) and not isfinite(value) else value for key, value in asdict(row).items()}
        for row in suggestions
    ]


def history_of(
    requests: Sequence[float],
    bad: Sequence[float],
    bursts: Sequence[float],
    updates: float,
    *,
    updates_are_assumed: bool = False,
) -> TrafficHistory:
    """Return the history of hours with requests: per second, bad ones per second, and some dispersions."""
    burst = max(1.0, median(bursts)) if bursts else 1.0
    hours = tuple(
        ServiceTraffic(rate, min(max(errors, 0.0) / rate, 1.0), burst)
        for rate, errors in zip(requests, bad, strict=True)
        if rate > 0
    )
    return TrafficHistory(hours, updates, updates_are_assumed)
