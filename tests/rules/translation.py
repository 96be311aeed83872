"""The rules of translation, from exposition text to OTLP: T01 to T57."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from .row import PUSHED, SILENT, In, bent, foreign, kept, not_kept

if TYPE_CHECKING:
    from .row import Row

ENCODE: Final = In("otlp/test_encode.py")
DISTRIBUTIONS: Final = In("otlp/test_histograms.py")
OTHERS: Final = In("otlp/test_encode_oracle.py")
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
    kept(
        "T01", "The name stays as it is exposed, also a counter's with or without `_total`",
        ENCODE("test_a_counter_is_a_monotonic_cumulative_sum_without_an_invented_start_time"),
        PUSHED("t01-counter-names"), TEXT("test_a_counter_without_total_keeps_its_name"),
    ),
    kept(
        "T02", "HELP is the description; none is an empty one",
        ENCODE("test_a_gauge_keeps_its_name_help_and_type_and_has_no_unit"),
        ENCODE("test_a_missing_help_is_an_empty_description"), PUSHED("t02-help-escapes"),
    ),
    foreign(
        "T03", "UNIT is the unit, by the UCUM table; it is never guessed from a suffix",
        "Text 0.0.4 has no UNIT; the unit is always empty.",
        ENCODE("test_a_gauge_keeps_its_name_help_and_type_and_has_no_unit"),
    ),
    kept(
        "T04", "The metadata tells the exposed type, `unknown` where there is none",
        ENCODE("test_an_untyped_family_is_a_gauge_of_unknown_type"), PUSHED("t04-no-type"),
    ),
    kept(
        "T05", "A metric cut over several requests is complete in each",
        ENCODE("test_requests_have_limited_points_and_complete_metrics"),
        REQUEST("test_each_slice_is_a_request_with_complete_metrics"),
    ),
    bent(
        "T06", "Of two TYPEs of one family the first holds, the rest is dropped and counted",
        "Within a page only the second TYPE line is dropped and counted and its samples keep the first type, as both "
        "peers do; between pages the samples are.",
        MALFORMED("test_the_first_type_before_the_samples_applies"), PUSHED("t06-dup-type", "t06-split-family"),
        ENCODE("test_a_name_has_the_type_of_its_first_family"),
    ),
    kept(
        "T07", "Without explicit times all points of a scrape have one time",
        STALE("test_what_follows_from_a_source_that_is_silent_is_withheld_and_ends_with_the_grace"),
        DISTRIBUTIONS("test_a_histogram_is_one_point_whose_counts_are_differences"),
        OTHERS("test_every_sample_is_one_point_with_its_labels_and_value"),
    ),
    bent(
        "T08", "An explicit time is the point's, when honor_timestamps says so; else the scrape's is",
        "There is no such option: the tick is the time of every point, as with honor_timestamps off.",
        PUSHED("t08-explicit-ts", "t08-honor-ts-false"),
        PAGE("test_timestamps_of_a_real_page_are_ignored"),
    ),
    foreign(
        "T09", "A start time that was told is the point's; `_created` is no metric",
        "Text 0.0.4 tells no start times, and `_created` is a gauge of its own in it.",
        PUSHED("t09-text-created"), ENCODE("test_a_counter_has_its_start_time_if_that_is_known"),
    ),
    kept(
        "T10", "Gauges and unknowns have no start time",
        ENCODE("test_a_gauge_keeps_its_name_help_and_type_and_has_no_unit"),
        In("test_self_metrics.py")("test_a_counter_has_a_start_time_and_a_gauge_has_none"),
    ),
    not_kept(
        "T11", "On request: a start time is made up for counters, anew at each reset (true_reset)",
        "Not offered: a start that nobody told is left out, as the specification's default is; our own counters have "
        "a true one.",
        ENCODE("test_a_counter_is_a_monotonic_cumulative_sum_without_an_invented_start_time"),
    ),
    not_kept("T12", "On request: the first value is taken off later ones", "Not offered: values go as exposed."),
    foreign("T13", "What is known of resets ends with a series", "Nothing is: T11 and T12 are not offered."),
    kept(
        "T14", "A counter is a monotonic, cumulative Sum of doubles",
        ENCODE("test_a_counter_is_a_monotonic_cumulative_sum_without_an_invented_start_time"),
        PUSHED("t14-counter-odd"), OTHERS("test_counters_are_encoded_as_by_opentelemetry"),
    ),
    kept(
        "T15", "A gauge is a Gauge of doubles",
        ENCODE("test_a_gauge_keeps_its_name_help_and_type_and_has_no_unit"), PUSHED("t15-special-values"),
        OTHERS("test_gauges_are_encoded_as_by_opentelemetry"),
    ),
    kept("T16", "An unknown is a Gauge", ENCODE("test_an_untyped_family_is_a_gauge_of_unknown_type")),
    foreign("T17", "An info is a non-monotonic Sum", "Text 0.0.4 has no such type: see T19."),
    foreign("T18", "A stateset is a non-monotonic Sum, a point a state", "Text 0.0.4 has no such type."),
    kept("T19", "An `_info` that is declared a gauge is a Gauge", PUSHED("t19-gauge-info")),
    foreign(
        "T20", "Gauge histograms are dropped and counted",
        "Text 0.0.4 has no such type; a TYPE line that names it is dropped and counted.",
        MALFORMED("test_an_invalid_line_is_skipped_and_counted"),
    ),
    kept(
        "T21", "Buckets, sum and count of the same labels make one point; `le` is no attribute",
        DISTRIBUTIONS("test_a_histogram_is_one_point_whose_counts_are_differences"),
        DISTRIBUTIONS("test_histograms_with_scattered_lines_are_grouped"), PUSHED("t21-histogram"),
    ),
    kept(
        "T22", "Bounds rise, without +Inf; there is one count more; the counts add up",
        DISTRIBUTIONS("test_a_histogram_is_one_point_whose_counts_are_differences"),
        DISTRIBUTIONS("test_two_spellings_of_a_bound_are_one_bound"), PUSHED("t21-bad-le"),
        OTHERS("test_every_histogram_follows_the_rules"),
    ),
    kept(
        "T23", "A histogram without a count is dropped", PUSHED("t23-no-count"),
        DISTRIBUTIONS("test_an_invalid_histogram_is_skipped_alone"),
    ),
    kept(
        "T24", "A histogram without a sum has none, rather than 0",
        DISTRIBUTIONS("test_without_a_sum_the_sum_is_absent", "test_a_sum_of_zero_is_encoded"), PUSHED("t24-no-sum"),
    ),
    kept(
        "T25", "Without a +Inf bucket: one choice, tested (here: it follows from the count)",
        DISTRIBUTIONS("test_a_missing_inf_bucket_follows_from_the_count"), PUSHED("t25-no-inf"),
    ),
    kept(
        "T26", "Counts that fall, or are no whole numbers from 0 up, drop the point, counted",
        DISTRIBUTIONS("test_an_invalid_histogram_is_skipped_alone"), PUSHED("t26-decreasing"),
    ),
    kept(
        "T27", "With a count and a sum only: one choice, tested (here: one bucket, no bound)",
        DISTRIBUTIONS("test_without_buckets_there_is_one_count_and_no_bound"),
        PUSHED("t27-count-sum-only", "t27-inf-only"),
    ),
    kept(
        "T28", "Minimum and maximum are never set; temporality is cumulative",
        DISTRIBUTIONS("test_a_histogram_is_one_point_whose_counts_are_differences"),
        OTHERS("test_histograms_are_encoded_as_by_opentelemetry_except_min_and_max"),
    ),
    kept(
        "T29", "A summary is one point: no count drops it, no sum is 0, NaN survives",
        DISTRIBUTIONS("test_a_summary_keeps_its_quantiles_including_nan"),
        DISTRIBUTIONS("test_a_summary_without_sum_has_a_sum_of_zero_and_without_count_is_skipped"),
        PUSHED("t29-summary"),
    ),
    foreign(
        "T30", "Native histograms; protobuf is not asked for where it is not spoken",
        "Only text 0.0.4 is spoken, and nothing else asked for.",
        FETCH("test_the_request_accepts_text_format_0_0_4"),
        READ("test_another_format_is_reported_by_name_and_not_parsed"),
    ),
    foreign("T31", "Exemplars keep their ids", "Text 0.0.4 has none: it is malformed.", PUSHED("t31-text-exemplar")),
    kept(
        "T32", "Labels are string attributes to the byte, without empty ones and `__name__`",
        ENCODE("test_label_values_are_unchanged_and_empty_ones_omitted"),
        PUSHED("t32-label-escapes", "t32-label-name-odd"),
        NAMES("test_labels_are_decoded_in_the_order_of_the_page"),
    ),
    kept(
        "T33", "A sample with a label twice is dropped, the rest of the page survives",
        MALFORMED("test_an_invalid_line_is_skipped_and_counted"), PUSHED("t33-dup-label"),
        STALE("test_what_a_page_with_a_bad_line_lacks_has_not_gone"),
    ),
    bent(
        "T34", "`otel_scope_*` become the scope; without them it is the product's name and version",
        "The scope is always the product's, without a version, which some stores make a label of every series; no "
        "source has `otel_scope_*`, and they would stay labels.",
        ENCODE("test_the_scope_has_a_name_and_no_version"),
    ),
    bent(
        "T35", "The resource has service.name and a service.instance.id by target; points have neither",
        "What is pushed is of rollouts, not of a target: service.name is the exporter's, there is no instance id "
        "(it would make new series at each restart), and what is configured stands on the points, too.",
        ENCODE("test_identity_is_on_the_resource_and_on_each_point"),
        MODEL("TestDefaults::test_identity_is_only_the_service_name"),
        CONFIG("TestAttributes::test_an_attribute_that_changes_with_each_restart_causes_a_warning"),
    ),
    bent(
        "T36", "The target's address, port and scheme are on the resource, not on points",
        "One resource holds the series of all targets; a target's own series have its address as `instance`.",
        STALE("test_a_failed_scrape_is_told_and_ends_nothing_before_the_grace_does_and_then_all_of_it_once"),
    ),
    foreign("T37", "`target_info` becomes resource attributes", "A family of OpenMetrics; no source has it."),
    kept(
        "T38", "Configured attributes win or lose by one rule (a label of the page's own wins)",
        ENCODE("test_a_label_of_a_series_overrides_the_identity"),
        CONFIG("TestAttributes::test_configured_attributes_override_those_of_the_environment"),
    ),
    foreign("T39", "honor_labels decides between clashing labels", "No target's labels are put on scraped series."),
    kept(
        "T40", "No two points of one series and one time leave the process",
        ENCODE("test_a_series_that_occurs_twice_in_a_snapshot_is_encoded_once"),
        ENCODE("test_a_label_that_repeats_the_identity_does_not_make_a_second_series"),
        DISTRIBUTIONS("test_a_histogram_of_two_targets_is_encoded_once"), PUSHED("t33-dup-sample"),
    ),
    bent(
        "T41", "A series that a good scrape no longer has gets one end marker of the scrape's time",
        "So where absence proves that it is gone: on a whole page of the controller that led before, too. A new "
        "leader's first page, a standby's and a source still filling up prove nothing before the grace ends.",
        STALE("test_what_a_steady_leader_shows_no_longer_is_ended_once"),
        ENCODE("test_a_stale_series_gets_one_marker_without_value"),
        STALE("test_the_first_page_of_a_new_leader_proves_nothing"),
        PUSHED("rec-basic-canary", "t26-hist-reset-stale"),
    ),
    bent(
        "T42", "A failed scrape is told, ends all its series at once, and nothing partial is pushed",
        "A failover takes 15 to 20 s, so gauges are withheld and end with the grace; a malformed line costs itself, "
        "and then nothing absent from the page ends.",
        STALE("test_a_failed_scrape_is_told_and_ends_nothing_before_the_grace_does_and_then_all_of_it_once"),
        STALE("test_a_leader_that_is_back_within_the_grace_has_ended_nothing"),
        READ("test_an_unusable_page_yields_nothing"), SILENT("t42-http-500"),
        PUSHED("t42-parse-error", "t42-sample-limit"),
    ),
    bent(
        "T43", "The series of a target that is gone end after two intervals and a tenth",
        "An address that its name no longer resolves to is a pod that is gone: its own series end at once, what it "
        "showed by T42.",
        STALE("test_a_target_that_its_source_names_no_longer_ends_at_once_with_all_its_own_series"),
    ),
    kept("T44", "Its own end ends no series", In("test_delivery.py")("test_the_end_of_the_process_ends_no_series")),
    bent("T45", "Points with explicit times are not tracked", "They are: see T08.", PUSHED("t08-explicit-ts-tracked")),
    kept(
        "T46", "An end marker has attributes and no value; an ordinary NaN is data",
        ENCODE("test_a_stale_series_gets_one_marker_without_value", "test_nan_is_data_and_not_a_staleness_marker"),
        DISTRIBUTIONS("test_a_stale_histogram_is_marked_with_bounds_zero_counts_and_a_sum_of_zero"),
        DISTRIBUTIONS("test_a_stale_summary_repeats_its_quantiles"),
    ),
    kept(
        "T47", "A standby's empty page ends nothing of the leader's",
        STALE("test_the_empty_page_of_a_standby_ends_nothing_of_its_leaders"), PUSHED("t51-empty"),
    ),
    kept(
        "T48", "A change of phase ends the old info series and flips the one-hot without a gap",
        STALE("test_a_change_of_phase_ends_the_old_info_and_flips_the_one_hot_without_a_gap"),
        PUSHED("rec-basic-canary"),
    ),
    bent(
        "T49", "`up`, `scrape_*` of each target are gauges on its resource",
        "Named `rollouts_exporter_target_*`: whoever scrapes /metrics makes an `up` itself, and general alerts would "
        "fire. Samples after relabelling and series added are not told; limits that trip are a reason of "
        "`rollouts_exporter_scrapes_total`.",
        STALE("test_a_target_that_its_source_names_no_longer_ends_at_once_with_all_its_own_series"),
        STALE("test_a_failed_scrape_is_told_and_ends_nothing_before_the_grace_does_and_then_all_of_it_once"),
    ),
    kept(
        "T50", "The limit of a body counts unpacked bytes, and equality trips it",
        FETCH("test_the_body_limit_counts_decompressed_bytes_and_excludes_the_limit_itself"),
    ),
    kept(
        "T51", "Only what is spoken is asked for; gzip; the timeout is told; redirects by rule",
        FETCH("test_the_request_accepts_text_format_0_0_4", "test_a_redirect_is_not_followed"),
        FETCH("test_the_request_has_the_configured_path_and_headers", "test_gzip_is_decompressed"),
    ),
    bent(
        "T52", "A blank or unknown Content-Type is a configured fallback or a failure",
        "The fallback is always text 0.0.4, as file servers need it; HTML, JSON, OpenMetrics and protobuf are refused "
        "by name.",
        READ("test_a_type_that_is_no_other_format_is_parsed_as_text"),
        READ("test_another_format_is_reported_by_name_and_not_parsed"),
        PUSHED("t52-blank-ctype-fallback", "t52-json-ctype"),
    ),
    kept(
        "T53", "No metric without points, no empty scope or resource",
        ENCODE("test_an_empty_snapshot_makes_no_request_and_an_empty_family_no_metric", "test_a_family_without_name_is_skipped_and_counted"),
        REQUEST("test_each_slice_is_a_request_with_complete_metrics"),
    ),
    kept(
        "T54", "Infinities and NaN survive; in JSON they are strings",
        ENCODE("test_every_number_is_encoded_exactly", "test_nan_is_data_and_not_a_staleness_marker"),
        REQUEST("test_json_follows_the_otlp_mapping"),
    ),
    bent(
        "T55", "The fraction is in [0, 1], absent with a reason, 0 when idle, none for blueGreen, named by its method",
        "The best one has no label, so that its series is steady; each method has its own in `…_estimate`. The "
        "article's formula stands beside it unclamped, `argo_rollouts_updated_fraction`. While a new leader does not "
        "show a rollout yet, its fraction is absent without a reason.",
        DERIVED("test_a_share_is_in_0_to_1_and_named_by_its_method", "test_blue_green_has_no_share"),
        DERIVED("test_a_canary_at_rest_has_a_share_of_0_though_all_its_pods_are_updated"),
        DERIVED("test_a_share_that_is_not_known_is_absent_with_its_reason"),
    ),
    kept(
        "T56", "One of seven phases is 1; an unheard-of one is Unknown and counted; legacy pages, too",
        DERIVED("test_one_phase_of_seven_is_1_and_their_sum_is_1"),
        DERIVED("test_a_phase_never_heard_of_is_unknown_and_counted"),
        DERIVED("test_the_deprecated_family_tells_the_phase_where_it_is_alone"),
    ),
    bent(
        "T57", "What is derived has its inputs' time; of inputs too old nothing is derived, and it ends",
        "The tick is the time of all that is derived at it. A source that is asked less often is heard as it was last "
        "for as long as the grace; its age is `rollouts_exporter_source_age_seconds`.",
        STALE("test_what_follows_from_a_source_that_is_silent_is_withheld_and_ends_with_the_grace"),
        STALE("test_a_source_that_is_not_due_is_heard_as_it_was_last_and_for_the_grace_at_most"),
    ),
)  # fmt: skip # a table
