"""The table of rules: a row a rule. `gate lint` goes through it from top to bottom; the README shows it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from exporter.gate.lint.checks import (
    addresses,
    arguments,
    conditions,
    credentials,
    fields,
    limits,
    manifests,
    queries,
    references,
    schedule,
    verdicts,
)
from exporter.gate.lint.finding import Finding, Rule, Severity

if TYPE_CHECKING:
    from collections.abc import Iterator

    from exporter.gate.lint.inputs import Gates

E, W = Severity.ERROR, Severity.WARNING

RULES: Final = (
    # The manifest
    Rule("yaml", E, "text that is no YAML", manifests.malformed),
    Rule("repeated-key", E, "one key twice in a mapping", manifests.repeated),
    Rule("unknown-field", E, "a field that no controller has", fields.unknown),
    Rule("basic-auth", E, "basicAuth before the controller that has it (after 1.10)", fields.basic_auth),
    Rule("too-early", E, "a field that only a later controller has", fields.too_early),
    Rule(
        "wrong-type", E, "a value of another type than the field's, such as a number for an argument", fields.wrong_type
    ),
    Rule("no-metrics", E, "a gate without a metric", manifests.no_metrics),
    Rule("provider", E, "a metric with no provider, or with several", manifests.provider),
    Rule("metric-name", E, "one metric name twice: breaks the controller's whole metrics page", manifests.metric_name),
    Rule("namespace", W, "an AnalysisTemplate that names no namespace", references.namespace),
    Rule("cluster-namespace", W, "a ClusterAnalysisTemplate that names one", references.cluster_namespace),
    # Counts and limits
    Rule("not-a-number", E, "a count or limit in words: read as 0", limits.not_a_number),
    Rule("limits", E, "counts and limits that the controller refuses", limits.refused),
    Rule("interval-missing", E, "count above 1 without interval", limits.interval_missing),
    Rule("limit-unreachable", E, "a limit that so few measurements cannot exceed", limits.unreachable),
    Rule("limit-comment", W, "failureLimit off by one against the comment beside it", limits.comment),
    Rule("matches-nothing", E, "dryRun or measurementRetention that matches no metric", limits.matches_nothing),
    Rule("all-dry", W, "every metric is a dry run", limits.all_dry),
    # Time
    Rule("duration", E, "a duration that Go does not read", schedule.malformed),
    Rule("no-delay", W, "no initialDelay: judged before the canary had traffic", schedule.no_delay),
    Rule("short-delay", W, "initialDelay over before what was written can be read", schedule.short_delay),
    Rule("short-interval", W, "interval shorter than the scrape interval", schedule.short_interval),
    Rule("short-range", W, "a rate over a range of less than two scrapes", schedule.short_range),
    Rule("overlap-in-time", W, "a range so long that one moment exceeds failureLimit", schedule.overlapping),
    # The query
    Rule("no-query", E, "a Prometheus metric without a query", queries.missing),
    Rule("promql", E, "a query that is no PromQL", queries.malformed),
    Rule("lost-le", E, "histogram_quantile over buckets summed without le", queries.lost_buckets),
    Rule("result-type", E, "a query whose kind of answer the controller does not read", queries.matrix),
    Rule("several-series", W, "several series, of which the conditions see one", verdicts.several_series),
    # The conditions
    Rule("no-condition", E, "neither condition: always Successful", conditions.missing),
    Rule("condition", E, "a condition that does not compile, or fails with every answer", conditions.malformed),
    Rule("condition-unknown", W, "a condition that is not judged here", conditions.beyond),
    Rule("empty", E, "result[0] without a guard for an empty answer", verdicts.empty),
    Rule("nan-passes", E, "NaN is Successful", verdicts.nan_passes),
    Rule("nan-undecided", W, "NaN falls through both conditions: Inconclusive", verdicts.nan_undecided),
    Rule("overlap", E, "a value that is both success and failure: failure wins", verdicts.overlap),
    Rule("gap", W, "values between success and failure: Inconclusive, and inconclusiveLimit is not set", verdicts.gap),
    Rule("always", W, "the same verdict for every value", verdicts.constant),
    # The address
    Rule("no-address", W, "no address: the controller's environment decides", addresses.missing),
    Rule("address-scheme", E, "an address without scheme or host", addresses.scheme),
    Rule("address-credential", E, "a credential inside of the address", addresses.credentials),
    Rule("address-path", E, "/api/v1/query in the address, to which it is appended", addresses.api_path),
    Rule("address-query", E, "? or # in the address", addresses.query_part),
    Rule("address-last9", W, "an address at Last9 that is no Read URL", addresses.last9),
    Rule("plain-http", W, "a credential sent over http:// out of the cluster", addresses.plain_http),
    Rule("no-credential", E, "Last9 asked without a credential", addresses.unproven),
    Rule("insecure", W, "TLS without verification", addresses.insecure),
    Rule("timeout", E, "a timeout that is none, over at once, or in milliseconds", addresses.timeout),
    # The credential
    Rule("header-newline", E, "a header value with a line break, also from a Secret", credentials.newline),
    Rule("header-space", W, "a header value with stray white space, also from a Secret", credentials.space),
    Rule("header-scheme", E, "Authorization without Basic or Bearer", credentials.scheme),
    Rule("header-shape", W, "Basic that is not followed by base64 of user:password", credentials.shape),
    Rule("credential-literal", E, "a credential written in the gate", credentials.literal),
    Rule("secret-key", E, "an argument from a key that the Secret does not have", credentials.secret_key),
    Rule("secret-namespace", E, "an argument from a Secret of another namespace", credentials.secret_namespace),
    Rule("secret-base64", E, "Secret data that is no base64", credentials.secret_base64),
    # Arguments
    Rule("argument-unresolved", E, "{{…}} that nothing fills in", arguments.unresolved),
    Rule("argument-unused", W, "an argument that no metric uses", arguments.unused),
    Rule("argument-repeated", E, "two arguments of one name", arguments.repeated),
    Rule("argument-without-value", E, "an AnalysisRun's argument without a value", arguments.without_value),
    Rule("argument-both", E, "an argument with value and valueFrom", arguments.both),
    # What Rollouts make of it
    Rule("secret-in-rollout", E, "a Secret given as the Rollout's argument", references.secret_in_rollout),
    Rule("reference", E, "a template of another namespace or scope than the Rollout asks for", references.wrong_place),
    Rule("argument-not-given", E, "an argument without a value that the Rollout does not give", references.not_given),
    Rule("argument-not-wanted", W, "a Rollout's argument that no template has", references.not_wanted),
    Rule("endless", E, "no count in a gate that a step waits for", references.endless),
    Rule("dummy-value", E, "count from an argument without a value, in a step", references.dummy),
    Rule("metric-clash", E, "one metric name in two templates of one analysis", references.clash),
    Rule("diluted", W, "a share of all traffic that the canary's weight cannot move to failure", verdicts.diluted),
)


def lint(gates: Gates) -> tuple[Finding, ...]:
    """Go through all rules; findings are in the order of files and lines, without those that a comment allows."""
    return tuple(sorted({finding for rule in RULES for finding in _found(rule, gates)}))


def _found(rule: Rule, gates: Gates) -> Iterator[Finding]:
    for spot in rule.check(gates):
        if not gates.allowed(spot.file, spot.line, rule.name):
            yield Finding(spot.file, spot.line, rule.name, rule.severity, spot.why, spot.cure)


def failing(findings: tuple[Finding, ...], *, strict: bool) -> bool:
    """Say whether findings are to fail a build."""
    return any(strict or one.severity is Severity.ERROR for one in findings)
