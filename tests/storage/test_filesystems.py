"""Which file systems get a WAL, which a rollback journal, and which are refused."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from exporter.storage import directory as storage_directory
from exporter.storage.directory import DATABASE_FILE, NETWORK_FILESYSTEMS, WAL_FILE, network_filesystem
from tests.storage.support import Process, running

if TYPE_CHECKING:
    from pathlib import Path

ROOT = "22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw"


def table(tmp_path: Path, *mounts: str) -> Path:
    path = tmp_path / "mountinfo"
    path.write_text("\n".join([ROOT, *mounts]) + "\n")
    return path


def mount(path: Path | str, kind: str) -> str:
    return f"40 22 0:50 / {path} rw - {kind} server:/export rw"


@pytest.mark.parametrize("kind", [*sorted(NETWORK_FILESYSTEMS), "fuse.sshfs", "fuse.glusterfs"])
def test_a_network_file_system_is_recognised(tmp_path: Path, kind: str) -> None:
    assert network_filesystem(tmp_path / "x", table(tmp_path, mount(tmp_path, kind))) == kind


@pytest.mark.parametrize("kind", ["ext4", "xfs", "btrfs", "tmpfs", "overlay", "zfs", "virtiofs", "f2fs"])
def test_a_local_file_system_is_recognised(tmp_path: Path, kind: str) -> None:
    assert network_filesystem(tmp_path / "x", table(tmp_path, mount(tmp_path, kind))) == ""


def test_the_innermost_and_the_latest_mount_counts(tmp_path: Path) -> None:
    inner = tmp_path / "inner"
    mounts = table(tmp_path, mount(inner, "nfs4"), mount(tmp_path, "ext4"), mount(f"{tmp_path}/in", "cifs"))
    assert network_filesystem(inner / "x", mounts) == "nfs4"
    assert network_filesystem(tmp_path / "innermost", mounts) == ""
    covered = table(tmp_path, mount(inner, "nfs4"), mount(inner, "ext4"))
    assert network_filesystem(inner, covered) == ""


def test_a_mount_point_with_a_space_is_decoded(tmp_path: Path) -> None:
    path = tmp_path / "a b"
    assert network_filesystem(path, table(tmp_path, mount(str(path).replace(" ", "\\040"), "nfs"))) == "nfs"


def test_a_system_without_a_mount_table_has_local_file_systems(tmp_path: Path) -> None:
    assert network_filesystem(tmp_path, tmp_path / "absent") == ""


async def test_on_a_network_file_system_there_is_no_wal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    directory = tmp_path / "storage"
    # The table of mounts is an input of the system, which a test cannot change without rights.
    monkeypatch.setattr(storage_directory, "MOUNTS", table(tmp_path, mount(tmp_path, "nfs4")))
    async with running(Process(directory)) as process:
        await process.commit(b"1", cart=b"on")
        assert not (directory / WAL_FILE).exists()
        assert [record.sequence for record in await process.storage.history.read()] == []
        assert await process.deliver() == b"1"
    with closing(sqlite3.connect(directory / DATABASE_FILE)) as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("delete",)


async def test_a_directory_that_moves_to_another_file_system_is_converted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory = tmp_path / "storage"
    async with running(Process(directory)) as process:
        await process.commit(b"1")
    monkeypatch.setattr(storage_directory, "MOUNTS", table(tmp_path, mount(tmp_path, "cifs")))
    async with running(Process(directory)) as process:
        await process.commit(b"2")
        assert await process.deliver_all() == [b"1", b"2"]
