"""The ways in which a condition fails: it does not compile, is not supported here, or fails while it runs."""

from __future__ import annotations

from dataclasses import dataclass


class ConditionError(ValueError):
    """A condition that the controller's engine does not compile.

    `message` is the engine's own, as it appears in a measurement; `position` is a character offset from 0.
    """

    def __init__(self, message: str, position: int = 0) -> None:
        super().__init__(message)
        self.message = message
        self.position = position


class UnsupportedError(ConditionError):
    """A condition that may be valid, but uses a feature that this package does not implement; never approximated."""


@dataclass(frozen=True, slots=True)
class EngineFailure:
    """Why a condition is neither true nor false; the measurement becomes an Error with this message.

    `compiled` is False if the engine rejects the condition for this type of result before it runs.
    """

    message: str
    compiled: bool = True


class EvaluationError(Exception):
    """The engine's panic while a condition runs, with its own message. It never leaves this package."""
