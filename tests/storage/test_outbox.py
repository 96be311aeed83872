"""The outbox: committed with its cycle, the same bytes until the destination has decided, bounded, in balance."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from exporter.storage import CycleCommit, OutboxMessage
from exporter.storage.outbox import DELIVERED, REJECTED, MessageAccount
from tests.storage.support import LIMITS, Process, running, wait_until

if TYPE_CHECKING:
    from pathlib import Path

HOOK: Final = "hook"


def commit_of(*bodies: bytes, destination: str = HOOK) -> CycleCommit:
    return CycleCommit(messages=[OutboxMessage(destination, body) for body in bodies])


def pending(process: Process, destination: str = HOOK) -> list[bytes]:
    """Return the bodies that can be sent, and take them out of the outbox of this process."""
    bodies = []
    while (message := process.storage.outbox.peek(destination)) is not None:
        bodies.append(message.body)
        process.storage.outbox.finish(message, DELIVERED)
    return bodies


def account(process: Process, destination: str = HOOK) -> MessageAccount:
    return process.storage.outbox.accounts[destination]


async def test_the_next_process_sends_the_same_bytes_and_counts_on(tmp_path: Path) -> None:
    async with running(Process(tmp_path)) as process:
        assert await process.storage.commit(commit_of(b"one", b"two", b"three", b"four"))
        for result in (DELIVERED, REJECTED):
            message = process.storage.outbox.peek(HOOK)
            assert message is not None
            process.storage.outbox.finish(message, result)
        assert await process.storage.commit()
    async with running(Process(tmp_path)) as process:
        assert account(process) == MessageAccount({DELIVERED: 1, REJECTED: 1}, 2)  # type: ignore[arg-type] # a Counter
        assert account(process).produced == 4
        assert pending(process) == [b"three", b"four"]
    async with running(Process(tmp_path)) as process:
        assert pending(process) == []
        assert account(process).finished == {DELIVERED: 3, REJECTED: 1}


async def test_a_message_cannot_be_sent_before_its_commit(tmp_path: Path) -> None:
    process = Process(tmp_path)
    process.storage.outbox.put(OutboxMessage(HOOK, b"early"))
    assert process.storage.outbox.peek(HOOK) is None
    async with running(process):
        assert await process.storage.commit()
        assert pending(process) == [b"early"]


async def test_without_a_directory_messages_are_in_memory() -> None:
    process = Process(None)
    await process.storage.commit(commit_of(b"one"))
    assert pending(process) == [b"one"]


async def test_what_is_too_old_or_too_much_is_dropped_and_counted_of_one_destination_alone(tmp_path: Path) -> None:
    async with running(Process(tmp_path, replace(LIMITS, outbox_bytes=10, max_age=60.0))) as process:
        await process.storage.commit(commit_of(b"12345", b"67890", b"abcde"))
        assert account(process).dropped == {"outbox_full": 1}
        process.clock.sleep(61)
        await process.storage.commit(commit_of(b"late", destination="other"))
        assert pending(process) == []
        assert account(process).dropped == {"outbox_full": 1, "expired": 2}
        assert account(process).produced == 3
        assert pending(process, "other") == [b"late"]


async def test_messages_for_a_destination_that_is_no_longer_configured_are_dropped(tmp_path: Path) -> None:
    async with running(Process(tmp_path)) as process:
        await process.storage.commit(commit_of(b"one"))
    async with running(Process(tmp_path)) as process:
        process.storage.outbox.drop_unknown({"other"})
        assert account(process).dropped == {"not_configured": 1}


async def test_a_directory_that_vanishes_gets_all_messages_again(tmp_path: Path) -> None:
    directory = tmp_path / "storage"
    async with running(Process(directory)) as process:
        assert await process.storage.commit(commit_of(b"one", b"two"))
        directory.rename(tmp_path / "away")
        await wait_until(lambda: directory.exists() and not process.storage.degraded_reason)
        assert await process.storage.commit(commit_of(b"three"))
    async with running(Process(directory)) as process:
        assert pending(process) == [b"one", b"two", b"three"]


async def test_a_damaged_message_is_dropped_and_counted(tmp_path: Path) -> None:
    async with running(Process(tmp_path)) as process:
        assert await process.storage.commit(commit_of(b"intact", b"to be changed"))
    file = tmp_path / "exporter.db"
    file.write_bytes(file.read_bytes().replace(b"to be changed", b"to be damaged"))
    async with running(Process(tmp_path)) as process:
        assert account(process).dropped == {"damaged": 1}
        assert pending(process) == [b"intact"]
