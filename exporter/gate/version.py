"""Which Argo Rollouts a gate is for."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from exporter.gate.condition import Engine

_VERSION: Final = re.compile(r"v?(\d+)\.(\d+)(?:\.(\d+))?(?:[-+].*)?")


@dataclass(frozen=True, slots=True)
class Controller:
    """A controller's version, as it was written."""

    text: str
    release: tuple[int, int]

    @property
    def engine(self) -> Engine:
        """Return what its conditions are written in."""
        return Engine.EXPR_1_17 if self.release >= MODERN else Engine.EXPR_1_15

    def __str__(self) -> str:
        return self.text


def controller(text: str) -> Controller:
    """Read a version such as 1.8.3, v1.10.0-rc1 or 1.9. Raises ValueError."""
    found = _VERSION.fullmatch(text.strip())
    if not found:
        raise ValueError(f"{text!r} is no version; write 1.8.3 or v1.10.0-rc1")
    return Controller(text.strip().removeprefix("v"), (int(found[1]), int(found[2])))


LATEST: Final = "1.9.1"
"""The version meant when none is named: the newest release."""
BASIC_AUTH: Final = (1, 11)
"""The first release with authentication.basicAuth: merged to the main branch after release-1.10 was cut."""
HEADERS: Final = (1, 6)
"""The first release with headers."""
MODERN: Final = (1, 10)
"""The first release with expr-lang/expr 1.17."""
