"""What `check` accepts, `run` starts with; an invalid configuration raises ConfigError and nothing else."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from exporter.commands.errors import USER_ERRORS
from exporter.config import ConfigError, LoadedConfig, Settings, load, schema
from exporter.service.app import App

if TYPE_CHECKING:
    from pathlib import Path

    from exporter.config.model import SettingField
    from tests.config.conftest import LoadConfig, LoadIssues

BASE = {"attributes.k8s.cluster.name": "c", "web.listen": "127.0.0.1:0"}
TARGET_HINT = "write host:port or a URL such as http://host:8090"
EMPTY = ("", " ", "\n")
HOSTILE = (
    "", " ", "none", "x", "0", "1", "-1", "1e-9", "9" * 400, "1ns", "10ms", "1h", "9999d", "1KiB", "9PiB", "nan",
    "a\0b", "\udcff", "\u2028", "\u00e9", "a" * 300, "127.0.0.1:1", "http://127.0.0.1:1/a b",
    "http://127.0.0.1:1/#x", "http://[::1]:1/x?y", "http://" + "a" * 64 + ":1", "a..b:1", "a:1,a:1",
    "http://a:1,https://a:1/metrics", "[::1]:0", "[fe80::1%eth0]:0", "x..y:0", "0.0.0.0:65535", "true", "grpc",
    "none", "sidecar", "a=b", "host=x", "content-length=5", "x-bin=1", "grpc-x=1", "te: x", "{}", "[]",
    '{"a": "\\ud800"}', '["\\ud800"]', "/proc/self/mem", "/dev/null", "/dev/null/x", ".", "(?", "a{9999999999}",
    "dns:///h:1", "unix:/x", "user:pass@h:1", "https://h:1?token=x",
)  # fmt: skip


def start(loaded: LoadedConfig) -> None:
    """Start an exporter and stop it."""

    async def run() -> None:
        stop = asyncio.Event()
        stop.set()
        await App(loaded, "test").run(stop)

    asyncio.run(run())


@pytest.mark.parametrize(
    ("override", "issue"),
    [
        (
            {"argo.targets": ["http://h:1/a b"]},
            f"argo.targets: has white space, # or non-ASCII characters; {TARGET_HINT}",
        ),
        (
            {"argo.targets": ["http://h:1/a#b"]},
            f"argo.targets: has white space, # or non-ASCII characters; {TARGET_HINT}",
        ),
        ({"argo.targets": ["a:1", "http://a:1"]}, "argo.targets: a:1 is listed twice; list it once"),
        (
            {"storage.directory": "a\0b"},
            "storage.directory: has a NUL character, which no path can have; write the path alone",
        ),
        (
            {"argo.tls.ca_file": "a\0b"},
            "argo.tls.ca_file: has a NUL character, which no path can have; write the path alone",
        ),
        ({"attributes.site": "\udcff"}, "attributes.site: has characters that are not UTF-8; write it as UTF-8 text"),
        (
            {"web.basic_auth": {"username": "u", "password": "\udcff"}},
            "web.basic_auth.password: has characters that are",
        ),
        ({"argo.interval": "1e-9"}, "argo.interval: '1e-9' is not a duration"),
        ({"argo.interval": 1e-9}, "argo.interval: is shorter than 100ms; write 100ms or more"),
        ({"otlp.retry.initial": 1e-9}, "otlp.retry.initial: is shorter than 10ms; write 10ms or more"),
        ({"otlp.timeout": 1e-9}, "otlp.timeout: is shorter than 10ms; write 10ms or more, or 0"),
        ({"lifecycle.grace": "9999d"}, "lifecycle.grace: is longer than ten years; write at most 3650d"),
        ({"argo.limits.body": "9" * 400}, "argo.limits.body: '9999999999"),
        (
            {"otlp.headers": {"Content-Length": "5"}},
            "otlp.headers.content-length: belongs to the connection or describes",
        ),
        (
            {"argo.headers": {"Host": "x"}},
            "argo.headers.host: belongs to the connection or describes the body, and is set",
        ),
        ({"otlp.endpoint": "http://a..b"}, "otlp.endpoint: has no host or an invalid port"),
    ],
)
def test_what_run_cannot_use_is_an_issue_of_check(
    load_issues: LoadIssues, override: dict[str, object], issue: str
) -> None:
    issues = load_issues(overrides=override)
    assert [text for text in issues if text.startswith(f"command line: {issue}")], issues


@pytest.mark.parametrize("variable", ["OTEL_EXPORTER_OTLP_HEADERS", "ROLLOUTS_EXPORTER_OTLP__HEADERS"])
def test_a_framing_header_of_a_variable_is_an_error(load_issues: LoadIssues, variable: str) -> None:
    issues = load_issues(environment={variable: "x-scope=a,Transfer-Encoding=chunked"})
    assert [text for text in issues if "belongs to the connection" in text], issues


@pytest.mark.parametrize("text", EMPTY)
def test_empty_text_is_as_unset_in_every_setting(load_config: LoadConfig, text: str) -> None:
    """A template writes "" for what it has no value of: no file may appear in the current directory for it."""
    for path, field in schema.iter_fields(Settings):
        if not field.is_list:
            dotted = ".".join(map(str, path))
            keys = [dotted, f"{dotted}.x"] if field.is_mapping else [dotted]
            assert [load_config(overrides={key: text}).settings for key in keys] == [load_config().settings] * len(keys)


def test_many_targets_load_in_proportion_to_their_number(load_config: LoadConfig) -> None:
    """50,000 took 34 s."""

    def seconds(count: int) -> float:
        started = time.process_time()
        load_config(overrides={"argo.targets": [f"10.{n >> 8}.{n & 255}.1:8090" for n in range(count)]})
        return time.process_time() - started

    assert seconds(20_000) < 20 * max(seconds(2_000), 0.05)


def _is_leaf(field: SettingField) -> bool:
    return field.section is None


LEAVES = [(".".join(map(str, path)), field) for path, field in schema.iter_fields(Settings) if _is_leaf(field)]


@st.composite
def overrides(draw: st.DrawFn) -> dict[str, Any]:
    """Return a few settings with hostile values, and mappings with a hostile key or value."""
    chosen: dict[str, Any] = {}
    for path, field in draw(st.lists(st.sampled_from(LEAVES), max_size=4, unique_by=lambda leaf: leaf[0])):
        value = draw(st.sampled_from(HOSTILE) | st.text(max_size=8))
        key = f"{path}.{draw(st.sampled_from(HOSTILE))}" if field.is_mapping and draw(st.booleans()) else path
        chosen[key] = [value] if draw(st.integers(0, 9)) == 0 else value
    if draw(st.booleans()):
        chosen["otlp.endpoint"] = draw(st.sampled_from(["http://127.0.0.1:1", "http://127.0.0.1:1/v1/metrics?token=x"]))
    return chosen


@pytest.mark.slow
@settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
@given(chosen=overrides(), environment=st.booleans())
def test_whatever_check_accepts_run_starts(
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
    chosen: dict[str, Any],
    *,
    environment: bool,
) -> None:
    folder: Path = tmp_path_factory.mktemp("start")
    monkeypatch.chdir(folder)
    variables = {}
    if environment:
        variables = {f"ROLLOUTS_EXPORTER_{key.upper().replace('.', '__')}": str(value) for key, value in chosen.items()}
    try:
        loaded = load(None, variables, BASE if environment else {**BASE, **chosen})
    except ConfigError:
        return
    with suppress(*USER_ERRORS):
        start(loaded)
