"""The two generations of the language: what the controller's conditions are written in, by its version."""

from __future__ import annotations

from enum import StrEnum


class Engine(StrEnum):
    """Which release of expr a controller carries (its go.mod); what differs between them is asked of `modern`."""

    EXPR_1_15 = "expr 1.15"
    """antonmedv/expr 1.15: Argo Rollouts 1.6 to 1.9."""
    EXPR_1_17 = "expr 1.17"
    """expr-lang/expr 1.17: Argo Rollouts 1.10 and later."""

    @property
    def v117(self) -> bool:
        """Say whether it is the newer one: raw strings, `if`, sequences, `?.[`, chained comparisons, new builtins."""
        return self is Engine.EXPR_1_17
