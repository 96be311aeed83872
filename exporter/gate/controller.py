"""What each version of Argo Rollouts' controller can do, as far as a gate shows it.

Read from its tags (go.mod, pkg/apis, metricproviders/prometheus, utils/evaluate, analysis).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from exporter.gate.expr.engine import Engine

if TYPE_CHECKING:
    from collections.abc import Mapping

Line = tuple[int, int]
DEFAULT: Final = "1.9.1"
"""The version that is meant where none is named: the newest release that is no candidate."""
OLDEST: Final[Line] = (1, 6)
NEWEST: Final[Line] = (1, 11)
"""The release lines that are known; 1.11 is what is on the main branch and not yet released."""
_VERSION: Final = re.compile(r"v?(\d+)\.(\d+)(\.\d+.*)?")


class Ability(StrEnum):
    """What some versions have and others do not."""

    HEADERS = "headers"
    """`provider.prometheus.headers`."""
    OAUTH2 = "authentication.oauth2"
    RANGE_QUERY = "rangeQuery"
    """`rangeQuery`; and an answer that is a matrix is taken as the list of all its values."""
    CONSECUTIVE_SUCCESS_LIMIT = "consecutiveSuccessLimit"
    """`consecutiveSuccessLimit`; and a failureLimit of -1 switches that limit off."""
    MODERN_CONDITIONS = "expr 1.17"
    """Conditions are in expr 1.17, not 1.15."""
    NAMED_CONDITIONS = "named conditions"
    """A measurement's message says which condition could not be evaluated, and that an empty result was why."""
    BASIC_AUTH = "authentication.basicAuth"


SINCE: Final[Mapping[Ability, Line]] = {
    Ability.HEADERS: (1, 6),
    Ability.OAUTH2: (1, 7),
    Ability.RANGE_QUERY: (1, 8),
    Ability.CONSECUTIVE_SUCCESS_LIMIT: (1, 8),
    Ability.MODERN_CONDITIONS: (1, 10),
    Ability.NAMED_CONDITIONS: (1, 10),
    Ability.BASIC_AUTH: (1, 11),
}
"""The release line that first had it."""


@dataclass(frozen=True, slots=True)
class Controller:
    """One version: as it was asked for, without a v, and the release line it is of."""

    version: str
    line: Line

    def can(self, ability: Ability) -> bool:
        """Say whether this version has an ability."""
        return self.line >= SINCE[ability]

    @property
    def engine(self) -> Engine:
        """Return the language of its conditions."""
        return Engine.EXPR_1_17 if self.can(Ability.MODERN_CONDITIONS) else Engine.EXPR_1_15


def controller(version: str = DEFAULT) -> Controller:
    """Return a version: 1.8.3, v1.10.0-rc1, or a line such as 1.9. Raises ValueError for one that is not known."""
    found = _VERSION.fullmatch(version.strip())
    line = (int(found[1]), int(found[2])) if found else (0, 0)
    if not OLDEST <= line <= NEWEST:
        oldest, newest = ("{}.{}".format(*one) for one in (OLDEST, NEWEST))
        raise ValueError(f"{version!r} is no known version of Argo Rollouts; --controller takes {oldest} to {newest}")
    return Controller(version.strip().removeprefix("v"), line)
