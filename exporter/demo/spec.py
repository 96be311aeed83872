"""What a user writes of a Rollout, as far as the simulated cluster knows it."""

from __future__ import annotations

from dataclasses import dataclass

FULL_WEIGHT = 100


@dataclass(frozen=True, slots=True)
class SetWeight:
    """A canary step: give the canary this weight, of 100."""

    weight: int


@dataclass(frozen=True, slots=True)
class Pause:
    """A canary step: wait these seconds, or, with None, until somebody promotes."""

    seconds: float | None = None


Step = SetWeight | Pause


@dataclass(frozen=True, slots=True)
class Canary:
    """The canary strategy; delays are seconds, `router` is the controller's `traffic_router` label ("" is none)."""

    steps: tuple[Step, ...] = ()
    router: str = ""
    max_surge: float = 0.25
    max_unavailable: float = 0.25
    scale_down_delay: float = 30.0
    abort_scale_down_delay: float = 30.0

    @property
    def label(self) -> str:
        """The strategy as the controller's metrics spell it."""
        return "canary"


@dataclass(frozen=True, slots=True)
class BlueGreen:
    """The blue-green strategy; a switch waits for a person (`manual`), for `auto_promotion` seconds, or for nothing."""

    manual: bool = False
    auto_promotion: float = 0.0
    preview_replicas: int | None = None
    scale_down_delay: float = 30.0
    abort_scale_down_delay: float = 30.0

    @property
    def label(self) -> str:
        """The strategy as the controller's metrics spell it."""
        return "blueGreen"


@dataclass(frozen=True, slots=True)
class Spec:
    """A Rollout as it is applied: its only template is an image; an image tagged `bad…` never gets ready."""

    namespace: str
    name: str
    image: str
    replicas: int = 1
    strategy: Canary | BlueGreen = Canary()
    paused: bool = False
    progress_deadline: float = 600.0
    progress_deadline_abort: bool = False
    history: int = 3

    @property
    def fault(self) -> str:
        """Why the controller calls this spec invalid, "" when it does not."""
        weights = [step.weight for step in self.steps if isinstance(step, SetWeight)]
        wrong = [weight for weight in weights if not 0 <= weight <= FULL_WEIGHT]
        return f"setWeight {wrong[0]} is not between 0 and {FULL_WEIGHT}" if wrong else ""

    @property
    def steps(self) -> tuple[Step, ...]:
        """The canary's steps; a blue-green rollout has none."""
        return self.strategy.steps if isinstance(self.strategy, Canary) else ()

    @property
    def router(self) -> str:
        """The traffic router's name, "" without one."""
        return self.strategy.router if isinstance(self.strategy, Canary) else ""
