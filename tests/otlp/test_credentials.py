"""The headers of a request: which source takes precedence, and that files are reloaded."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from exporter.log import REDACTOR
from exporter.otlp.transport.credentials import Destination, RequestCredentials

from .certificates import replace_file

if TYPE_CHECKING:
    from pathlib import Path


def test_a_file_overrides_the_settings_and_the_authorization_file_overrides_both(tmp_path: Path) -> None:
    headers = replace_file(tmp_path / "headers", "X-Org=2,authorization=Basic%20b25lOm9uZQ==\nX-More: 3\n")
    authorization = replace_file(tmp_path / "authorization", "Basic dHdvOnR3bw==\n")
    destination = Destination(
        "", {"x-org": "1", "X-Plain": "0", "Authorization": "Basic emVybw=="}, headers, authorization
    )
    assert RequestCredentials(destination).headers() == {
        "x-org": "2",
        "x-plain": "0",
        "x-more": "3",
        "authorization": "Basic dHdvOnR3bw==",
    }


def test_headers_are_reloaded_when_their_file_changes(tmp_path: Path) -> None:
    file = replace_file(tmp_path / "headers", "x-key=one")
    credentials = RequestCredentials(Destination("", headers_file=file))
    assert (credentials.headers(), credentials.changed()) == ({"x-key": "one"}, False)
    replace_file(file, "x-key=two")
    assert (credentials.changed(), credentials.headers()) == (True, {"x-key": "two"})


@pytest.mark.parametrize(
    ("setting", "content", "message"),
    [
        ("headers_file", None, "cannot be read: No such file"),
        ("headers_file", b"", "is empty"),
        ("headers_file", b"x=1,hush4711", "item 2 is not a header; write name=value"),
        ("headers_file", b"x=hush4711%zz", "header x: has a percent sign"),
        ("headers_file", b"\xffhush4711", "is not UTF-8"),
        ("authorization_file", None, "cannot be read: No such file"),
        ("authorization_file", b"\n", "is empty"),
        ("authorization_file", b"Basic hush4711\nX: y", "has a line break"),
    ],
)
def test_an_unusable_file_is_reported_with_its_setting_and_not_shown(
    tmp_path: Path, setting: str, content: bytes | None, message: str
) -> None:
    file = tmp_path / "file"
    if content is not None:
        replace_file(file, content)
    destination = (
        Destination("", headers_file=file) if setting == "headers_file" else Destination("", authorization_file=file)
    )
    with pytest.raises(ValueError, match=message) as caught:
        RequestCredentials(destination).headers()
    assert str(caught.value).startswith(f"otlp.{setting}: {file}")
    assert "hush4711" not in str(caught.value)
    assert caught.value.__suppress_context__


def test_sent_credentials_are_redacted_in_the_log(tmp_path: Path) -> None:
    file = replace_file(tmp_path / "headers", "x-key=hush-from-a-file")
    destination = Destination("", {"authorization": "Basic hush-from-settings"}, headers_file=file)
    RequestCredentials(destination).headers()
    assert "hush" not in REDACTOR.redact("hush-from-a-file, hush-from-settings, Basic hush-from-settings") + repr(
        destination
    )
