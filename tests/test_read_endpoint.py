"""The endpoint of the section `read`: address, credential, proxy and hints."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING

import pytest

from exporter.config.outputs import ReadSection
from exporter.service.wiring import read_endpoint

if TYPE_CHECKING:
    from pathlib import Path

LAST9 = {"last9": {"cluster": "c-1", "organization": "acme"}}
SECRET = "very-secret-4711"


def authorization(section: dict[str, object]) -> str:
    return read_endpoint(ReadSection.parse(section)).headers.get("Authorization", "")


def test_last9_uses_the_cluster_as_user_name(tmp_path: Path) -> None:
    (tmp_path / "token").write_text(f"{SECRET}\n")
    section = {**LAST9, "password_file": tmp_path / "token", "timeout": "5s"}
    endpoint_settings = read_endpoint(ReadSection.parse(section))
    assert endpoint_settings.address == "https://read-app-tsdb.last9.io/hot/v1/metrics/c-1/sender/acme"
    credential = endpoint_settings.headers["Authorization"].removeprefix("Basic ")
    assert base64.b64decode(credential) == f"c-1:{SECRET}".encode()
    assert endpoint_settings.timeout == 5
    assert endpoint_settings.tls is not None
    assert endpoint_settings.hints.address == "read.last9"
    assert SECRET not in repr(endpoint_settings)


def test_an_authorization_file_is_read_without_its_line_break(tmp_path: Path) -> None:
    (tmp_path / "header").write_text(f"Bearer {SECRET}\n")
    section = {"address": "http://h:9090", "authorization_file": tmp_path / "header"}
    assert authorization(section) == f"Bearer {SECRET}"
    assert read_endpoint(ReadSection.parse(section)).hints.credential == "read.authorization_file"


def test_a_password_is_sent_and_without_one_no_header() -> None:
    assert authorization({"address": "http://h", "username": "u", "password": "p"}) == "Basic dTpw"
    assert authorization({"address": "http://h"}) == ""


def test_the_proxy_of_the_environment_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:3128")
    monkeypatch.setenv("no_proxy", "near")
    far, near = (read_endpoint(ReadSection.parse({"address": f"http://{host}"})) for host in ("far", "near"))
    assert (far.proxy, near.proxy) == ("http://127.0.0.1:3128", None)


def test_a_missing_file_is_an_error_with_its_name(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="token"):
        authorization({**LAST9, "password_file": tmp_path / "token"})
