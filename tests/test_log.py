from __future__ import annotations

import io
import json
import logging
from logging.handlers import BufferingHandler
from typing import TYPE_CHECKING

import pytest

from exporter import log
from exporter.log import fields

if TYPE_CHECKING:
    from collections.abc import Iterator

SECRET = 'p@ss "word"/+\\é'
LOG = logging.getLogger("exporter.test")


@pytest.fixture(autouse=True)
def _isolated_log(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Give each test a redactor without secrets, and restore what configure replaced."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    root.handlers = []
    monkeypatch.setattr(log, "REDACTOR", log.SecretRedactor())
    yield
    root.handlers = handlers
    root.setLevel(level)


@pytest.fixture
def text() -> io.StringIO:
    stream = io.StringIO()
    log.configure("info", "text", stream)
    return stream


@pytest.fixture
def lines() -> io.StringIO:
    stream = io.StringIO()
    log.configure("info", "json", stream)
    return stream


def fail() -> None:
    raise ValueError(f"refused {SECRET}")


def log_everywhere() -> None:
    LOG.warning("with %s", SECRET, extra=fields(header=SECRET, several=[SECRET], url=f"http://u:{SECRET}@h/"))
    LOG.warning(f"in {SECRET!r}", stack_info=True)  # noqa: G004 libraries do so
    try:
        fail()
    except ValueError:
        LOG.exception("failed", extra=fields(error=ValueError(SECRET)))


def test_text_is_time_level_event_and_fields(text: io.StringIO) -> None:
    LOG.warning("target down", extra=fields(target="10.0.0.1:8090", reason="timed out", age=3, since=None))
    time, rest = text.getvalue().split(" ", 1)
    assert len(time) == len("2026-01-02T03:04:05.678Z")
    assert time[-1] == "Z"
    assert rest == 'WARNING target down target=10.0.0.1:8090 reason="timed out" age=3 since=None\n'


def test_json_is_one_object_per_line_with_numbers_as_numbers(lines: io.StringIO) -> None:
    LOG.info("started", extra=fields(port=9464, ready=False, lag=0.5, odd=float("nan"), names=("a", "b")))
    record = json.loads(lines.getvalue(), parse_constant=pytest.fail)
    assert record.pop("time").endswith("Z")
    assert record == {
        "level": "info",
        "logger": "exporter.test",
        "event": "started",
        "port": 9464,
        "ready": False,
        "lag": 0.5,
        "odd": "nan",
        "names": "('a', 'b')",
    }


STEP = {"index": 2, "kind": f"set {SECRET}", "a b=\n": {"deep": None}}


def test_a_field_with_members_is_an_object_in_json(lines: io.StringIO) -> None:
    log.register_secrets(SECRET)
    LOG.info("transition", extra=fields(step=STEP))
    assert json.loads(lines.getvalue())["step"] == {"index": 2, "kind": "set ***", "a b=\n": {"deep": None}}


def test_a_field_with_members_is_a_field_for_each_in_text(text: io.StringIO) -> None:
    log.register_secrets(SECRET)
    LOG.info("transition", extra=fields(step=STEP))
    assert text.getvalue().endswith(' step.index=2 step.kind="set ***" step.a_b__.deep=None\n')


def test_control_characters_are_escaped(text: io.StringIO) -> None:
    LOG.info("one\ntwo \x1b[31m", extra=fields(message='three\nfour="5"', bell="\x07"))
    assert text.getvalue().count("\n") == 1
    assert "\x1b" not in text.getvalue()
    assert 'message="three\\nfour=\\"5\\"" bell="\\u0007"' in text.getvalue()


def test_a_traceback_follows_the_event_line(text: io.StringIO) -> None:
    try:
        fail()
    except ValueError:
        LOG.exception("failed")
    first, second, *_, last = text.getvalue().splitlines()
    assert first.endswith("ERROR failed")
    assert second == "Traceback (most recent call last):"
    assert last.startswith("ValueError: refused")


@pytest.mark.parametrize("layout", ["text", "json"])
def test_a_registered_secret_is_redacted_in_every_layout(layout: log.Layout) -> None:
    stream = io.StringIO()
    log.configure("info", layout, stream)
    log_everywhere()
    assert stream.getvalue().count("word") > 4
    log.register_secrets(SECRET)
    offset = stream.tell()
    log_everywhere()
    assert "word" not in stream.getvalue()[offset:]
    assert stream.getvalue()[offset:].count("***") > 5


def test_a_url_encoded_secret_is_redacted(text: io.StringIO) -> None:
    log.register_secrets(SECRET)
    LOG.info("at", extra=fields(url="http://u:p%40ss%20%22word%22%2F%2B%5C%C3%A9@h/"))
    assert "url=http://u:***@h/" in text.getvalue()


def test_the_longer_of_overlapping_secrets_is_redacted(text: io.StringIO) -> None:
    log.register_secrets("abc", "abcdef")
    LOG.info("say abcdef and abc")
    assert "say *** and ***\n" in text.getvalue()


def test_an_empty_secret_redacts_nothing(text: io.StringIO) -> None:
    log.register_secrets("")
    LOG.info("plain")
    assert "plain" in text.getvalue()


def test_a_numeric_secret_is_redacted(lines: io.StringIO) -> None:
    log.register_secrets("12345")
    LOG.info("in", extra=fields(pin=12345, floating=12345.5))
    assert "12345" not in lines.getvalue()


def test_a_later_handler_receives_redacted_records(text: io.StringIO) -> None:
    log.register_secrets(SECRET)
    later = BufferingHandler(10)
    logging.getLogger().addHandler(later)
    log_everywhere()
    assert text.getvalue()
    assert len(later.buffer) == 3
    assert not [record for record in later.buffer if "word" in repr(vars(record))]


def test_a_secret_in_a_source_line_of_a_stack_is_redacted(text: io.StringIO) -> None:
    log.register_secrets("hunter" + "2")
    LOG.info("here", stack_info=True)  # hunter2 is in this line
    assert "# *** is in this line" in text.getvalue()


def test_mismatched_logging_arguments_are_logged_without_an_error(text: io.StringIO) -> None:
    log.register_secrets(SECRET)
    LOG.info("%d points", SECRET)
    assert "INFO %d points ('***',)" in text.getvalue()


def test_records_below_the_level_are_not_logged(text: io.StringIO) -> None:
    LOG.debug("unseen")
    logging.getLogger("aiohttp").info("seen")
    assert "seen" in text.getvalue()
    assert "unseen" not in text.getvalue()


def test_reconfiguring_replaces_the_handler(text: io.StringIO, lines: io.StringIO) -> None:
    LOG.info("once")
    assert text.getvalue() == ""
    assert lines.getvalue().count("once") == 1


def test_of_rotating_secrets_the_last_ones_and_of_others_all_are_redacted() -> None:
    redactor = log.SecretRedactor()
    redactor.register("static-4711")
    for number in range(3 * log.MAX_ROTATING_SECRETS):
        redactor.register(f"token-{number:04}", "used-at-each-request", rotating=True)
    text = redactor.redact("static-4711 used-at-each-request token-0767 token-0600 token-0000")
    assert text == "*** *** *** *** token-0000"


@pytest.mark.parametrize("line_end", ["\x85", "\u2028", "\u2029", "\r", "\v", "\f", "\x9b"])
def test_no_line_end_or_control_of_unicode_in_a_name_reaches_the_text(text: io.StringIO, line_end: str) -> None:
    LOG.info("event%sforged", line_end, extra=fields(rollout=f"shop/cart{line_end}2026 ERROR forged"))
    assert line_end not in text.getvalue()
    assert len(text.getvalue().splitlines()) == 1
