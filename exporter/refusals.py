"""What the edges may refuse before anything runs: each is said in one line, and the command ends with 1."""

from typing import Final

from exporter.app import StartError
from exporter.explain import ExplainError
from exporter.recording import RecordingError
from exporter.web.listen import ListenError

REFUSALS: Final = (StartError, ExplainError, RecordingError, ListenError)
