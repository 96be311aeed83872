"""What goes wrong with a condition: it does not compile, it cannot be judged here, or it fails while it runs."""

from __future__ import annotations

from dataclasses import dataclass


class ConditionError(ValueError):
    """A condition that the controller's engine does not compile.

    `message` is the engine's own, as it stands in a measurement; `at` counts characters from 0.
    """

    def __init__(self, message: str, at: int = 0) -> None:
        super().__init__(message)
        self.message = message
        self.position = at


class UnsupportedError(ConditionError):
    """A condition that may well be right, but uses what this program does not know; it is never guessed."""


@dataclass(frozen=True, slots=True)
class EngineFailure:
    """Why a condition gives neither true nor false; the measurement is an Error with this message.

    `compiled` is False for a condition that the engine refuses for this kind of result before it runs.
    """

    message: str
    compiled: bool = True


class RunError(Exception):
    """The engine's panic while a condition runs; the message is its own. It never leaves this package."""
