"""The rules of translation, from exposition text to OTLP: T01 to T57."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from .row import PUSHED, SILENT, In, adapted, followed, not_applicable, not_followed

if TYPE_CHECKING:
    from .row import Row

ENCODE: Final = In("otlp/test_encode.py")
HISTOGRAMS: Final = In("otlp/test_histograms.py")
ORACLE: Final = In("otlp/test_encode_oracle.py")
REQUEST: Final = In("otlp/test_export_request.py")
PAGE: Final = In("scrape/test_parser.py")
MALFORMED: Final = In("scrape/test_parse_errors.py")
NAMES: Final = In("scrape/test_cache.py")
FETCH: Final = In("scrape/test_client.py")
READ: Final = In("scrape/test_response.py")
STALE: Final = In("rollouts/test_rule_staleness.py")
DERIVED: Final = In("rollouts/test_rule_derived.py")
CONFIG: Final = In("config/test_environment.py")
MODEL: Final = In("config/test_settings.py")
TEXT: Final = In("web/test_exposition_writer.py")

TRANSLATION: Final[tuple[Row, ...]] = (
    followed(
        "T01", "A name is unchanged, including counters with or without `_total`",
        ENCODE("test_a_counter_is_a_monotonic_cumulative_sum_without_an_invented_start_time"),
        PUSHED("t01-counter-names"), TEXT("test_a_counter_without_total_keeps_its_name"),
    ),
    followed(
        "T02", "HELP becomes the description, empty if there is none",
        ENCODE("test_a_gauge_keeps_its_name_help_and_type_and_has_no_unit"),
        ENCODE("test_a_missing_help_is_an_empty_description"), PUSHED("t02-help-escapes"),
    ),
    not_applicable(
        "T03", "UNIT becomes the unit, by the UCUM table; it is never guessed from a suffix",
        "Text 0.0.4 has no UNIT; the unit is always empty.",
        ENCODE("test_a_gauge_keeps_its_name_help_and_type_and_has_no_unit"),
    ),
    followed(
        "T04", "The metadata contains the exposed type, `unknown` if there is none",
        ENCODE("test_an_untyped_family_is_a_gauge_of_unknown_type"), PUSHED("t04-no-type"),
    ),
    followed(
        "T05", "A metric that is split over several requests is complete in each",
        ENCODE("test_requests_have_limited_points_and_complete_metrics"),
        REQUEST("test_each_slice_is_a_request_with_complete_metrics"),
    ),
    adapted(
        "T06", "Of two TYPEs of a family the first is used; the rest is dropped and counted",
        "Within a page only the second TYPE line is dropped and counted, and its samples keep the first type, as in "
        "the collector and Prometheus; between pages the samples are dropped.",
        MALFORMED("test_the_first_type_before_the_samples_applies"), PUSHED("t06-dup-type", "t06-split-family"),
        ENCODE("test_a_name_has_the_type_of_its_first_family"),
        In("rollouts/test_type_conflicts.py")(
            "test_a_family_has_the_type_of_the_first_page_and_the_rest_is_dropped_and_counted"
        ),
    ),
    followed(
        "T07", "Without explicit timestamps all points of a scrape have one time",
        STALE("test_series_of_a_failed_source_are_absent_and_go_stale_when_the_grace_period_ends"),
        HISTOGRAMS("test_a_histogram_is_one_point_whose_counts_are_differences"),
        ORACLE("test_every_sample_is_one_point_with_its_labels_and_value"),
    ),
    adapted(
        "T08", "The time of a point is its explicit timestamp if honor_timestamps is set, else that of the scrape",
        "There is no such option: every point has the time of the tick, as with honor_timestamps off.",
        PUSHED("t08-explicit-ts", "t08-honor-ts-false"),
        PAGE("test_timestamps_of_a_real_page_are_ignored"),
    ),
    not_applicable(
        "T09", "An exposed start time is the start time of the point; `_created` is not a metric",
        "Text 0.0.4 has no start times, and `_created` is an ordinary gauge in it.",
        PUSHED("t09-text-created"), ENCODE("test_a_counter_has_its_start_time_if_that_is_known"),
    ),
    followed(
        "T10", "Gauges and untyped families have no start time",
        ENCODE("test_a_gauge_keeps_its_name_help_and_type_and_has_no_unit"),
        In("test_self_metrics.py")("test_a_counter_has_a_start_time_and_a_gauge_has_none"),
    ),
    not_followed(
        "T11", "Optional: start times of counters are inferred, again at each reset (true_reset)",
        "Not offered: an unknown start time is omitted, the default of the specification; the exporter's own counters"
        " have a true one.",
        ENCODE("test_a_counter_is_a_monotonic_cumulative_sum_without_an_invented_start_time"),
    ),
    not_followed(
        "T12", "Optional: the first value of a counter is subtracted from later ones",
        "Not offered: values are unchanged.",
    ),
    not_applicable(
        "T13", "State about resets is deleted with its series",
        "There is none: T11 and T12 are not offered.",
    ),
    followed(
        "T14", "A counter is a monotonic, cumulative Sum of doubles",
        ENCODE("test_a_counter_is_a_monotonic_cumulative_sum_without_an_invented_start_time"),
        PUSHED("t14-counter-odd"), ORACLE("test_counters_are_encoded_as_by_opentelemetry"),
    ),
    followed(
        "T15", "A gauge is a Gauge of doubles",
        ENCODE("test_a_gauge_keeps_its_name_help_and_type_and_has_no_unit"), PUSHED("t15-special-values"),
        ORACLE("test_gauges_are_encoded_as_by_opentelemetry"),
    ),
    followed("T16", "An untyped family is a Gauge", ENCODE("test_an_untyped_family_is_a_gauge_of_unknown_type")),
    not_applicable("T17", "An info family is a non-monotonic Sum", "Text 0.0.4 has no such type: see T19."),
    not_applicable(
        "T18", "A stateset is a non-monotonic Sum with a point for each state",
        "Text 0.0.4 has no such type.",
    ),
    followed("T19", "An `_info` family that is declared a gauge is a Gauge", PUSHED("t19-gauge-info")),
    not_applicable(
        "T20", "Gauge histograms are dropped and counted",
        "Text 0.0.4 has no such type; a TYPE line with it is dropped and counted.",
        MALFORMED("test_an_invalid_line_is_skipped_and_counted"),
    ),
    followed(
        "T21", "Buckets, sum and count of the same labels become one point; `le` is not an attribute",
        HISTOGRAMS("test_a_histogram_is_one_point_whose_counts_are_differences"),
        HISTOGRAMS("test_histograms_with_scattered_lines_are_grouped"), PUSHED("t21-histogram"),
    ),
    followed(
        "T22", "Bounds ascend, without +Inf; one more bucket count than bounds; bucket counts add up to the count",
        HISTOGRAMS("test_a_histogram_is_one_point_whose_counts_are_differences"),
        HISTOGRAMS("test_two_spellings_of_a_bound_are_one_bound"), PUSHED("t21-bad-le"),
        ORACLE("test_every_histogram_follows_the_rules"),
    ),
    followed(
        "T23", "A histogram without count is dropped", PUSHED("t23-no-count"),
        HISTOGRAMS("test_an_invalid_histogram_is_skipped_alone"),
    ),
    followed(
        "T24", "A histogram without sum has no sum, rather than 0",
        HISTOGRAMS("test_without_a_sum_the_sum_is_absent", "test_a_sum_of_zero_is_encoded"), PUSHED("t24-no-sum"),
    ),
    followed(
        "T25", "Without +Inf bucket: one choice, tested (here: it follows from the count)",
        HISTOGRAMS("test_a_missing_inf_bucket_follows_from_the_count"), PUSHED("t25-no-inf"),
    ),
    followed(
        "T26", "Counts that decrease, or are not non-negative integers, drop the point and are counted",
        HISTOGRAMS("test_an_invalid_histogram_is_skipped_alone"), PUSHED("t26-decreasing"),
    ),
    followed(
        "T27", "With count and sum only: one choice, tested (here: one bucket, no bounds)",
        HISTOGRAMS("test_without_buckets_there_is_one_count_and_no_bound"),
        PUSHED("t27-count-sum-only", "t27-inf-only"),
    ),
    followed(
        "T28", "Minimum and maximum are never set; temporality is cumulative",
        HISTOGRAMS("test_a_histogram_is_one_point_whose_counts_are_differences"),
        ORACLE("test_histograms_are_encoded_as_by_opentelemetry_except_min_and_max"),
    ),
    followed(
        "T29", "A summary is one point: dropped without count, sum 0 without sum, NaN is preserved",
        HISTOGRAMS("test_a_summary_keeps_its_quantiles_including_nan"),
        HISTOGRAMS("test_a_summary_without_sum_has_a_sum_of_zero_and_without_count_is_skipped"),
        PUSHED("t29-summary"),
    ),
    not_applicable(
        "T30", "Native histograms; protobuf is not accepted where it is not parsed",
        "Only text 0.0.4 is parsed, and nothing else is accepted.",
        FETCH("test_the_request_accepts_text_format_0_0_4"),
        READ("test_another_format_is_reported_by_name_and_not_parsed"),
    ),
    not_applicable("T31", "Exemplars keep their ids",
        "Text 0.0.4 has none: they are parse errors.", PUSHED("t31-text-exemplar")),
    followed(
        "T32", "Labels are string attributes, unchanged, without empty values and `__name__`",
        ENCODE("test_label_values_are_unchanged_and_empty_ones_omitted"),
        PUSHED("t32-label-escapes", "t32-label-name-odd"),
        NAMES("test_labels_are_decoded_in_the_order_of_the_page"),
    ),
    followed(
        "T33", "A sample with a duplicate label is dropped; the rest of the page is parsed",
        MALFORMED("test_an_invalid_line_is_skipped_and_counted"), PUSHED("t33-dup-label"),
        STALE("test_series_missing_from_a_page_with_a_malformed_line_are_not_stale"),
    ),
    adapted(
        "T34", "`otel_scope_*` labels become the scope; without them it is the product's name and version",
        "The scope is always the product's, without a version, which some stores make a label of every series; no "
        "source has `otel_scope_*`, and they would stay labels.",
        ENCODE("test_the_scope_has_a_name_and_no_version"),
    ),
    adapted(
        "T35", "The resource has service.name and a service.instance.id by target; points have neither",
        "The exported series are about rollouts, not about a target: service.name is the exporter's, there is no "
        "instance id (it would make new series at each restart), and configured attributes are on every point, too.",
        ENCODE("test_identity_is_on_the_resource_and_on_each_point"),
        MODEL("TestDefaults::test_identity_is_only_the_service_name"),
        CONFIG("TestAttributes::test_an_attribute_that_changes_with_each_restart_causes_a_warning"),
    ),
    adapted(
        "T36", "The address, port and scheme of the target are on the resource, not on points",
        "One resource holds the series of all targets; a target's own series have its address as `instance`.",
        STALE("test_after_a_failed_scrape_series_go_stale_once_when_the_grace_period_ends"),
    ),
    not_applicable("T37", "`target_info` becomes resource attributes", "A family of OpenMetrics; no source has it."),
    followed(
        "T38", "Configured attributes override labels or not, by one rule (here: a label of the page overrides them)",
        ENCODE("test_a_label_of_a_series_overrides_the_identity"),
        CONFIG("TestAttributes::test_configured_attributes_override_those_of_the_environment"),
    ),
    not_applicable(
        "T39", "honor_labels decides between conflicting labels",
        "No target labels are added to scraped series.",
    ),
    followed(
        "T40", "No two points of one series have the same time",
        ENCODE("test_a_series_that_occurs_twice_in_a_snapshot_is_encoded_once"),
        ENCODE("test_a_label_that_repeats_the_identity_does_not_make_a_second_series"),
        HISTOGRAMS("test_a_histogram_of_two_targets_is_encoded_once"), PUSHED("t33-dup-sample"),
    ),
    adapted(
        "T41", "A series missing from a successful scrape gets one staleness marker with the time of the scrape",
        "Only if absence proves that it is gone: on a complete page of the controller that led before. The first page"
        " of a new leader, a standby's page and a source that is still filling up prove nothing before the grace "
        "period ends.",
        STALE("test_series_that_an_established_leader_no_longer_shows_go_stale_once"),
        ENCODE("test_a_stale_series_gets_one_marker_without_value"),
        STALE("test_the_first_page_of_a_new_leader_proves_no_deletion"),
        PUSHED("rec-basic-canary", "t26-hist-reset-stale"),
    ),
    adapted(
        "T42", "A failed scrape is reported, makes all its series stale at once, and no partial page is exported",
        "A failover takes 15 to 20 s, so gauges are withheld and go stale with the grace period; a malformed line "
        "drops one sample, and then no series that is absent from the page goes stale.",
        STALE("test_after_a_failed_scrape_series_go_stale_once_when_the_grace_period_ends"),
        STALE("test_a_leader_that_returns_within_the_grace_period_leaves_nothing_stale"),
        READ("test_an_unusable_page_yields_nothing"), SILENT("t42-http-500"),
        PUSHED("t42-parse-error", "t42-sample-limit"),
    ),
    adapted(
        "T43", "The series of a target that is gone go stale after 2.1 intervals",
        "An address that its name no longer resolves to is a deleted pod: its own series go stale at once, those that"
        " it exposed by T42.",
        STALE("test_all_series_of_a_removed_target_go_stale_at_once"),
    ),
    followed(
        "T44", "The exporter's shutdown makes no series stale",
        In("test_delivery.py")("test_the_exit_sends_no_staleness_markers"),
    ),
    adapted(
        "T45", "Points with explicit timestamps are not tracked", "They are: see T08.",
        PUSHED("t08-explicit-ts-tracked"),
    ),
    followed(
        "T46", "A staleness marker has attributes and no value; an ordinary NaN is data",
        ENCODE("test_a_stale_series_gets_one_marker_without_value", "test_nan_is_data_and_not_a_staleness_marker"),
        HISTOGRAMS("test_a_stale_histogram_is_marked_with_bounds_zero_counts_and_a_sum_of_zero"),
        HISTOGRAMS("test_a_stale_summary_repeats_its_quantiles"),
    ),
    followed(
        "T47", "The empty page of a standby makes none of the leader's series stale",
        STALE("test_the_empty_page_of_a_standby_leaves_nothing_stale"), PUSHED("t51-empty"),
    ),
    followed(
        "T48", "A change of phase makes the previous info series stale and switches the phase series without a gap",
        STALE("test_a_phase_change_makes_the_old_info_stale_and_changes_the_phase_series_without_a_gap"),
        PUSHED("rec-basic-canary"),
    ),
    adapted(
        "T49", "`up` and `scrape_*` of each target are gauges on its resource",
        "Named `rollouts_exporter_target_*`: a scrape of /metrics creates its own `up`, and general alerts would "
        "fire. Samples after relabelling and series added are not exported; exceeded limits are a reason of "
        "`rollouts_exporter_scrapes_total`.",
        STALE("test_all_series_of_a_removed_target_go_stale_at_once"),
        STALE("test_after_a_failed_scrape_series_go_stale_once_when_the_grace_period_ends"),
    ),
    followed(
        "T50", "The body limit applies to decompressed bytes, and equality exceeds it",
        FETCH("test_the_body_limit_counts_decompressed_bytes_and_excludes_the_limit_itself"),
    ),
    followed(
        "T51", "Only supported formats are accepted; gzip; the timeout is sent; redirects by rule",
        FETCH("test_the_request_accepts_text_format_0_0_4", "test_a_redirect_is_not_followed"),
        FETCH("test_the_request_has_the_configured_path_and_headers", "test_gzip_is_decompressed"),
    ),
    adapted(
        "T52", "A missing or unknown Content-Type means a configured fallback or a failure",
        "The fallback is always text 0.0.4, which file servers need; HTML, JSON, OpenMetrics and protobuf are "
        "rejected by name.",
        READ("test_a_type_that_is_no_other_format_is_parsed_as_text"),
        READ("test_another_format_is_reported_by_name_and_not_parsed"),
        PUSHED("t52-blank-ctype-fallback", "t52-json-ctype"),
    ),
    followed(
        "T53", "No metric without points, no empty scope or resource",
        ENCODE("test_an_empty_snapshot_makes_no_request_and_an_empty_family_no_metric"),
        ENCODE("test_a_family_without_name_is_skipped_and_counted"),
        REQUEST("test_each_slice_is_a_request_with_complete_metrics"),
    ),
    followed(
        "T54", "Infinities and NaN are preserved; in JSON they are strings",
        ENCODE("test_every_number_is_encoded_exactly", "test_nan_is_data_and_not_a_staleness_marker"),
        REQUEST("test_json_follows_the_otlp_mapping"),
    ),
    adapted(
        "T55", "The fraction is in [0, 1], absent with a reason, 0 when idle, none for blueGreen, named by its method",
        "The best estimate has no method label, so that its series is stable; each method has its own in "
        "`…_estimate`. The article's formula is exported unclamped as `argo_rollouts_updated_fraction`. While a new "
        "leader does not expose a rollout yet, its fraction is absent without a reason.",
        DERIVED("test_a_canary_fraction_is_in_0_to_1_and_named_by_its_method"),
        DERIVED("test_a_blue_green_rollout_has_no_canary_fraction"),
        DERIVED("test_a_canary_at_rest_has_fraction_0_although_all_its_pods_are_updated"),
        DERIVED("test_an_unknown_fraction_is_absent_with_its_reason"),
    ),
    followed(
        "T56", "One of seven phases is 1; an unrecognised one is Unknown and counted; legacy pages, too",
        DERIVED("test_one_of_seven_phases_is_1_and_their_sum_is_1"),
        DERIVED("test_an_unrecognised_phase_is_unknown_and_counted"),
        DERIVED("test_the_deprecated_family_gives_the_phase_if_it_is_the_only_one"),
    ),
    adapted(
        "T57", "Derived series have the time of their inputs; from inputs that are too old nothing is derived",
        "The tick is the time of all series derived at it. A source that is scraped less often is carried over for "
        "the grace period; its age is `rollouts_exporter_source_age_seconds`.",
        STALE("test_series_of_a_failed_source_are_absent_and_go_stale_when_the_grace_period_ends"),
        STALE("test_a_source_that_is_not_due_counts_as_unchanged_for_the_grace_period_at_most"),
    ),
)  # fmt: skip # a table
