"""Counts and limits: what the controller refuses, and what never takes effect."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from exporter.gate.controller import Ability
from exporter.gate.expr import ConditionError, UnsupportedError
from exporter.gate.expr.builtins_strings import compile_regex
from exporter.gate.lint.inputs import rows

if TYPE_CHECKING:
    from collections.abc import Iterator

    from exporter.gate.lint.finding import Spot
    from exporter.gate.lint.inputs import Gates, Metric

LIMITS: Final = ("failureLimit", "inconclusiveLimit", "consecutiveErrorLimit", "consecutiveSuccessLimit")
DISABLED: Final = -1
_WORDS: Final = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
_NUMBER: Final = re.compile(rf"\b(\d+|{'|'.join(_WORDS)}|first|once|twice|second|third|fourth|fifth)\b", re.IGNORECASE)
_ORDINALS: Final = {"first": 1, "once": 1, "second": 2, "twice": 2, "third": 3, "fourth": 4, "fifth": 5}
_TOLERATED: Final = re.compile(r"toler|allow|accept|surviv|forgiv|up to|at most|more than|exceed|>", re.IGNORECASE)
_ENDS: Final = re.compile(r"fail|roll|abort|bad|after|on the|when|stop", re.IGNORECASE)


def number(metric: Metric, name: str) -> int | None:
    """Return a count or limit as the controller reads it, None when it is absent or an argument's."""
    value = metric.at(name)
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    text = value.strip() if isinstance(value, str) else ""
    return int(text) if re.fullmatch(r"[+-]?\d+", text) else None


def not_a_number(gates: Gates) -> Iterator[Spot]:
    """Find counts and limits that are words: the controller reads them as 0."""
    for metric in gates.metrics:
        for name in ("count", *LIMITS):
            text = metric.known(name)
            if text and number(metric, name) is None:
                means = "no end" if name == "count" else "none at all"
                yield metric.spot((name,), f"{name} {text!r} is read as 0, which means {means}", "write a whole number")


def refused(gates: Gates) -> Iterator[Spot]:
    """Find limits with which the controller ends the run in Error before the first measurement."""
    for metric in gates.metrics:
        found = _refusal(metric, consecutive=gates.around.controller.can(Ability.CONSECUTIVE_SUCCESS_LIMIT))
        if found:
            name, why, cure = found
            yield metric.spot((name,), f"the run becomes Error before its first measurement: {why}", cure)


def _refusal(metric: Metric, *, consecutive: bool) -> tuple[str, str, str] | None:
    """Return the field, why and cure of what `ValidateMetric` of argo-rollouts' utils/analysis/factory.go refuses."""
    count = number(metric, "count") or 0
    failure = number(metric, "failureLimit") or 0
    success = (number(metric, "consecutiveSuccessLimit") or 0) if consecutive else 0
    for name in LIMITS:
        lowest = DISABLED if name == "failureLimit" and consecutive else 0
        if (number(metric, name) or 0) < lowest:
            return name, f"{name} must be at least {lowest}", f"write {lowest} or more"
    if failure == DISABLED and success == 0:
        why = "failureLimit -1 needs a consecutiveSuccessLimit"
        return "failureLimit", why, "set consecutiveSuccessLimit, or a failureLimit of 0 or more"
    if 0 < count < max(failure, 0) + success:
        both = f"failureLimit {failure}" + (f" and consecutiveSuccessLimit {success} together" if success else "")
        return "count", f"count {count} is less than {both}", f"raise count to {max(failure, 0) + success + 1}"
    inconclusive = number(metric, "inconclusiveLimit") or 0
    if 0 < count < inconclusive:
        why = f"count {count} is less than inconclusiveLimit {inconclusive}"
        return "count", why, f"raise count to {inconclusive + 1}"
    return None


def interval_missing(gates: Gates) -> Iterator[Spot]:
    """Find several measurements without a time between them."""
    for metric in gates.metrics:
        count = number(metric, "count") or 0
        if count > 1 and not metric.raw("interval"):
            why = f"count {count} without interval: the run becomes Error before its first measurement"
            yield metric.spot(("count",), why, "add interval, such as 2m")


def unreachable(gates: Gates) -> Iterator[Spot]:
    """Find limits that as many measurements as there are cannot exceed: such a gate never says no."""
    for metric in gates.metrics:
        written = number(metric, "count") or 0
        count = written or (0 if metric.raw("interval") or metric.raw("count") else 1)
        for name, verdict in (("failureLimit", "Failed"), ("inconclusiveLimit", "Inconclusive")):
            limit = number(metric, name) or 0
            if 0 < count <= limit and (count == limit or not written):
                yield metric.spot(
                    (name,),
                    f"{verdict} needs more than {limit} measurements, and there are {count}: it never happens",
                    f"lower {name} to {limit - 1} or less, or raise count above {limit}",
                )


def comment(gates: Gates) -> Iterator[Spot]:
    """Find a failureLimit whose comment says another number of failures: one more than the limit ends a gate."""
    for metric in gates.metrics:
        limit = number(metric, "failureLimit")
        if limit is None or limit < 0:
            continue
        for text in metric.gate.document.comments(metric.path("failureLimit")):
            told = _failures(text)
            if told is not None and told == limit and told > 0:
                yield metric.spot(
                    ("failureLimit",),
                    f"failureLimit {limit} ends the gate at failure {limit + 1}, and the comment says {told}",
                    f"write failureLimit: {told - 1}, or say in the comment that {limit} are tolerated",
                )
                break


def _failures(comment: str) -> int | None:
    """Return how many failures end the gate, as a comment says it; None when it says nothing of that."""
    found = _NUMBER.search(comment)
    if not found or _TOLERATED.search(comment) or not _ENDS.search(comment):
        return None
    word = found[1].lower()
    if word.isdigit():
        return int(word)
    return _ORDINALS[word] if word in _ORDINALS else _WORDS.index(word)


def matches_nothing(gates: Gates) -> Iterator[Spot]:
    """Find dryRun and measurementRetention rules that no metric name matches."""
    for gate in gates.gates:
        names = [metric.name for metric in gate.metrics]
        for field in ("dryRun", "measurementRetention"):
            for index, row in enumerate(rows(gate.document.at("spec", field))):
                pattern = row.get("metricName")
                if isinstance(pattern, str) and not any(_matches(pattern, name) for name in names):
                    why = f"no metric is called like {pattern!r}: the run becomes Error before its first measurement"
                    path = ("spec", field, index, "metricName")
                    yield gate.document.spot(path, why, f"name one of: {', '.join(names) or 'none'}")


def all_dry(gates: Gates) -> Iterator[Spot]:
    """Find gates whose every metric is measured for show."""
    for gate in gates.gates:
        patterns = [row.get("metricName") for row in rows(gate.document.at("spec", "dryRun"))]
        texts = [one for one in patterns if isinstance(one, str)]
        if gate.metrics and all(any(_matches(text, metric.name) for text in texts) for metric in gate.metrics):
            yield gate.document.spot(
                ("spec", "dryRun"), "every metric is a dry run: the gate always passes", "take one out of dryRun"
            )


def _matches(pattern: str, name: str) -> bool:
    """Match as the controller does, anywhere in the name; what is no pattern, such as "*", matches nothing."""
    try:
        return compile_regex(pattern).search(name) is not None
    except UnsupportedError:
        return True  # it may well match
    except ConditionError:
        return False
