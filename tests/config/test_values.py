"""Formats of durations, sizes, lists and addresses."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.config.outputs import check_link, filled_link
from exporter.config.values import (
    SettingError,
    check_listen_address,
    check_target,
    format_duration,
    format_size,
    parse_duration,
    parse_list,
    parse_size,
)


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("15s", 15),
        ("1m30s", 90),
        ("250ms", 0.25),
        ("1.5h", 5400),
        ("1d", 86400),
        ("15", 15),
        (15, 15),
        (0.5, 0.5),
        ("0", 0),
    ],
)
def test_durations_are_numbers_or_go_like_text(written: object, expected: float) -> None:
    assert parse_duration(written) == pytest.approx(expected)


@pytest.mark.parametrize("written", ["", "s", "15 s", "-1s", "15x", "1m30", "nan", "inf", "1e3", "१s", True])
def test_invalid_durations_are_rejected(written: object) -> None:
    with pytest.raises(SettingError, match="is not a duration"):
        parse_duration(written)


@given(st.integers(min_value=0, max_value=10**9))
def test_a_formatted_duration_parses_to_the_same_value(milliseconds: int) -> None:
    assert parse_duration(format_duration(milliseconds / 1000)) == pytest.approx(milliseconds / 1000)


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("64MiB", 64 * 1024**2),
        ("10MB", 10_000_000),
        ("1.5KiB", 1536),
        ("7", 7),
        (7, 7),
        ("2 GiB", 2 * 1024**3),
        ("9B", 9),
    ],
)
def test_sizes_are_numbers_or_text_with_a_unit(written: object, expected: int) -> None:
    assert parse_size(written) == expected


@pytest.mark.parametrize("written", ["", "MiB", "-1", "10mb", "1e3", "10 TB", True])
def test_invalid_sizes_are_rejected(written: object) -> None:
    with pytest.raises(SettingError, match="is not a size"):
        parse_size(written)


@given(st.integers(min_value=0, max_value=2**50))
def test_a_formatted_size_parses_to_the_same_value(count: int) -> None:
    assert parse_size(format_size(count)) == count


@pytest.mark.parametrize(
    ("written", "expected"),
    [("a, b,,", ["a", "b"]), ('["a,b", "c"]', ["a,b", "c"]), ("", []), (["a"], ["a"])],
)
def test_lists_are_json_or_comma_separated(written: object, expected: list[str]) -> None:
    assert parse_list(written) == expected


@pytest.mark.parametrize(
    "text",
    ["h:8090", "argo.svc:1", "10.0.0.1:65535", "[::1]:8090", "http://h", "https://h:1/metrics?x=y", "my_host:80"],
)
def test_targets_are_host_and_port_or_urls(text: str) -> None:
    assert check_target(text) == text


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("h", "has no port"),
        ("h:0", "has no host or an invalid port"),
        ("h:65536", "is not an address"),
        ("h:x", "is not an address"),
        (":8090", "has no host"),
        ("", "has no host"),
        ("h :8090", "has no host"),
        ("[::1:8090", "is not an address"),
        ("ftp://h:21", "has the scheme 'ftp'"),
        ("h:8090/metrics", "has a path but no scheme"),
        ("http://user:pass@h", "has a user name"),
    ],
)
def test_invalid_targets_are_rejected(text: str, problem: str) -> None:
    with pytest.raises(SettingError) as caught:
        check_target(text)
    assert problem in str(caught.value)
    assert "pass" not in str(caught.value)


@given(st.text(max_size=30))
def test_any_text_is_a_valid_target_or_rejected(text: str) -> None:
    with suppress(SettingError):
        assert check_target(text) == text


@pytest.mark.parametrize("written", ["", "host", "a:b", ":65536", "a:b:1", "http://h:1"])
def test_invalid_listen_addresses_are_rejected(written: str) -> None:
    with pytest.raises(SettingError, match="is not a listen address"):
        check_listen_address(written)


@pytest.mark.parametrize(
    ("link", "filled"),
    [
        ("https://{name}.x/{namespace}", "https://b%26c.x/a%2Fb"),
        ('https://x/?left={"a":1}&v={name}', 'https://x/?left={"a":1}&v=b%26c'),
    ],
)
def test_a_link_is_filled_in_quoted_and_keeps_other_braces(link: str, filled: str) -> None:
    assert filled_link(check_link(link), {"namespace": "a/b", "name": "b&c", "hash": ""}) == filled
