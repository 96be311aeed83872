"""The command `events tail`: the transitions that a running exporter holds and those that follow, or a recording's."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from exporter.commands.api_client import ExporterUnreachableError, fetch_json, stream_events
from exporter.commands.replay import first_and_last_time, replay_frames, replay_transitions
from exporter.commands.storage import read_directory
from exporter.storage import inspection

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from exporter.commands.api_client import ExporterAddress
    from exporter.commands.timeline import TransitionObject
    from exporter.config.settings import Settings

_PATH: Final = "/api/events"
_MAX_EVENTS: Final = 10_000
_RETRY_SECONDS: Final = 2.0


@dataclass(frozen=True, slots=True)
class HeldTransitions:
    """Transitions from `since` on, as far as they are held: since `held_since` (both Unix seconds); `last` number."""

    since: float
    held_since: float
    transitions: Sequence[TransitionObject]
    last: int = 0


async def fetch_transitions(address: ExporterAddress, since: float, rollout: str = "") -> HeldTransitions:
    """Return the transitions that a running exporter holds. Raises ExporterUnreachableError."""
    params = {"since": str(since), "limit": str(_MAX_EVENTS), **rollout_params(rollout)}
    document = await fetch_json(address, _PATH, params)
    try:
        return HeldTransitions(since, float(document["history_since"]), document["events"], int(document["last"]))
    except (KeyError, TypeError, ValueError):
        hint = "check that --address is a rollouts-exporter of this version"
        raise ExporterUnreachableError(f"{_PATH} returned no events; {hint}") from None


def rollout_params(rollout: str) -> Mapping[str, str]:
    """Return the parameters of the API for NAMESPACE/NAME, none for ""."""
    namespace, _, name = rollout.partition("/")
    return {"namespace": namespace, "name": name} if rollout else {}


def recorded_transitions(path: Path, settings: Settings, seconds: float | None, rollout: str = "") -> HeldTransitions:
    """Return the transitions of a recording, of its last `seconds` (None: of all of it). Raises RecordingError."""
    start, end = first_and_last_time(path)
    since = start if seconds is None else max(end - seconds, start)
    transitions = [
        transition
        for transition in replay_transitions(path, settings)
        if transition["at"] >= since and rollout in {"", transition.get("rollout")}
    ]
    return HeldTransitions(since, start, transitions)


def undelivered_lines(settings: Settings) -> list[str]:
    """Return the messages that wait in storage, oldest first; an exporter may be running. Raises StorageError."""
    messages = read_directory(settings, inspection.messages)
    return [_message_line(message.destination, message.body) for message in messages]


def message_lines(path: Path, settings: Settings) -> Iterator[str]:
    """Yield the messages that the destinations of the settings would get of a recording. Raises RecordingError."""
    from exporter.notify.notifier import destinations_of, messages_of  # noqa: PLC0415 - OTLP's messages are loaded only if needed

    destinations = destinations_of(settings)
    for _, _, tracker in replay_frames(path, settings):
        for message in messages_of(destinations, tracker.status.transitions):
            yield _message_line(message.destination, message.body)


def _message_line(destination: str, body: bytes) -> str:
    try:
        text = body.decode()
        document = json.loads(text)
    except ValueError:  # protobuf
        from exporter.notify.otlp import readable_request  # noqa: PLC0415 - OTLP's messages are loaded only if needed

        document = readable_request(destination, body)
    return json.dumps({"destination": destination, "message": document}, ensure_ascii=False)


async def follow_transitions(
    address: ExporterAddress, after: int, emit: Callable[[TransitionObject], None], note: Callable[[str], None]
) -> None:
    """Emit each transition after a number, until this is cancelled; reconnect with a note if the stream breaks."""
    while True:
        try:
            async for number, data in stream_events(address, _PATH, {"after": str(after)}):
                after = int(number)
                emit(json.loads(data))
            reason = "the exporter has ended the stream"
        except ExporterUnreachableError as error:
            reason = str(error)
        note(f"{reason}; trying again")
        await asyncio.sleep(_RETRY_SECONDS)
