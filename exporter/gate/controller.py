"""Versions of Argo Rollouts' controller, and the features of a gate that each has.

Read from the tags of argo-rollouts: go.mod, pkg/apis, metricproviders/prometheus, utils/evaluate, analysis.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum
from typing import Final

from exporter.gate.expr.syntax import Engine

MinorVersion = tuple[int, int]
DEFAULT_VERSION: Final = "1.9.3"
"""The newest release that is not a release candidate."""
# Of the tags that were read, 1.6 is the first whose provider sends headers, and thus a credential. The newest is 1.11,
# the main branch, not yet released.
OLDEST: Final[MinorVersion] = (1, 6)
_VERSION: Final = re.compile(r"v?(\d+)\.(\d+)(\.\d+.*)?")


class Feature(Enum):
    """A feature that not every supported version has, with the minor version that introduced it."""

    HEADERS = "headers", (1, 6)
    """`provider.prometheus.headers`."""
    OAUTH2 = "authentication.oauth2", (1, 7)
    RANGE_QUERY = "rangeQuery", (1, 8)
    """`rangeQuery`; and a matrix result is read as the list of all its values."""
    CONSECUTIVE_SUCCESS_LIMIT = "consecutiveSuccessLimit", (1, 8)
    """`consecutiveSuccessLimit`; and a failureLimit of -1 disables that limit."""
    EXPR_1_17 = "expr 1.17", (1, 10)
    """Conditions are compiled by expr 1.17, not 1.15."""
    NAMED_CONDITIONS = "named conditions", (1, 10)
    """The message of a measurement names the condition that failed to evaluate, and an empty result as the reason."""
    BASIC_AUTH = "authentication.basicAuth", (1, 11)

    @property
    def since(self) -> MinorVersion:
        """Return the version that introduced it."""
        return self.value[1]


@dataclass(frozen=True, slots=True)
class ControllerVersion:
    """A version as the user wrote it, without a leading v, and its minor version."""

    version: str
    minor: MinorVersion

    def supports(self, feature: Feature) -> bool:
        """Return whether this version has a feature."""
        # A release candidate has the features of its release: 1.10.0-rc1 is built with expr 1.17.
        return self.minor >= feature.since

    @property
    def engine(self) -> Engine:
        """Return the engine that evaluates the conditions."""
        return Engine.EXPR_1_17 if self.supports(Feature.EXPR_1_17) else Engine.EXPR_1_15


def parse_version(version: str = DEFAULT_VERSION) -> ControllerVersion:
    """Parse a version: 1.8.3, v1.10.0-rc1, or a minor version such as 1.9. Raises ValueError if it is not supported.

    One that is newer than all that were read has every feature: a new minor version must not stop gates.
    """
    match = _VERSION.fullmatch(version.strip())
    minor = (int(match[1]), int(match[2])) if match else (0, 0)
    if minor < OLDEST or minor[0] > OLDEST[0]:
        oldest = "{}.{}".format(*OLDEST)
        raise ValueError(
            f"{version!r} is not a supported version of Argo Rollouts; --controller takes {oldest} and newer"
        )
    return ControllerVersion(version.strip().removeprefix("v"), minor)
