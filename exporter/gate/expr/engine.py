"""The releases of the expr language that controllers are built with."""

from __future__ import annotations

from enum import StrEnum


class Engine(StrEnum):
    """Which release of expr a controller's go.mod names."""

    EXPR_1_15 = "expr 1.15"
    """antonmedv/expr 1.15: Argo Rollouts 1.6 to 1.9."""
    EXPR_1_17 = "expr 1.17"
    """expr-lang/expr 1.17: Argo Rollouts 1.10 and later."""

    @property
    def v117(self) -> bool:
        """True for 1.17, which adds raw strings, `if`, sequences, `?.[`, chained comparisons and builtins."""
        return self is Engine.EXPR_1_17
