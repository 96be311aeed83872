"""The rules of translation (T) and export (E), and the tests that prove each: `python -m tests.rules --write`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from .export import EXPORT
from .translation import TRANSLATION

if TYPE_CHECKING:
    from .row import Row

ROWS: Final[tuple[Row, ...]] = TRANSLATION + EXPORT
"""One row for each rule, T01 to T57 and E01 to E43."""
