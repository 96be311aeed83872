"""The table of rules, one row each. `gate lint` applies them from top to bottom; the README contains the table."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from exporter.gate.lint.checks import (
    addresses,
    arguments,
    conditions,
    credentials,
    limits,
    manifests,
    queries,
    references,
    schedule,
)
from exporter.gate.lint.findings import Finding, Severity

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from exporter.gate.lint.findings import Issue
    from exporter.gate.lint.inputs import LintInput

E, W = Severity.ERROR, Severity.WARNING


@dataclass(frozen=True, slots=True)
class LintRule:
    """A row of the table. The name is public: comments and `gate lint --format json` contain it."""

    name: str
    severity: Severity
    summary: str
    check: Callable[[LintInput], Iterator[Issue]]


RULES: Final = (
    # Manifest
    LintRule("yaml", E, "text that is not YAML", manifests.check_yaml),
    LintRule("repeated-key", E, "the same key twice in a mapping", manifests.check_repeated_key),
    LintRule("unknown-field", E, "a field that no controller has", manifests.check_unknown),
    LintRule(
        "basic-auth", E, "basicAuth for a controller that does not have it (up to 1.10)", manifests.check_basic_auth
    ),
    LintRule("too-early", E, "a field that only a later controller has", manifests.check_too_early),
    LintRule(
        "wrong-type", E, "a value of the wrong type, such as a number for an argument", manifests.check_wrong_type
    ),
    LintRule("no-metrics", E, "a gate without a metric", manifests.check_no_metrics),
    LintRule("provider", E, "a metric with no provider, or with several", manifests.check_provider),
    LintRule(
        "metric-name", E, "a metric name twice: breaks the controller's whole metrics page", manifests.check_metric_name
    ),
    LintRule("namespace", W, "an AnalysisTemplate without a namespace", references.check_namespace),
    LintRule("cluster-namespace", W, "a ClusterAnalysisTemplate with a namespace", references.check_cluster_namespace),
    # Counts and limits
    LintRule("not-a-number", E, "a count or limit that is not a number: read as 0", limits.check_not_a_number),
    LintRule("limits", E, "counts and limits that the controller refuses", limits.check_refused),
    LintRule("interval-missing", E, "a count above 1 without interval", limits.check_interval_missing),
    LintRule("limit-unreachable", E, "a limit that the measurements cannot exceed", limits.check_unreachable),
    LintRule("limit-comment", W, "a failureLimit that is one off its comment", limits.check_comment),
    LintRule(
        "matches-nothing", E, "a dryRun or measurementRetention that matches no metric", limits.check_matches_nothing
    ),
    LintRule("all-dry", W, "a gate in which every metric is a dry run", limits.check_all_dry),
    # Time
    LintRule("duration", E, "a duration that Go does not parse", schedule.check_duration),
    LintRule("no-delay", W, "no initialDelay: measures before the canary has traffic", schedule.check_no_delay),
    LintRule("short-delay", W, "an initialDelay shorter than the read delay", schedule.check_short_delay),
    LintRule("short-interval", W, "an interval shorter than the scrape interval", schedule.check_short_interval),
    LintRule("short-range", W, "a rate over a range of less than two scrapes", schedule.check_short_range),
    LintRule("overlap-in-time", W, "a range so long that one bad moment exceeds failureLimit", schedule.check_overlap),
    # Query
    LintRule("no-query", E, "a Prometheus metric without a query", queries.check_missing),
    LintRule("promql", E, "a query that is not PromQL", queries.check_malformed),
    LintRule("lost-le", E, "a histogram_quantile of buckets summed without le", queries.check_lost_buckets),
    LintRule("result-type", E, "a query whose result type the controller does not read", queries.check_result_type),
    LintRule(
        "several-series", W, "several series, of which the conditions use only one", conditions.check_several_series
    ),
    # Conditions
    LintRule("no-condition", E, "no condition: always Successful", conditions.check_missing),
    LintRule(
        "condition", E, "a condition that does not compile, or fails for every result", conditions.check_malformed
    ),
    LintRule("condition-unknown", W, "a condition that the linter cannot evaluate", conditions.check_unsupported),
    LintRule("empty", E, "result[0] without a guard for an empty result", conditions.check_empty),
    LintRule("nan-passes", E, "NaN counts as Successful", conditions.check_nan_passes),
    LintRule("nan-undecided", W, "NaN makes neither condition true: Inconclusive", conditions.check_nan_undecided),
    LintRule("overlap", E, "a value that is both success and failure: failure wins", conditions.check_overlap),
    LintRule("gap", W, "values between success and failure, and no inconclusiveLimit", conditions.check_gap),
    LintRule("always", W, "the same phase for every value", conditions.check_constant),
    # Address
    LintRule("no-address", W, "no address: the controller's environment decides", addresses.check_missing),
    LintRule("address-scheme", E, "an address without scheme or host", addresses.check_scheme),
    LintRule("address-credential", E, "a credential in the address", addresses.check_credential),
    LintRule("address-path", E, "/api/v1/query in the address, which the controller appends", addresses.check_api_path),
    LintRule("address-query", E, "? or # in the address", addresses.check_query_part),
    LintRule("address-last9", W, "an address at Last9 that is not a Read URL", addresses.check_last9),
    LintRule("plain-http", W, "a credential sent out of the cluster over http://", addresses.check_plain_http),
    LintRule("no-credential", E, "a query to Last9 without a credential", addresses.check_no_credential),
    LintRule("insecure", W, "TLS without verification", addresses.check_insecure),
    LintRule(
        "timeout", E, "a timeout that is not valid, expires at once, or is in milliseconds", addresses.check_timeout
    ),
    # Credential
    LintRule("header-newline", E, "a line break in a header value, also from a Secret", credentials.check_newline),
    LintRule("header-space", W, "stray white space in a header value, also from a Secret", credentials.check_space),
    LintRule("header-scheme", E, "Authorization without Basic or Bearer", credentials.check_scheme),
    LintRule("header-shape", W, "Basic without base64 of user:password", credentials.check_shape),
    LintRule("credential-literal", E, "a credential written in the gate", credentials.check_literal),
    LintRule("secret-key", E, "an argument from a key that the Secret does not have", credentials.check_secret_key),
    LintRule(
        "secret-namespace", E, "an argument from a Secret of another namespace", credentials.check_secret_namespace
    ),
    LintRule("secret-base64", E, "Secret data that is not base64", credentials.check_secret_base64),
    # Arguments
    LintRule("argument-unresolved", E, "{{…}} that no argument replaces", arguments.check_unresolved),
    LintRule("argument-unused", W, "an argument that no metric uses", arguments.check_unused),
    LintRule("argument-repeated", E, "two arguments with the same name", arguments.check_repeated),
    LintRule("argument-without-value", E, "an AnalysisRun's argument without a value", arguments.check_without_value),
    LintRule("argument-both", E, "an argument with both value and valueFrom", arguments.check_both),
    # Use by Rollouts
    LintRule("secret-in-rollout", E, "a Secret as the Rollout's argument", references.check_secret_in_rollout),
    LintRule("reference", E, "a template in another namespace or scope than the Rollout's", references.check_reference),
    LintRule("argument-not-given", E, "an argument that neither template nor Rollout sets", references.check_not_given),
    LintRule("argument-not-wanted", W, "a Rollout's argument that no template has", references.check_not_wanted),
    LintRule("endless", E, "no count in a gate that a step waits for", references.check_endless),
    LintRule("dummy-value", E, "a count from an argument without a value, in a step", references.check_dummy_value),
    LintRule("metric-clash", E, "the same metric name in two templates of an analysis", references.check_metric_clash),
    LintRule(
        "diluted", W, "a share of all traffic that the canary's weight cannot move to failure", conditions.check_diluted
    ),
)


def lint(lint_input: LintInput) -> tuple[Finding, ...]:
    """Apply all rules; return the findings that no comment allows, in the order of files and lines."""
    return tuple(sorted({finding for rule in RULES for finding in _findings(rule, lint_input)}))


def _findings(rule: LintRule, lint_input: LintInput) -> Iterator[Finding]:
    for issue in rule.check(lint_input):
        if not lint_input.is_suppressed(issue.file, issue.line, rule.name):
            yield Finding(issue.file, issue.line, rule.name, rule.severity, issue.reason, issue.hint)


def is_failure(findings: tuple[Finding, ...], *, strict: bool) -> bool:
    """Return whether findings make the command fail: errors do, with `strict` warnings too."""
    return any(strict or finding.severity is Severity.ERROR for finding in findings)
