"""Written values become settings, each as its kind; what is invalid is reported completely and has its default."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import pytest

from exporter.config import Settings, schema, values
from exporter.config.model import Section, parse_section, section_fields
from exporter.config.values import SecretText, SettingError

if TYPE_CHECKING:
    from exporter.config.model import SettingFault
    from tests.config.conftest import LoadIssues


@dataclass(frozen=True, slots=True)
class KindsSection(Section):
    """A section with a field of each kind."""

    text: str = ""
    """Any text."""
    switch: bool = False
    number: int = 1
    seconds: values.PositiveSeconds = 1.0
    size: Annotated[int, values.size_format(10, 1000)] = 100
    choice: Literal["near", "far"] = "near"
    names: values.StringList = ()
    path: values.FilePath | None = None
    secret: SecretText | None = None


PARSED: tuple[tuple[str, object, object], ...] = (
    *(("switch", written, True) for written in (True, 1, "true", "YES", "on", " t ", "y", "1")),
    *(("switch", written, False) for written in (False, 0, "false", "No", "off", "f", "n", "0")),
    *(("number", written, 1000) for written in (1000, 1000.0, "1000", "+1000", "1_000", " 1000.0 ", "1000.")),
    ("number", "-3", -3),
    ("seconds", 2, 2.0),
    ("seconds", "1m", 60.0),
    ("size", 20.0, 20),
    ("size", "0.5KiB", 512),
    ("choice", " FAR", "far"),
    ("names", "a, b", ("a", "b")),
    ("names", [], ()),
    ("path", "/x", Path("/x")),
    ("secret", "s", SecretText("s")),
    ("secret", None, None),
)


@pytest.mark.parametrize(("name", "written", "value"), PARSED)
def test_a_written_value_is_parsed_as_its_kind(name: str, written: object, value: object) -> None:
    parsed = getattr(KindsSection.parse({name: written}), name)
    assert (parsed, type(parsed)) == (value, type(value))
    assert getattr(KindsSection.parse({name: parsed}), name) == value, "what was parsed is a valid value"


REFUSED: tuple[tuple[str, object, str], ...] = (
    ("text", 5, "should be a valid string"),
    ("text", "\udcff", "has characters that are not UTF-8"),
    *(("switch", written, "should be a valid boolean") for written in ("maybe", 2, 1.5, ["on"], {"on": 1})),
    *(("number", written, "should be a valid integer") for written in ("1.5", "1e3", 1.5, True, float("nan"), "1__0")),
    ("number", "9" * 5000, "should be a valid integer"),
    *(("seconds", written, "should be a finite number") for written in (float("inf"), [1], {"s": 1})),
    ("seconds", True, "is not a duration"),
    ("size", 1.5, "should be a valid integer"),
    ("size", 9, "should be greater than or equal to 10"),
    ("size", "2KiB", "should be less than or equal to 1000"),
    ("choice", "farther", "should be 'near' or 'far'"),
    ("choice", 1, "should be 'near' or 'far'"),
    ("names", {"a": 1}, "should be a valid list"),
    ("names", [1], "should be a valid string"),
    ("names", '["\\ud800"]', "has characters that are not UTF-8"),
    ("path", 5, "should be a path"),
    ("secret", ["s"], "should be a valid string"),
    ("nothing", 1, "unknown key"),
)


@pytest.mark.parametrize(("name", "written", "message"), REFUSED)
def test_an_invalid_value_is_an_error_that_names_the_setting(name: str, written: object, message: str) -> None:
    with pytest.raises(SettingError) as caught:
        KindsSection.parse({name: written})
    assert str(caught.value) == f"{name}: {message}"


def test_what_is_invalid_is_reported_completely_and_has_its_default() -> None:
    faults: list[SettingFault] = []
    tree: dict[str, Any] = {"switch": "maybe", "names": ["a", 1, "b", 2], "number": "7", "size": "1"}
    section = parse_section(KindsSection, tree, ("x",), faults)
    assert section == KindsSection(number=7)
    assert [fault.path for fault in faults] == [("x", "switch"), ("x", "size"), ("x", "names"), ("x", "names")]


def test_of_a_mapping_only_the_invalid_keys_are_left_out(load_issues: LoadIssues) -> None:
    faults: list[SettingFault] = []
    headers = {"x-scope": "a", "host": "b", "x y": "c", "x-team": "\n"}
    settings = parse_section(Settings, {"otlp": {"headers": headers}}, (), faults)
    assert set(settings.otlp.headers) == {"x-scope", "x-team"}
    assert [fault.path for fault in faults] == [("otlp", "headers", "host"), ("otlp", "headers", "x y")]
    assert len(load_issues(overrides={"otlp.headers": headers, "argo.targets": ["a", "b", "c:1"]})) == 4


def test_a_default_is_what_its_text_means() -> None:
    """`config --example` prints defaults, and a chart may repeat them: both must change nothing."""
    for path, field in schema.iter_fields(Settings):
        if field.section is None and not (field.is_list or field.is_mapping) and field.default is not None:
            assert field.format.parse(str(field.format.format(field.default))) == field.default, path


def test_descriptions_are_the_texts_under_the_fields() -> None:
    assert section_fields(KindsSection)["text"].description == "Any text."
    assert section_fields(KindsSection)["number"].description == ""
    assert "Shards to scrape" in section_fields(type(Settings().kube_state_metrics))["targets"].description
    assert "Interval between" in section_fields(type(Settings().kube_state_metrics))["interval"].description
