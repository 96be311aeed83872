"""What the edges may refuse before anything runs: each is said in one line, and ends the command."""

from typing import Final

from exporter.commands.explain import ExplainError
from exporter.commands.gate.lint import LintError
from exporter.commands.gate.load import GateError
from exporter.commands.gate.render import RenderError
from exporter.commands.record import RecordingError
from exporter.commands.spool import SpoolingError
from exporter.commands.verify.heartbeat import PushError, ReadError, UnsetError, VerifyError
from exporter.otlp.spool import InUseError
from exporter.web.server import ListenError

REFUSALS: Final = (
    ExplainError,
    GateError,
    InUseError,
    LintError,
    ListenError,
    RecordingError,
    RenderError,
    SpoolingError,
    VerifyError,
)

CODES: Final[dict[type[Exception], int]] = {
    GateError: 2,
    LintError: 2,
    RenderError: 2,
    UnsetError: 2,
    PushError: 3,
    ReadError: 4,
}
"""Exit codes; that of any other is 1."""
