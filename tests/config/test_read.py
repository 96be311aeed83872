"""Section `read`: address and credentials of the store."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

import pytest

from exporter.config import as_yaml
from exporter.config.outputs import ReadSection

if TYPE_CHECKING:
    from pathlib import Path

    from tests.config.conftest import LoadConfig, LoadIssues

READ_URL = "https://read-app-tsdb.last9.io/hot/v1/metrics/c-1/sender/acme"
SECRET = "s3cr3t-cmVhZC10b2tlbg"


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("{}", ""),
        ("{address: 'http://prometheus:9090'}", "http://prometheus:9090"),
        ("{address: 'https://h/prometheus/'}", "https://h/prometheus"),
        ("{address: 'https://app.last9.io/api/v1/prometheus'}", "https://app.last9.io/api/v1/prometheus"),
        ("{last9: {cluster: c-1, organization: acme}, password: x}", READ_URL),
    ],
)
def test_the_address_excludes_the_api_path(load_config: LoadConfig, text: str, url: str) -> None:
    assert load_config(f"read: {text}").settings.read.url == url


def test_the_cluster_of_last9_is_the_default_user_name() -> None:
    last9 = {"cluster": "c-1", "organization": "acme"}
    assert ReadSection.parse({"last9": last9}).user == "c-1"
    assert ReadSection.parse({"last9": last9, "username": "u"}).user == "u"
    assert ReadSection().user == ""


def test_variables_can_set_the_entire_section(load_config: LoadConfig) -> None:
    variables = {"LAST9__CLUSTER": "c-1", "LAST9__ORGANIZATION": "acme", "PASSWORD": SECRET, "TIMEOUT": "5s"}
    result = load_config(None, {f"ROLLOUTS_EXPORTER_READ__{name}": text for name, text in variables.items()})
    read = result.settings.read
    assert (read.url, read.user, read.timeout) == (READ_URL, "c-1", 5)
    assert read.password is not None
    assert read.password.text == SECRET
    assert SECRET not in repr(result) + as_yaml(result) + str(asdict(result.settings))


APPENDED = "read.address: ends in /api/v1, which is appended to it; write the part before /api/v1"
USER_IN_ADDRESS = (
    "read.address: has a user name before an @; set credentials in their own settings, and write the address alone"
)
LAST9 = "{cluster: c, organization: o}"


@pytest.mark.parametrize(
    ("text", "issue"),
    [
        ("{address: 'http://h/api/v1/query'}", APPENDED),
        ("{address: 'http://h/x/api/v1/'}", APPENDED),
        ("{address: 'h:9090'}", "read.address: 'h:9090' has no scheme; write https://h:9090 (http:// for plain text)"),
        ("{address: 'http://h?x=1'}", "read.address: has a query or a fragment; write the address alone"),
        (
            "{address: 'https://app-tsdb.last9.io/v1/metrics/c/sender/o/write'}",
            "read.address: is a remote write URL; write the address to read from; at Last9 it is the Read URL",
        ),
        (
            f"{{address: 'https://u:{SECRET}@h'}}",
            USER_IN_ADDRESS,
        ),
        (f"{{address: 'http://h', last9: {LAST9}}}", "read.address: is set, and `last9` too; keep one of them"),
        (
            "{last9: {cluster: c}}",
            "read.last9.cluster: is set without organization; set `organization` too, or `address`",
        ),
        (
            "{last9: {organization: o}}",
            "read.last9.organization: is set without cluster; set `cluster` too, or `address`",
        ),
        (
            "{address: 'http://h', username: u}",
            "read.username: is set without password_file; set `password_file` too",
        ),
        ("{address: 'http://h', password: x}", "read.password: is set without username; set `username` too"),
    ],
)
def test_an_invalid_section_has_exactly_this_issue(load_issues: LoadIssues, text: str, issue: str) -> None:
    assert load_issues(f"read: {text}") == [f"x.yaml:1: {issue}"]


def test_two_credentials_are_rejected(load_issues: LoadIssues, tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).write_text(SECRET)
    (both,) = load_issues(f"read: {{address: 'http://h', username: u, password: x, password_file: {tmp_path}/a}}")
    assert both == "x.yaml:1: read.password: is set, and `password_file` too; keep one, preferably the file"
    (other,) = load_issues(
        f"read: {{address: 'http://h', authorization_file: {tmp_path}/a, password_file: {tmp_path}/b}}"
    )
    assert other.endswith("authorization_file and password_file both set credentials; keep one of them")


def test_a_missing_file_is_reported_with_its_location(load_issues: LoadIssues, tmp_path: Path) -> None:
    (issue,) = load_issues(f"read: {{last9: {LAST9}, password_file: {tmp_path}/token}}")
    assert issue.startswith("x.yaml:1: read.password_file: token does not exist")
