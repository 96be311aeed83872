"""Secrets are reloaded from their files, and never printed (rule E16)."""

from __future__ import annotations

import logging
import os
import traceback
from dataclasses import asdict
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.config import ConfigError, Settings, as_yaml, load, schema
from exporter.config.errors import Origin
from exporter.config.load import SourcedValue
from exporter.config.yaml_lines import Variable
from exporter.net.files import SecretFile

if TYPE_CHECKING:
    from pathlib import Path

    from tests.config.conftest import LoadConfig

SECRET = "s3cr3t-Zm9vOmJhcg"

GOOD: tuple[tuple[str, dict[str, str]], ...] = (
    (f"otlp: {{headers: {{Authorization: Basic {SECRET}}}}}", {}),
    (f"argo: {{headers: {{x-key: {SECRET}}}}}", {}),
    (f"web: {{basic_auth: {{username: u, password: {SECRET}}}}}", {}),
    (f"kube_state_metrics: {{basic_auth: {{username: u, password: {SECRET}}}}}", {}),
    ("", {"OTEL_EXPORTER_OTLP_HEADERS": f"authorization=Basic {SECRET}"}),
    ("", {"LAST9_AUTH_HEADER": f"Basic {SECRET}"}),
    ("", {"ROLLOUTS_EXPORTER_OTLP__HEADERS": f"x-key={SECRET}"}),
    ("", {"ROLLOUTS_EXPORTER_OTLP__HEADERS__x-key": SECRET}),
    ("", {"ROLLOUTS_EXPORTER_OTLP": f'{{"headers": {{"x-key": "{SECRET}"}}}}'}),
)

BAD: tuple[tuple[str, dict[str, str]], ...] = (
    (f"otlp: {{headers: {{Authorization: [Basic, {SECRET}]}}}}", {}),
    (f"otlp: {{headers: {{x: é{SECRET}}}}}", {}),
    (f"otlp: {{headers: 'Basic {SECRET}'}}", {}),
    (f"otlp: {{headers: 'Basic {SECRET}=='}}", {}),
    (f"otlp: {{headers: 'x=%zz{SECRET}'}}", {}),
    (f"otlp: {{headers: *{SECRET}}}", {}),
    (f"otlp: {{headers: {{x: '{SECRET}", {}),
    (f"otlp: {{endpoint: 'https://user:{SECRET}@h:4318'}}", {}),
    (f"otlp: {{endpoint: 'user:{SECRET}@h:4318'}}", {}),
    (f"argo: {{targets: ['http://user:{SECRET}@h:8090']}}", {}),
    (f"web: {{basic_auth: {{password: [{SECRET}]}}}}", {}),
    (f"web: {{basic_auth: {{password: {{a: {SECRET}}}}}}}", {}),
    (f"web: {{basic_auth: {{password: {SECRET}}}}}", {}),
    ("", {"OTEL_EXPORTER_OTLP_HEADERS": f"x={SECRET}%0a,{SECRET}"}),
    ("", {"OTEL_EXPORTER_OTLP_HEADERS": f"x={SECRET}%q"}),
    ("", {"LAST9_AUTH_HEADER": f"Basic {SECRET}\n{SECRET}"}),
    ("", {"ROLLOUTS_EXPORTER_OTLP__HEADERS": f'{{"x": "{SECRET}'}),
    ("", {"ROLLOUTS_EXPORTER_OTLP": f'{{"headers": "{SECRET}"}}'}),
    ("", {"ROLLOUTS_EXPORTER_OTLP__PASSWORD": SECRET}),
)


@pytest.mark.parametrize(("text", "environment"), GOOD)
def test_a_secret_in_use_is_never_printed(
    load_config: LoadConfig, caplog: pytest.LogCaptureFixture, text: str, environment: dict[str, str]
) -> None:
    """Rule E16."""
    caplog.set_level(logging.DEBUG)
    result = load_config(text, environment)
    assert "******" in as_yaml(result)
    for output in (
        repr(result),
        str(result.settings),
        as_yaml(result),
        str(result.warnings),
        caplog.text,
    ):
        assert SECRET not in output
    assert SECRET not in str(asdict(result.settings))


@pytest.mark.parametrize(("text", "environment"), BAD)
def test_an_error_about_a_secret_does_not_quote_it(tmp_path: Path, text: str, environment: dict[str, str]) -> None:
    """Rule E16."""
    (tmp_path / "x.yaml").write_text(text)
    with pytest.raises(ConfigError) as caught:
        load(tmp_path / "x.yaml", environment)
    assert SECRET not in "".join(traceback.format_exception(caught.value))
    assert caught.value.issues


SECRET_FILES = [".".join(map(str, path)) for path, field in schema.iter_fields(Settings) if "file" in field.format.kind]
TOKENS = st.text(
    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+/=_-.", min_size=16, max_size=80
).filter(
    # a path of lower-case letters below / is one that a message has to show, and so is the name of a variable
    lambda text: not text.startswith("/") and text.strip("./") != "" and text not in "ROLLOUTS_EXPORTER_"
)
PLACES = (
    *(
        f"{path}={template}"
        for path in SECRET_FILES
        for template in ("{0}", "Basic {0}", "Bearer  {0}", "/A{0}", "a b\n{0}")
    ),
    "otlp.endpoint=http://h/?token={0}",
    "otlp.endpoint=http://u:{0}@h",
    "otlp.endpoint=http://{0}@h",
    "otlp.endpoint=http://h:x/?{0}",
    "otlp.endpoint=http://h/ ?{0}",
    "otlp.endpoint=Basic {0}",
    "argo.targets=http://h:1/metrics?token={0}",
    "argo.targets=http://h:1/metrics?token={0},http://h:1/metrics?token={0}",
    "argo.targets=http://h:1/metrics?token={0},http://h:1/metrics?token=x",
    "argo.targets=http://h:1/ ?token={0}",
    "argo.targets=http://u:{0}@h:1",
    "argo.targets=h:1?token={0}",
    "argo.targets=Bearer {0}",
    "argo.path=/metrics?token={0}",
    "argo.path=/metrics?{0}",
    "read.address=http://h/x?token={0}",
    "read.address=h/x?token={0}",
    "read.address=http://u:{0}@h",
    "read.password={0}",
    "otlp.headers.authorization=Basic {0}",
    "otlp.headers.content-length={0}",
    "otlp.headers.x=\udcff{0}",
    "otlp.headers=Basic {0}",
    "web.basic_auth.password={0}",
    "web.basic_auth.password=\udcff{0}",
    "kube_state_metrics.headers.x-key={0}",
    "log.level=Bearer {0}",
)


@settings(max_examples=300, deadline=None, derandomize=True)
@given(place=st.sampled_from(PLACES), secret=TOKENS, variable=st.booleans())
def test_no_secret_of_a_setting_is_in_an_error_a_repr_or_a_print(place: str, secret: str, *, variable: bool) -> None:
    """Rule E16; a token in place of the path of its file is the commonest mistake."""
    path, _, template = place.partition("=")
    value = template.format(secret)
    name = f"ROLLOUTS_EXPORTER_{path.upper().replace('.', '__')}"
    base = {"otlp.endpoint": "http://h"} if path.startswith("otlp") and path != "otlp.endpoint" else {}
    base |= {"attributes.cluster": "c"}
    try:
        loaded = load(None, {name: value} if variable else {}, base if variable else {**base, path: value})
    except ConfigError as error:
        texts = ["".join(traceback.format_exception(error)), repr(error), *map(repr, error.issues)]
    else:
        texts = [repr(loaded), str(loaded.settings), as_yaml(loaded), str(loaded.settings.otlp.endpoint)]
        texts += [repr(section) for _, section in schema.iter_sections(loaded.settings)]
    assert not any(secret in text or secret in text.encode().decode("unicode_escape") for text in texts)


@pytest.mark.parametrize("name", SECRET_FILES)
def test_a_token_in_place_of_its_file_looks_like_a_secret_and_a_path_is_shown(name: str) -> None:
    with pytest.raises(ConfigError, match=f"{name}: is not the path of a file, and looks like a secret"):
        load(None, {}, {name: f"Basic {SECRET}"})
    with pytest.raises(ConfigError, match=f"{name}: /run/secrets/none/token does not exist"):
        load(None, {}, {name: "/run/secrets/none/token"})


def test_a_secret_file_without_an_end_is_rejected() -> None:
    with pytest.raises(ConfigError, match="/dev/zero is larger than a secret can be"):
        load(None, {}, {"otlp.authorization_file": "/dev/zero"})


def test_an_error_about_a_numeric_secret_does_not_quote_it() -> None:
    """Rule E16."""
    with pytest.raises(ConfigError, match="should be a valid string; expected: headers") as caught:
        load(None, {"ROLLOUTS_EXPORTER_OTLP": '{"headers": {"x-key": 987654321}}'})
    assert "987654321" not in str(caught.value)


@pytest.mark.parametrize("name", ["authorization_file", "headers_file"])
def test_an_error_about_a_secret_file_does_not_quote_it(tmp_path: Path, name: str) -> None:
    """Rule E16."""
    (tmp_path / "secret").write_text(f"x=é{SECRET}\n{SECRET}")
    (tmp_path / "x.yaml").write_text(f"otlp: {{{name}: {tmp_path}/secret}}")
    with pytest.raises(ConfigError) as caught:
        load(tmp_path / "x.yaml", {})
    assert SECRET not in str(caught.value)


def test_the_repr_of_unparsed_values_omits_them() -> None:
    origin = Origin("environment", "X")
    assert SECRET not in repr(SourcedValue(SECRET, origin)) + repr(Variable("X", SECRET, origin))


class TestSecretFile:
    def test_strips_white_space_around_the_secret(self, tmp_path: Path) -> None:
        (tmp_path / "token").write_text(" Basic YTpi\n\n")
        assert SecretFile(tmp_path / "token").read() == "Basic YTpi"

    def test_is_reloaded_when_the_file_changes(self, tmp_path: Path) -> None:
        (tmp_path / "token").write_text("one")
        file = SecretFile(tmp_path / "token")
        assert file.read() == "one"
        (tmp_path / "token").write_text("two")
        os.utime(tmp_path / "token", ns=(0, 1))
        assert file.read() == "two"

    def test_is_reloaded_when_a_symbolic_link_changes_as_in_kubernetes(self, tmp_path: Path) -> None:
        for name in ("one", "two"):
            (tmp_path / name).write_text(name)
            os.utime(tmp_path / name, ns=(0, 0))
        (tmp_path / "token").symlink_to("one")
        file = SecretFile(tmp_path / "token")
        assert file.read() == "one"
        (tmp_path / "next").symlink_to("two")
        (tmp_path / "next").replace(tmp_path / "token")
        assert file.read() == "two"

    def test_is_cached_while_the_file_is_unchanged(self, tmp_path: Path) -> None:
        (tmp_path / "token").write_text("one")
        os.utime(tmp_path / "token", ns=(0, 0))
        file = SecretFile(tmp_path / "token")
        file.read()
        (tmp_path / "token").write_text("two")
        os.utime(tmp_path / "token", ns=(0, 0))
        assert file.read() == "one"

    def test_its_repr_has_only_the_path(self, tmp_path: Path) -> None:
        (tmp_path / "token").write_text(SECRET)
        file = SecretFile(tmp_path / "token")
        file.read()
        assert repr(file) == f"SecretFile('{tmp_path}/token')"

    def test_an_unreadable_file_raises(self, tmp_path: Path) -> None:
        with pytest.raises(FileNotFoundError):
            SecretFile(tmp_path / "none").read()
        (tmp_path / "bytes").write_bytes(b"\xff" + SECRET.encode())
        with pytest.raises(ValueError, match="is not UTF-8 text") as caught:
            SecretFile(tmp_path / "bytes").read()
        assert SECRET not in str(caught.value)
