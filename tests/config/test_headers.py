"""How headers and attributes are decoded (rules E11 to E14)."""

from __future__ import annotations

from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.config.values import FRAMING_HEADERS, SettingError, decode_headers, parse_attributes, percent_decode

TOKENS = st.text("abcdefghijklmnopqrstuvwxyz0123456789-_.", min_size=1, max_size=12).filter(
    lambda name: name not in FRAMING_HEADERS
)
VALUES = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), max_size=30)


@pytest.mark.parametrize(
    ("text", "headers"),
    [
        ("Authorization=Basic%20YTpi", {"authorization": "Basic YTpi"}),
        ("Authorization=Basic YTpi", {"authorization": "Basic YTpi"}),
        ("Authorization: Basic YTo=", {"authorization": "Basic YTo="}),
        ("a=b==", {"a": "b=="}),
        ("a=1+1", {"a": "1+1"}),
        (" a\t=  b , ,, c=d ,", {"a": "b", "c": "d"}),
        ("a=1,A=2", {"a": "2"}),
        ("a=", {"a": ""}),
        ("x-%61=1", {"x-a": "1"}),
        ("a: 1\nb: 2\r\n", {"a": "1", "b": "2"}),
        ("", {}),
    ],
)
def test_headers_are_decoded_in_all_accepted_forms(text: str, headers: dict[str, str]) -> None:
    """Rules E11, E12 and E13."""
    assert decode_headers(text) == (headers, (), ())


@given(st.dictionaries(TOKENS, VALUES, max_size=5))
def test_percent_encoded_headers_round_trip(headers: dict[str, str]) -> None:
    """Rule E11: encoding and decoding is a round trip."""
    text = ",".join(f"{quote(name)}={quote(value, safe='')}" for name, value in headers.items())
    assert decode_headers(text) == (headers, (), ())


@pytest.mark.slow
@given(st.dictionaries(st.text(min_size=1, max_size=9).filter(str.strip), st.text(max_size=20), max_size=5))
def test_percent_encoded_attributes_round_trip(attributes: dict[str, str]) -> None:
    """Rule E14: any text, commas and line breaks among it."""
    text = ",".join(f"{quote(key, safe='')}={quote(value, safe='')}" for key, value in attributes.items())
    assert parse_attributes(text) == attributes


@given(st.text(max_size=60))
def test_any_text_decodes_to_headers_or_messages(text: str) -> None:
    headers, invalid_values, invalid_items = decode_headers(text)
    assert all(name.isascii() and value.isascii() for name, value in headers.items())
    assert all(message and hint for message, hint in (*invalid_values, *invalid_items))


@pytest.mark.parametrize("text", ["%", "%2", "%zz", "a%g0", "100%"])
def test_an_invalid_percent_sign_is_rejected(text: str) -> None:
    """Rule E12."""
    with pytest.raises(SettingError, match="percent sign without two hexadecimal digits"):
        percent_decode(text)
