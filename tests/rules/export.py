"""The rules of export over OTLP: E01 to E43."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from .row import In, adapted, followed, not_followed

if TYPE_CHECKING:
    from .row import Row

ENVIRONMENT: Final = In("config/test_environment.py")
SETTINGS: Final = In("config/test_settings.py")
HEADERS: Final = In("config/test_headers.py")
SECRETS: Final = In("config/test_secrets.py")
HTTP: Final = In("otlp/test_http.py")
GRPC: Final = In("otlp/test_grpc.py")
HTTP_STATUS: Final = In("otlp/test_http_status.py")
GRPC_STATUS: Final = In("otlp/test_grpc_status.py")
SENDER: Final = In("otlp/test_sender.py")
POISON: Final = In("otlp/test_poison.py")
HOSTILE: Final = In("otlp/test_hostile_backend.py")
REFUSED: Final = In("otlp/test_refused_requests.py")
ENCODE: Final = In("otlp/test_encode.py")
QUEUE: Final = In("storage/test_queue.py")
PRODUCER: Final = In("otlp/test_producer.py")
STORAGE: Final = In("storage/test_storage.py")
SALVAGE: Final = In("storage/test_salvage.py")
DURABILITY: Final = In("storage/test_durability.py")
ATTACKS: Final = In("storage/test_attacks.py")
PROCESS: Final = In("test_delivery.py")

EXPORT: Final[tuple[Row, ...]] = (
    followed(
        "E01", "`/v1/metrics` is appended to a base endpoint, with one slash, after its own path",
        SETTINGS("test_the_path_is_appended_once_to_a_base_and_never_to_an_exact_url"),
        ENVIRONMENT("TestEndpoint::test_the_general_endpoint_is_a_base_and_the_one_for_metrics_is_exact"),
    ),
    followed(
        "E02", "The endpoint for metrics is used unchanged",
        SETTINGS("test_the_path_is_appended_once_to_a_base_and_never_to_an_exact_url"),
        ENVIRONMENT("TestEndpoint::test_the_general_endpoint_is_a_base_and_the_one_for_metrics_is_exact"),
    ),
    adapted(
        "E03", "Endpoints default to localhost; ports to 80 and 443",
        "There is no default endpoint: without one nothing is sent, and /metrics is served.",
        SETTINGS("TestDefaults::test_pushes_nothing_and_serves_metrics"),
        SETTINGS("test_for_grpc_a_scheme_overrides_insecure_and_ports_have_defaults"),
    ),
    followed(
        "E04", "For gRPC a scheme overrides INSECURE; HTTP ignores INSECURE",
        SETTINGS("test_for_grpc_a_scheme_overrides_insecure_and_ports_have_defaults"),
        SETTINGS("test_for_http_the_scheme_alone_decides_on_tls"),
        ENVIRONMENT("TestEndpoint::test_an_endpoint_without_scheme_is_an_error_for_http_and_valid_for_grpc"),
    ),
    followed(
        "E05", "Variables for metrics override general ones; sources have an order; an empty variable is unset",
        ENVIRONMENT("test_each_option_is_parsed_and_the_one_for_metrics_wins", "test_an_empty_variable_is_unset"),
        ENVIRONMENT("TestEndpoint::test_the_prefixed_variable_overrides_the_standard_one_and_that_overrides_last9"),
        ENVIRONMENT("TestHeaders::test_headers_for_metrics_replace_the_general_ones"),
    ),
    followed(
        "E06", "Only `true` is true; unknown words and invalid numbers cause a warning and are ignored",
        ENVIRONMENT("test_an_unknown_word_is_ignored_with_a_warning"),
        ENVIRONMENT("test_an_unknown_word_for_metrics_leaves_the_general_option"),
    ),
    followed(
        "E07", "TIMEOUT is in milliseconds, 0 means none, and it applies to each request",
        ENVIRONMENT("test_each_option_is_parsed_and_the_one_for_metrics_wins"),
        HTTP("test_a_failed_exchange_is_reported_by_its_kind"),
        GRPC("test_a_timeout_is_retried_over_a_new_connection"),
    ),
    adapted(
        "E08", "The protocol is grpc, http/protobuf (default) or http/json",
        "http/json is rejected with an error: stores answer 400 to it.",
        ENVIRONMENT("test_each_option_is_parsed_and_the_one_for_metrics_wins"),
        ENVIRONMENT("test_http_json_is_rejected_by_name"),
    ),
    followed(
        "E09", "Compression is gzip or none",
        ENVIRONMENT("test_each_option_is_parsed_and_the_one_for_metrics_wins"),
        HTTP("test_an_uncompressed_body_has_no_content_encoding"),
    ),
    followed(
        "E10", "Certificates are loaded from files, and again when they change",
        In("otlp/test_tls.py")("test_the_table_holds_over_http", "test_the_table_holds_over_grpc"),
        ENVIRONMENT("test_certificates_come_from_the_standard_variables"),
        HOSTILE("test_ca_certificates_are_reloaded_when_their_file_changes"),
        HOSTILE("test_a_client_certificate_is_sent_and_reloaded_when_it_changes"),
        GRPC("test_certificates_are_reloaded_when_they_change"),
    ),
    followed(
        "E11", "Headers: commas, the first `=`, trimmed, percent-decoded, `+` is kept, invalid items cause a warning",
        HEADERS("test_headers_are_decoded_in_all_accepted_forms", "test_percent_encoded_headers_round_trip"),
        ENVIRONMENT("TestHeaders::test_an_item_that_is_not_a_header_is_skipped_with_a_warning"),
    ),
    followed(
        "E12", "`Basic%20x` and `Basic x` are equal; an invalid percent sign rejects the item",
        HEADERS("test_headers_are_decoded_in_all_accepted_forms", "test_an_invalid_percent_sign_is_rejected"),
        ENVIRONMENT("TestHeaders::test_an_error_about_a_header_value_quotes_only_the_name"),
    ),
    followed(
        "E13", "Of a duplicate header the last is used, whatever its case; lower case for gRPC; no line breaks",
        HEADERS("test_headers_are_decoded_in_all_accepted_forms"),
        In("config/test_load.py")("TestPrecedence::test_header_names_ignore_case"),
        GRPC("test_a_call_has_the_decompressed_request_and_lower_case_metadata"),
        HTTP("test_a_header_with_a_line_break_is_not_sent"),
    ),
    followed(
        "E14", "Resource attributes: one invalid item drops the variable; configured attributes override it",
        ENVIRONMENT("TestAttributes::test_one_invalid_item_drops_the_entire_variable"),
        ENVIRONMENT("TestAttributes::test_configured_attributes_override_those_of_the_environment"),
        HEADERS("test_percent_encoded_attributes_round_trip"),
    ),
    followed(
        "E15", "User-Agent names the product, its version and OTLP's exporter",
        HTTP("test_a_request_has_the_headers_that_stores_require"),
        GRPC("test_a_call_has_the_decompressed_request_and_lower_case_metadata"),
    ),
    followed(
        "E16", "No secret in logs, errors, metrics, pages and printed configuration",
        SECRETS("test_a_secret_in_use_is_never_printed", "test_an_error_about_a_secret_does_not_quote_it"),
        In("test_log.py")("test_a_registered_secret_is_redacted_in_every_layout"),
        SENDER("test_each_change_of_state_is_logged_without_secrets"),
    ),
    followed(
        "E17", "POST of application/x-protobuf; Content-Encoding only for gzip; gRPC compresses the message once",
        HTTP("test_a_request_has_the_headers_that_stores_require"),
        HTTP("test_an_uncompressed_body_has_no_content_encoding"),
        GRPC("test_the_message_is_compressed_once_or_not_at_all"),
    ),
    followed(
        "E18", "A request above the size limit is not sent; a point that fits into none is counted as dropped",
        ENCODE("test_requests_have_limited_bytes_and_a_point_that_is_too_large_is_counted"),
    ),
    adapted(
        "E19", "At most 1,000 points a request; points of a series stay in order",
        "5,000 by default, and a setting: 1,000 cannot keep up with 10,000 rollouts over a round trip of 50 ms.",
        ENCODE("test_requests_have_limited_points_and_complete_metrics"),
        SENDER("test_a_large_snapshot_is_sent_in_several_requests_in_order"),
    ),
    adapted(
        "E20", "Connections are reused, one immediate retry on a dead one; HTTP/2 falls back; proxies; no redirects",
        "HTTP/1.1 only (gRPC for HTTP/2).",
        HTTP("test_the_connection_is_reused", "test_a_redirect_is_not_followed"),
        HTTP("test_a_stale_connection_costs_exactly_one_more_attempt"),
        HTTP("test_a_proxy_from_the_environment_is_used"),
    ),
    followed(
        "E21", "2xx means delivered, 3xx does not; an empty response is a success",
        HTTP_STATUS("test_an_empty_2xx_is_a_full_success"),
        HTTP_STATUS("test_a_wrong_credential_or_address_or_a_redirect_blocks_and_names_the_setting"),
    ),
    followed(
        "E22", "Points rejected by a partial success are counted, reported and not sent again",
        HTTP_STATUS("test_partial_success_is_accepted_and_counts_rejected_points"),
        SENDER("test_partial_success_is_counted_and_not_retried"),
        GRPC("test_partial_success_is_counted_and_not_sent_again"),
    ),
    followed(
        "E23", "A partial success that rejects no points is a warning",
        HTTP_STATUS("test_partial_success_is_accepted_and_counts_rejected_points"),
        GRPC_STATUS("test_ok_is_accepted_with_its_partial_success"),
    ),
    adapted(
        "E24", "A 200 with another body means delivered, with a warning",
        "Only if it claims to be OTLP and cannot be read: a web page or other JSON (a login, a captive portal) comes "
        "from somebody who stored nothing, and holds delivery.",
        HTTP_STATUS("test_an_answer_of_the_protocol_that_cannot_be_read_is_accepted_with_a_warning"),
        HTTP_STATUS("test_a_success_that_is_not_of_the_protocol_holds_and_its_first_words_are_reported"),
        SENDER("test_a_web_page_instead_of_an_answer_holds_delivery_until_it_is_gone"),
        SENDER("test_a_success_whose_body_breaks_is_delivered_once_with_a_warning"),
    ),
    followed(
        "E25", "A response above 4 MiB, decompressed, is not a reason to retry",
        HTTP("test_a_response_is_read_up_to_a_limit", "test_a_response_as_long_as_the_limit_is_read"),
        SENDER("test_a_response_that_is_too_large_drops_the_request"), GRPC("test_a_response_is_read_up_to_a_limit"),
    ),
    followed(
        "E26", "The body of an error is logged, whatever its format",
        HTTP_STATUS("test_an_error_has_the_text_of_the_server", "test_invalid_protobuf_does_not_change_the_result"),
        HTTP_STATUS("test_an_error_in_any_body_becomes_one_short_line"),
    ),
    adapted(
        "E27", "Only the HTTP statuses 429, 502, 503 and 504 are retried",
        "Every 5xx is retried: it is the server's trouble, and a CDN has codes of its own. 401, 403, 404, 407 and 3xx "
        "block delivery: a wrong credential, address or proxy must not cost a night's data. `otlp.retry.strict` "
        "follows.",
        HTTP_STATUS("test_strict_rules_retry_only_what_the_specification_allows"),
        HTTP_STATUS("test_codes_are_added_to_and_removed_from_those_that_are_retried_or_held"),
        POISON("test_a_backlog_survives_any_5xx_of_the_endpoint_and_keeps_its_order"),
        HTTP_STATUS("test_a_temporary_status_is_retried_not_before_the_requested_delay"),
        HTTP_STATUS("test_a_wrong_credential_or_address_or_a_redirect_blocks_and_names_the_setting"),
        HTTP_STATUS("test_other_statuses_are_permanent"),
    ),
    followed(
        "E28", "A request without response is retried, with growing delays and jitter",
        HOSTILE("test_no_point_is_lost_uncounted_with_any_hostile_backend"),
        HOSTILE("test_a_name_that_does_not_resolve_is_retried_soon"),
        HOSTILE("test_a_wrong_tls_name_is_retried_and_server_name_overrides_it"),
        SENDER("test_jitter_only_shortens_delays"),
    ),
    adapted(
        "E29", "Six gRPC statuses are retried",
        "INTERNAL and UNKNOWN, gRPC's 500, are retried as in E27; UNAUTHENTICATED, PERMISSION_DENIED, NOT_FOUND and "
        "UNIMPLEMENTED (gRPC's status for a 404) block delivery; after INVALID_ARGUMENT the bad points are isolated.",
        GRPC_STATUS("test_trouble_of_the_server_is_retried_unless_the_rules_are_strict_or_without_it"),
        GRPC_STATUS("test_a_temporary_status_is_retried_not_before_the_requested_delay"),
        GRPC_STATUS("test_a_wrong_credential_or_address_blocks_and_names_the_setting"),
        GRPC_STATUS("test_other_statuses_are_permanent", "test_invalid_argument_may_be_split"),
    ),
    adapted(
        "E30", "RESOURCE_EXHAUSTED is retried only with RetryInfo",
        "If its message says that the request is too large, it is sent in parts, as after 413.",
        GRPC_STATUS("test_resource_exhausted_with_a_delay_is_retried", "test_a_request_that_is_too_large_may_be_split"),
        GRPC_STATUS("test_unreadable_details_have_no_effect"),
    ),
    adapted(
        "E31", "Retry-After and RetryInfo are a minimum, capped by the configuration",
        "The cap is fixed: one hour.",
        SENDER("test_retry_after_is_the_minimum_delay"),
        SENDER("test_a_wait_of_ten_days_is_bounded_and_its_end_is_reported_and_logged"),
        GRPC_STATUS("test_a_requested_delay_is_limited_to_an_hour"),
        GRPC("test_a_busy_backend_is_retried_with_growing_delays_and_the_same_bytes"),
    ),
    followed(
        "E32", "Retry-After is whole seconds or any HTTP date; anything else is ignored",
        HTTP_STATUS("test_retry_after_is_an_integer_or_an_http_date_in_the_future"),
        HTTP_STATUS("test_a_temporary_status_is_retried_not_before_the_requested_delay"),
    ),
    followed(
        "E33", "A retry sends the same bytes",
        SENDER("test_a_busy_backend_receives_the_same_bytes_after_growing_delays"),
        DURABILITY("test_a_disturbed_life_loses_invents_and_repeats_nothing"),
    ),
    adapted(
        "E34", "401 and 403 drop after the credential was read again; 413 halves the request",
        "401 and 403 block delivery until the credential is corrected (E27), and are tried again with a small request.",
        POISON("test_a_refused_credential_is_tried_again_with_a_small_request_after_growing_delays"),
        SENDER("test_a_wrong_credential_blocks_delivery_until_its_file_is_corrected"),
        SENDER("test_blocked_delivery_is_retried_every_five_minutes_at_least"),
        REFUSED("test_a_request_that_is_too_large_is_halved_until_it_fits"),
        REFUSED("test_points_that_are_refused_in_a_request_of_their_own_are_dropped_once"),
    ),
    followed(
        "E35", "A permanently refused request is dropped once, counted by reason, and blocks nothing",
        POISON("test_a_point_that_fails_for_minutes_while_others_are_accepted_is_dropped_alone"),
        POISON("test_a_series_that_is_poison_in_every_snapshot_does_not_stop_delivery"),
        GRPC("test_a_permanent_error_drops_the_request_and_delivery_continues"),
        REFUSED("test_an_error_that_is_not_about_points_drops_the_request_and_delivery_continues"),
        REFUSED("test_a_bisection_ends_after_twenty_requests"),
    ),
    followed(
        "E36", "A request is retried while the queue holds it; expired requests are counted",
        SENDER("test_a_request_that_expires_during_retries_is_dropped_and_logged"),
        QUEUE("test_a_request_is_dropped_when_it_is_too_old", "test_the_age_goes_on_while_the_process_is_down"),
    ),
    adapted(
        "E37", "The queue is bounded in bytes and age, drops its oldest or newest, and never blocks a scrape",
        "It always drops its oldest: recent data matters most.",
        QUEUE("test_the_oldest_requests_are_dropped_when_the_queue_is_full"),
        STORAGE("test_a_disk_that_hangs_is_waited_for_no_longer_than_patience"),
        PRODUCER("test_other_tasks_run_between_two_requests"),
        ATTACKS("test_a_slow_fsync_delays_neither_a_cycle_nor_the_event_loop_nor_the_end"),
    ),
    followed(
        "E38", "Records on disk have checksums; damage costs one record; a lock; fsync policy; a full disk is handled",
        SALVAGE("test_a_flipped_byte_costs_the_rows_of_its_page"),
        SALVAGE("test_a_wal_with_a_bad_frame_is_noticed_and_nothing_that_was_done_is_sent_again"),
        STORAGE("test_a_second_process_is_refused_with_the_pid_of_the_first"),
        STORAGE("test_below_the_reserve_nothing_is_added_but_what_is_done_is_removed"),
    ),
    followed(
        "E39", "A kill at any instruction loses no record, and repeats few",
        DURABILITY("test_a_disturbed_life_loses_invents_and_repeats_nothing"),
        DURABILITY("test_any_sequence_of_steps_and_faults_conserves_every_point"),
    ),
    adapted(
        "E40", "SIGTERM stops scraping, flushes within a timeout, cuts a back-off short, keeps the rest, exits with 0",
        "It exits with 3 if points were lost with the process, which happens only in memory mode.",
        PROCESS("test_queued_points_are_delivered_before_the_exit"),
        PROCESS("test_a_signal_cuts_a_long_delay_short_and_everything_is_delivered"),
        PROCESS("test_points_on_disk_are_delivered_by_the_next_process"),
        PROCESS("test_points_lost_with_the_memory_are_counted_and_change_the_exit_status"),
        PROCESS("test_a_signal_stops_scraping_and_a_second_one_forces_the_exit"),
    ),
    adapted(
        "E41", "Concurrency is configurable, 1 by default; no series is reordered",
        "Always one request at a time: with requests of 5,000 points it keeps up, and keeps the order.",
        SENDER("test_a_large_snapshot_is_sent_in_several_requests_in_order"),
        SENDER("test_a_backend_that_was_down_receives_everything_in_order"),
    ),
    not_followed(
        "E42", "Several destinations, each with its own queue, retries and accounting",
        "One destination: a collector behind it can fan out, or a second exporter can send elsewhere.",
    ),
    followed(
        "E43", "Own metrics of points, queue, age, latency, success and codes; the accounting always balances",
        PROCESS("test_the_accounting_balances_at_every_scrape_and_every_delivery_metric_is_set"),
        STORAGE("test_the_counts_go_on_after_a_restart"),
    ),
)  # fmt: skip # a table
