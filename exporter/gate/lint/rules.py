"""The table of rules, one row each. `gate lint` applies them from top to bottom; the manual has a page for each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from exporter.gate.lint.checks import (
    addresses,
    arguments,
    conditions,
    credentials,
    evidence,
    limits,
    manifests,
    queries,
    references,
    schedule,
)
from exporter.gate.lint.findings import Finding, Severity

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from exporter.gate.lint.findings import Issue
    from exporter.gate.lint.inputs import LintInput

    Check = Callable[[LintInput], Iterator[Issue]]

E, W = Severity.ERROR, Severity.WARNING


@dataclass(frozen=True, slots=True)
class LintRule:
    """A row of the table. The name is public: comments and `gate lint --format json` contain it."""

    name: str
    severity: Severity
    summary: str
    check: Check

    @property
    def since(self) -> str:
        """Return the version of this program that added it."""
        return SINCE.get(self.name, "0.1.0")


RULE_TABLE: Final[tuple[tuple[str, Severity, str, Check], ...]] = (
    # Manifest
    ("yaml", E, "text that is not YAML", manifests.check_yaml),
    ("repeated-key", E, "the same key twice in a mapping", manifests.check_repeated_key),
    ("unknown-field", E, "a field that no controller has", manifests.check_unknown),
    ("basic-auth", E, "basicAuth for a controller that does not have it (up to 1.10)", manifests.check_basic_auth),
    ("too-early", E, "a field that only a later controller has", manifests.check_too_early),
    ("wrong-type", E, "a value of the wrong type, such as a number for an argument", manifests.check_wrong_type),
    ("no-metrics", E, "a gate without a metric", manifests.check_no_metrics),
    ("provider", E, "a metric with no provider, or with several", manifests.check_provider),
    ("metric-name", E, "a metric name twice: breaks the controller's entire metrics page", manifests.check_metric_name),
    ("namespace", W, "an AnalysisTemplate without a namespace", references.check_namespace),
    ("cluster-namespace", W, "a ClusterAnalysisTemplate with a namespace", references.check_cluster_namespace),
    # Counts and limits
    ("not-a-number", E, "a count or limit that is not a number: read as 0", limits.check_not_a_number),
    ("limits", E, "counts and limits that the controller rejects", limits.check_refused),
    ("interval-missing", E, "a count above 1 without interval", limits.check_interval_missing),
    (
        "limit-unreachable",
        E,
        "a limit that the measurements cannot exceed, so that it stops no bad canary",
        limits.check_unreachable,
    ),
    ("limit-comment", W, "a failureLimit that differs by one from its comment", limits.check_comment),
    ("matches-nothing", E, "a dryRun or measurementRetention that matches no metric", references.check_matches_nothing),
    ("rule-repeated", E, "a dryRun or measurementRetention rule twice in a template", limits.check_repeated_rules),
    ("all-dry", W, "a gate in which every metric is a dry run", limits.check_all_dry),
    # Time
    ("duration", E, "a duration that Go does not parse", schedule.check_duration),
    ("no-delay", W, "no initialDelay: measures before the canary has traffic", schedule.check_no_delay),
    ("short-delay", W, "an initialDelay shorter than the read delay", schedule.check_short_delay),
    ("short-interval", W, "an interval shorter than the scrape interval", schedule.check_short_interval),
    ("short-range", W, "a rate over a range of less than two scrapes", schedule.check_short_range),
    ("overlap-in-time", W, "a range so long that one bad moment exceeds failureLimit", schedule.check_overlap),
    # Query
    ("no-query", E, "a Prometheus metric without a query", queries.check_missing),
    ("promql", E, "a query that is not PromQL, or not MetricsQL at a store that takes it", queries.check_malformed),
    (
        "unknown-function",
        W,
        "a function that neither language has, at a store that is not given by --store",
        queries.check_unknown_function,
    ),
    ("metricsql", W, "MetricsQL, and no address that shows whether the store takes it", queries.check_metricsql),
    ("lost-le", E, "a histogram_quantile of buckets summed without le", queries.check_lost_buckets),
    ("result-type", E, "a query whose result type the controller does not read", queries.check_result_type),
    ("several-series", W, "several series, of which the conditions use only one", conditions.check_several_series),
    # Conditions
    ("no-condition", E, "no condition: always Successful", conditions.check_missing),
    ("condition", E, "a condition that does not compile, or fails for every result", conditions.check_malformed),
    ("condition-unknown", W, "a condition that the linter cannot evaluate", conditions.check_unsupported),
    ("empty", E, "result[0] without a guard for an empty result", conditions.check_empty),
    (
        "vacuous",
        E,
        "an empty result counts as Successful because all() or any() of nothing does",
        conditions.check_vacuous,
    ),
    ("nan-passes", E, "NaN counts as Successful", conditions.check_nan_passes),
    ("nan-undecided", W, "NaN makes neither condition true: Inconclusive", conditions.check_nan_undecided),
    ("overlap", E, "a value that is both success and failure: failure takes precedence", conditions.check_overlap),
    ("gap", W, "values between success and failure, and no inconclusiveLimit", conditions.check_gap),
    ("always", W, "the same phase for every value", conditions.check_constant),
    # Address
    ("no-address", W, "no address: the controller's environment decides", addresses.check_missing),
    ("address-scheme", E, "an address without scheme or host", addresses.check_scheme),
    ("address-credential", E, "a credential in the address", addresses.check_credential),
    ("address-path", E, "/api/v1/query in the address, which the controller appends", addresses.check_api_path),
    ("address-query", E, "? or # in the address", addresses.check_query_part),
    ("address-last9", W, "an address at Last9 that is not a Read URL", addresses.check_last9),
    ("plain-http", W, "a credential sent out of the cluster over http://", addresses.check_plain_http),
    ("no-credential", E, "a query to Last9 without a credential", addresses.check_no_credential),
    ("insecure", W, "TLS without verification", addresses.check_insecure),
    ("timeout", E, "a timeout that is not valid, expires at once, or is in milliseconds", addresses.check_timeout),
    # Credential
    ("header-newline", E, "a line break in a header value, also from a Secret", credentials.check_newline),
    ("header-space", W, "stray white space in a header value, also from a Secret", credentials.check_space),
    ("header-scheme", E, "Authorization without Basic or Bearer", credentials.check_scheme),
    ("header-shape", W, "Basic without base64 of user:password", credentials.check_shape),
    ("credential-literal", E, "a credential written in the gate", credentials.check_literal),
    ("secret-key", E, "an argument from a key that the Secret does not have", credentials.check_secret_key),
    ("secret-namespace", E, "an argument from a Secret of another namespace", credentials.check_secret_namespace),
    ("secret-base64", E, "Secret data that is not base64", credentials.check_secret_base64),
    # Arguments
    ("argument-unresolved", E, "{{…}} that no argument replaces", arguments.check_unresolved),
    ("argument-unused", W, "an argument that no metric uses", arguments.check_unused),
    ("argument-repeated", E, "two arguments with the same name", arguments.check_repeated),
    ("argument-without-value", E, "an AnalysisRun's argument without a value", arguments.check_without_value),
    ("argument-both", E, "an argument with both value and valueFrom", arguments.check_both),
    # Use by Rollouts
    ("secret-in-rollout", E, "a Secret as the Rollout's argument", references.check_secret_in_rollout),
    ("reference", E, "a template in another namespace or scope than the Rollout's", references.check_reference),
    ("argument-not-given", E, "an argument that neither template nor Rollout sets", references.check_not_given),
    ("argument-not-wanted", W, "a Rollout's argument that no template has", references.check_not_wanted),
    ("endless", E, "no count in a gate that a step waits for", references.check_endless),
    ("dummy-value", E, "a count from an argument without a value, in a step", references.check_dummy_value),
    ("metric-clash", E, "the same metric name in two templates of an analysis", references.check_metric_clash),
    (
        "argument-conflict",
        E,
        "an argument with different values in templates of one analysis",
        references.check_argument_conflict,
    ),
    ("rule-clash", E, "a dryRun or measurementRetention rule twice in an analysis", references.check_rule_clash),
    (
        "rollout-rule",
        E,
        "a Rollout's dryRun or measurementRetention that matches no metric",
        references.check_rollout_rules,
    ),
    ("diluted", W, "a share of all traffic that the canary's weight cannot move to failure", conditions.check_diluted),
    # Evidence
    ("peeking", W, "a comparison with the stable that any one of many looks can fail", evidence.check_peeking),
    ("few-requests", W, "a share of too few events, at the store's traffic", evidence.check_few_requests),
    ("bursty", W, "a share of failures that come in bursts, in the store", evidence.check_bursty),
)
SINCE: Final[Mapping[str, str]] = {}
"""The version that added a rule, if it is not the first; a new rule gets a row when it is released."""
RULES: Final = tuple(LintRule(*row) for row in RULE_TABLE)


def apply_rules(lint_input: LintInput) -> tuple[Finding, ...]:
    """Apply all rules; return the findings that no comment allows, in the order of files and lines."""
    # A set: a file may be given twice, as in `gate lint . gate.yaml`.
    return tuple(sorted({finding for rule in RULES for finding in _findings(rule, lint_input)}))


def _findings(rule: LintRule, lint_input: LintInput) -> Iterator[Finding]:
    for issue in rule.check(lint_input):
        if not lint_input.is_suppressed(issue.file, issue.line, rule.name):
            yield Finding(issue.file, issue.line, rule.name, rule.severity, issue.reason, issue.hint)


def is_failure(findings: tuple[Finding, ...], *, strict: bool) -> bool:
    """Return whether findings make the command fail: errors do, with `strict` warnings too."""
    return any(strict or finding.severity is Severity.ERROR for finding in findings)
