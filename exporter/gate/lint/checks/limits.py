"""Counts and limits: those that the controller rejects, and those that never take effect."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Final

from exporter.gate import promql
from exporter.gate.analysis_run import AnalysisPhase
from exporter.gate.controller import Feature
from exporter.gate.expr import UnsupportedError
from exporter.gate.lint.condition_tester import FAILURE, SUCCESS, condition_testers, parse_query
from exporter.gate.lint.inputs import rows
from exporter.gate.template import int_value
from exporter.gate.validation import matches_name

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from exporter.gate.lint.condition_tester import ConditionTester
    from exporter.gate.lint.findings import Issue
    from exporter.gate.lint.inputs import GateView, LintInput, MetricView

LIMITS: Final = ("failureLimit", "inconclusiveLimit", "consecutiveErrorLimit", "consecutiveSuccessLimit")
DISABLED: Final = -1
"""The failureLimit that disables it, with a consecutiveSuccessLimit."""
REFUSED: Final = "the run ends in Error before its first measurement"
_WORDS: Final = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
_ORDINALS: Final = {"first": 1, "once": 1, "second": 2, "twice": 2, "third": 3, "fourth": 4, "fifth": 5}
_NUMBER: Final = re.compile(rf"\b([0-9]{{1,9}}|{'|'.join(_WORDS)}|{'|'.join(_ORDINALS)})\b", re.IGNORECASE)
_TOLERATES: Final = re.compile(r"toler|allow|accept|surviv|forgiv|up to|at most|more than|exceed|>", re.IGNORECASE)
_FAILS: Final = re.compile(r"fail|roll|abort|bad|after|on the|when|stop", re.IGNORECASE)


def limit_value(metric: MetricView, name: str) -> int | None:
    """Return a count or limit as the controller reads it, None if it is absent or unknown."""
    value = metric.get(name)
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    text = value.strip() if isinstance(value, str) else ""
    return int_value(text) if re.fullmatch(r"[+-]?[0-9]+", text) else None


def check_not_a_number(lint_input: LintInput) -> Iterator[Issue]:
    """Report counts and limits that are words, which the controller reads as 0."""
    for metric in lint_input.metrics:
        for name in ("count", *LIMITS):
            text = metric.resolved_text(name)
            if text and limit_value(metric, name) is None:
                meaning = "endless" if name == "count" else "none is tolerated"
                reason = f"{name} {text!r} is not a number: the controller reads 0, which means {meaning}"
                yield metric.issue((name,), reason, "write a whole number")


def check_refused(lint_input: LintInput) -> Iterator[Issue]:
    """Report limits with which the controller ends the run in Error before the first measurement."""
    has_success_limit = lint_input.context.controller.supports(Feature.CONSECUTIVE_SUCCESS_LIMIT)
    for metric in lint_input.metrics:
        error = _limit_error(metric, has_success_limit=has_success_limit)
        if error:
            name, reason, hint = error
            yield metric.issue((name,), f"{REFUSED}: {reason}", hint)


def _limit_error(metric: MetricView, *, has_success_limit: bool) -> tuple[str, str, str] | None:
    """Return field, reason and hint of what `ValidateMetric` of argo-rollouts' utils/analysis/factory.go rejects."""
    count = limit_value(metric, "count") or 0
    failures = limit_value(metric, "failureLimit") or 0
    successes = (limit_value(metric, "consecutiveSuccessLimit") or 0) if has_success_limit else 0
    for name in LIMITS:
        minimum = DISABLED if name == "failureLimit" and has_success_limit else 0
        if (limit_value(metric, name) or 0) < minimum:
            return name, f"{name} must be at least {minimum}", f"write {minimum} or more"
    if failures == DISABLED and successes == 0:
        reason = "failureLimit -1 needs a consecutiveSuccessLimit"
        return "failureLimit", reason, "set consecutiveSuccessLimit, or a failureLimit of 0 or more"
    if 0 < count < max(failures, 0) + successes:
        limits = f"failureLimit {failures}" + (f" plus consecutiveSuccessLimit {successes}" if successes else "")
        # One more than is accepted: a limit equal to the count can never be exceeded.
        hint = f"raise count to {max(failures, 0) + successes + 1}"
        return "count", f"count {count} is less than {limits}", hint
    inconclusives = limit_value(metric, "inconclusiveLimit") or 0
    if 0 < count < inconclusives:
        reason = f"count {count} is less than inconclusiveLimit {inconclusives}"
        return "count", reason, f"raise count to {inconclusives + 1}"
    return None


def check_interval_missing(lint_input: LintInput) -> Iterator[Issue]:
    """Report several measurements without an interval."""
    for metric in lint_input.metrics:
        count = limit_value(metric, "count") or 0
        if count > 1 and not metric.raw("interval"):
            yield metric.issue(("count",), f"count {count} needs an interval: {REFUSED}", "add interval, such as 2m")


def check_unreachable(lint_input: LintInput) -> Iterator[Issue]:
    """Report limits that the number of measurements cannot exceed, and that thus let a bad canary pass."""
    testers = {id(tester.metric): tester for tester in condition_testers(lint_input)}
    for metric in lint_input.metrics:
        explicit_count = limit_value(metric, "count") or 0
        count = explicit_count or (0 if metric.raw("interval") or metric.raw("count") else 1)
        for name, phase in LIMITED_PHASES.items():
            limit = limit_value(metric, name) or 0
            # A written count below the limit is refused: check_refused reports it.
            is_unreachable = 0 < count <= limit and (count == limit or not explicit_count)
            if is_unreachable and not is_dry_run(metric) and _may_be(metric, phase, testers):
                yield metric.issue(
                    (name,),
                    f"the gate can never be {phase}: that takes more than {limit} measurements, and count is {count}",
                    f"lower {name} to {limit - 1} or less, or raise count above {limit}",
                )


LIMITED_PHASES: Final = {"failureLimit": AnalysisPhase.FAILED, "inconclusiveLimit": AnalysisPhase.INCONCLUSIVE}
"""The phase of the measurements that each limit counts."""


def is_dry_run(metric: MetricView) -> bool:
    """Return whether a rule of its gate makes a metric a dry run."""
    rules = [row.get("metricName") for row in rows(metric.gate.document.get("spec", "dryRun"))]
    return any(isinstance(rule, str) and may_match(rule, metric.name) for rule in rules)


def _may_be(metric: MetricView, phase: AnalysisPhase, testers: Mapping[int, ConditionTester]) -> bool:
    """Return whether a measurement can have a phase: otherwise its limit does no harm."""
    has_both = bool(metric.text(SUCCESS) and metric.text(FAILURE))
    tester = testers.get(id(metric))
    if phase is AnalysisPhase.INCONCLUSIVE and not has_both:
        return False
    if tester is None or not tester.is_evaluable or len(tester.unknown_arguments) > 1:
        return True
    query = parse_query(metric)
    values: list[tuple[float, ...]] = [(value,) for value in tester.test_values]
    values += [(math.nan,)] if query is None or promql.may_be_nan(query.expression) else []
    values += [()] if not tester.is_scalar and (query is None or query.may_be_empty) else []
    values += [] if query and promql.single_series_labels(query.expression) is not None else [(0.0, 1.0), (1.0, 0.0)]
    return any(tester.phase(*value) is phase for value in values)


def check_comment(lint_input: LintInput) -> Iterator[Issue]:
    """Report a failureLimit whose comment names the same number of failures: one more than the limit ends the gate."""
    for metric in lint_input.metrics:
        limit = limit_value(metric, "failureLimit")
        if limit is None or limit < 0:
            continue
        for text in metric.gate.document.comments(metric.path("failureLimit")):
            if _failures_in_comment(text) == limit > 0:
                reason = f"failureLimit {limit} ends the gate at failure {limit + 1}, but the comment names {limit}"
                hint = f"write failureLimit: {limit - 1}, or write in the comment that {limit} are tolerated"
                yield metric.issue(("failureLimit",), reason, hint)
                break


def _failures_in_comment(comment: str) -> int | None:
    """Return how many failures end the gate according to a comment, None if it does not mention that."""
    match = _NUMBER.search(comment)
    if not match or _TOLERATES.search(comment) or not _FAILS.search(comment):
        return None
    word = match[1].lower()
    if word.isdigit():
        return int(word)
    return _ORDINALS[word] if word in _ORDINALS else _WORDS.index(word)


RULE_FIELDS: Final = ("dryRun", "measurementRetention")
"""Lists of rules that select metrics by name."""


def check_repeated_rules(lint_input: LintInput) -> Iterator[Issue]:
    """Report dryRun and measurementRetention rules that occur twice in a template: no analysis can use it."""
    for gate in lint_input.gates:
        for field in RULE_FIELDS if not gate.is_run else ():
            yield from _repeated_rules(gate, field)


def _repeated_rules(gate: GateView, field: str) -> Iterator[Issue]:
    names: set[str] = set()
    for index, row in enumerate(rows(gate.document.get("spec", field))):
        rule = row.get("metricName")
        if isinstance(rule, str) and rule in names:
            path = ("spec", field, index, "metricName")
            reason = f"two {field} rules have the metricName {rule!r}: the Rollout is InvalidSpec"
            yield gate.issue(path, reason, "remove one of them")
        names.add(str(rule))


def check_all_dry(lint_input: LintInput) -> Iterator[Issue]:
    """Report gates in which every metric is a dry run."""
    for gate in lint_input.gates:
        if gate.metrics and all(map(is_dry_run, gate.metrics)):
            reason = "every metric is a dry run: the gate always passes"
            yield gate.issue(("spec", "dryRun"), reason, "remove one of them from dryRun")


def may_match(rule: str, name: str) -> bool:
    """Return whether a rule may match a metric's name."""
    try:
        return matches_name(rule, name)
    except UnsupportedError:
        return True  # it cannot be evaluated here, and may match in the controller
