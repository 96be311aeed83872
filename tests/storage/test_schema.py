"""The tables and the ledger file: versions, checksums, which errors are damage, and no SQL elsewhere."""

from __future__ import annotations

import errno
import re
import sqlite3
from contextlib import closing
from dataclasses import fields, replace
from pathlib import Path
from typing import Final

import pytest

from exporter import storage
from exporter.storage import schema
from exporter.storage.database import open_database
from exporter.storage.directory import DATABASE_FILE, error_message, is_damage
from exporter.storage.ledger import SLOT_BYTES, Ledger, LedgerFile, decode_ledger, encode_ledger

PACKAGE: Final = Path(storage.__file__).parent
LEDGER: Final = Ledger(
    entry=8,
    commit=7,
    head=3,
    last_request=9,
    last_transition=4,
    queued_points=120,
    counts={"delivered": 5, "dropped.expired": 1},
    counters_since=1.5,
    clean_shutdown=True,
    elapsed=2.5,
    boot_time=3.5,
    boot_id="boot",
    wall_time=4.5,
    last_message=6,
)


def test_a_new_file_has_the_schema_and_can_shrink(tmp_path: Path) -> None:
    open_database(tmp_path, "interval").close()
    with closing(sqlite3.connect(tmp_path / DATABASE_FILE)) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (schema.VERSION,)
        assert connection.execute("PRAGMA auto_vacuum").fetchone() == (2,)
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    assert tables == {"requests", "accounting", "tracker_state", "transitions", "outbox", "meta", "sqlite_sequence"}


def test_an_earlier_schema_is_migrated_and_its_rows_stay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    database = open_database(tmp_path, "interval")
    database.connection.execute(schema.UPSERT_META, schema.with_checksum("cluster", "test"))
    database.close()
    added = ("CREATE TABLE added (id INTEGER PRIMARY KEY)",)
    monkeypatch.setattr(schema, "MIGRATIONS", (*schema.MIGRATIONS, added))
    monkeypatch.setattr(schema, "VERSION", schema.VERSION + 1)
    migrated = open_database(tmp_path, "interval")
    assert migrated.connection.execute(schema.META).fetchone()[:2] == ("cluster", "test")
    migrated.close()
    with closing(sqlite3.connect(tmp_path / DATABASE_FILE)) as connection:
        assert connection.execute("SELECT COUNT(*) FROM added").fetchone() == (0,)
        assert connection.execute("PRAGMA user_version").fetchone() == (schema.VERSION,)


@pytest.mark.parametrize(("fsync", "synchronous"), [("always", 2), ("interval", 1), ("never", 0)])
def test_each_setting_of_fsync_is_one_of_sqlites(tmp_path: Path, fsync: storage.Fsync, synchronous: int) -> None:
    database = open_database(tmp_path, fsync)
    assert database.connection.execute("PRAGMA synchronous").fetchone() == (synchronous,)
    database.close()


def test_a_checksum_depends_on_each_column_and_its_place() -> None:
    row = (1, 2.5, "a", b"b")
    changed = [
        (12, 2.5, "a", b"b"),
        (1, 2.25, "a", b"b"),
        (1, 2.5, "", b"b"),
        (1, 2.5, "a", b"c"),
        (1, 2.5, b"a", b"b"),
    ]
    assert len({schema.checksum(*columns) for columns in (row, *changed)}) == 1 + len(changed)
    assert schema.checksum(1, 23) != schema.checksum(12, 3)


@pytest.mark.parametrize("module", sorted(PACKAGE.glob("*.py")), ids=lambda module: module.name)
def test_statements_stand_in_one_module(module: Path) -> None:
    sql = re.compile(r'["\'](SELECT|INSERT|DELETE|UPDATE|PRAGMA|CREATE|BEGIN|COMMIT|ROLLBACK|VACUUM)\b')
    assert bool(sql.search(module.read_text())) is (module.name == "schema.py")


# The ledger -----------------------------------------------------------------------------------------------------------


def test_a_ledger_is_read_as_it_was_written() -> None:
    assert decode_ledger(encode_ledger(LEDGER)) == LEDGER
    assert all(getattr(LEDGER, field.name) for field in fields(LEDGER))


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"other": 1}'])
def test_what_is_not_a_ledger_is_none(text: str) -> None:
    assert decode_ledger(text) is None


def test_the_file_has_the_latest_ledger(tmp_path: Path) -> None:
    path = tmp_path / "ledger"
    for entry in (1, 2, 3):
        file = LedgerFile(path)
        file.write(encode_ledger(replace(LEDGER, entry=entry)))
        file.close()
        assert latest(path) == replace(LEDGER, entry=entry)
    assert path.stat().st_size == 2 * SLOT_BYTES


@pytest.mark.parametrize("torn", [0, 1])
def test_a_torn_write_of_one_slot_leaves_the_other(tmp_path: Path, torn: int) -> None:
    path = tmp_path / "ledger"
    file = LedgerFile(path)
    for commit in (1, 2):
        file.write(encode_ledger(replace(LEDGER, commit=commit)))
    file.close()
    content = bytearray(path.read_bytes())
    content[torn * SLOT_BYTES + 30] ^= 1
    path.write_bytes(content)
    assert latest(path) == replace(LEDGER, commit=2 - torn)


def test_a_ledger_of_a_later_commit_is_later_whatever_its_entry(tmp_path: Path) -> None:
    """A mark of incompleteness that was written by another thread during the commit does not hide it."""
    file = LedgerFile(tmp_path / "ledger")
    file.write(encode_ledger(replace(LEDGER, commit=8, entry=9)))
    file.write(encode_ledger(replace(LEDGER, entry=10, complete=False)))
    file.close()
    assert latest(tmp_path / "ledger") == replace(LEDGER, commit=8, entry=9)


def latest(path: Path) -> Ledger | None:
    file = LedgerFile(path)
    file.close()
    return file.latest


# Errors ---------------------------------------------------------------------------------------------------------------


def sqlite_error(code: int) -> sqlite3.OperationalError:
    error = sqlite3.OperationalError("it failed")
    error.sqlite_errorcode = code
    return error


@pytest.mark.parametrize(
    ("error", "damage"),
    [
        (sqlite_error(sqlite3.SQLITE_CORRUPT), True),
        (sqlite_error(sqlite3.SQLITE_CORRUPT_VTAB), True),
        (sqlite_error(sqlite3.SQLITE_NOTADB), True),
        (sqlite_error(sqlite3.SQLITE_IOERR_READ), False),
        (sqlite_error(sqlite3.SQLITE_FULL), False),
        (sqlite_error(sqlite3.SQLITE_BUSY), False),
        (sqlite3.ProgrammingError("closed"), False),
        (OSError(errno.EIO, "I/O error"), False),
    ],
)
def test_only_what_sqlite_calls_damage_is_damage(error: Exception, *, damage: bool) -> None:
    assert is_damage(error) is damage


@pytest.mark.parametrize(
    ("error", "hint"),
    [
        (OSError(errno.ENOSPC, ""), "no space left"),
        (OSError(errno.EROFS, ""), "read-only"),
        (OSError(errno.EACCES, ""), "not writable"),
        (OSError(errno.EIO, "Input/output error"), "check its volume"),
        (sqlite_error(sqlite3.SQLITE_FULL), "no space left"),
        (sqlite_error(sqlite3.SQLITE_READONLY), "read-only"),
        (sqlite_error(sqlite3.SQLITE_IOERR_READ), "check its volume"),
    ],
)
def test_each_error_names_the_setting_and_a_remedy(error: Exception, hint: str, tmp_path: Path) -> None:
    message = error_message(error, tmp_path)
    assert message.startswith(f"storage.directory {tmp_path} ")
    assert hint in message
