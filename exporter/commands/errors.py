"""Errors that a user can fix, and the exit codes of commands that end with them."""

from typing import Final

from exporter.commands.api_client import ExporterUnreachableError
from exporter.commands.doctor.bundle import BundleError
from exporter.commands.explain import ExplainError
from exporter.commands.gate.load import GateError
from exporter.commands.last9.apply import Last9Error, Last9NotConfiguredError
from exporter.commands.record import RecordingError
from exporter.commands.verify.heartbeat import NotConfiguredError, PushError, ReadBackError, VerifyError
from exporter.storage.model import StorageError
from exporter.web.server import ListenError

USER_ERRORS: Final = (
    BundleError,
    ExplainError,
    ExporterUnreachableError,
    GateError,
    Last9Error,
    ListenError,
    RecordingError,
    StorageError,
    VerifyError,
)

EXIT_CODES: Final[dict[type[Exception], int]] = {
    # As a run that ends in Error, so that 1 always means Failed.
    GateError: 2,
    # As invalid settings.
    NotConfiguredError: 2,
    Last9NotConfiguredError: 2,
    BundleError: 2,
    PushError: 3,
    ReadBackError: 4,
}
"""Exit code by error; 1 for all others."""
