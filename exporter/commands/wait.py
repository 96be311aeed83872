"""The command `wait`: until an update of a rollout is where a pipeline wants it, or cannot get there."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass
from enum import IntEnum, StrEnum
from typing import TYPE_CHECKING, Final

from exporter.commands.api_client import ExporterUnreachableError
from exporter.commands.explain import rollout_key, rollout_name, rollout_sentence, select

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from exporter.commands.rollout_source import RolloutObject, RolloutSource, RolloutsPage
    from exporter.rollouts.model import RolloutKey

SETTLE_SECONDS: Final = 3.0
"""A pipeline deploys and waits at once: before the controller has taken up the change, and a scrape has shown it."""
LOST_SECONDS: Final = 120.0
"""How long a wait goes on without exporter or leader: either restarts, or fails over, in less."""
_FAILURES: Final = ("aborted", "rolled_back", "superseded")
"""Results of an update that do not promote it, as counted in `updates`; the first one counts."""

_AWAY: Final = {"no_leader", "not_shown"}
"""Reasons in `unknown` for which a state may be old."""
_NO_LEADER: Final = "no leading controller can be reached; check argo.targets, and that there is a Rollout"


class WaitGoal(StrEnum):
    """What is waited for."""

    PROMOTED = "promoted"
    PAUSED = "paused"
    ENDED = "ended"


class WaitCode(IntEnum):
    """The exit code of `wait`."""

    REACHED = 0
    NOT_PROMOTED = 1
    NO_ROLLOUT = 2
    NEEDS_PERSON = 3
    TIMEOUT = 4
    UNREACHABLE = 5


@dataclass(frozen=True, slots=True)
class WaitOutcome:
    """How a wait ended, with a line for people."""

    code: WaitCode
    text: str


def outcome_json(outcome: WaitOutcome, rollout: str, goal: str) -> dict[str, object]:
    """Return the object of `wait --json`; `rollout` and `goal` are those that were asked for."""
    return {
        "rollout": rollout,
        "goal": goal,
        "outcome": outcome.code.name.lower(),
        "exit_code": int(outcome.code),
        "text": outcome.text,
    }


async def wait(
    source: RolloutSource, name: str, goal: WaitGoal, timeout_seconds: float, emit: Callable[[str], None]
) -> WaitOutcome:
    """Wait until the goal is reached or cannot be, at most some seconds; emit each new state.

    Raises ExplainError if there is no such rollout.
    """
    clock = asyncio.get_running_loop().time
    started = clock()
    try:
        await source.refresh()
        page = await source.read_all()
    except ExporterUnreachableError as error:
        return WaitOutcome(WaitCode.UNREACHABLE, str(error))
    if not page.has_leader and not page.rollouts:
        return WaitOutcome(WaitCode.UNREACHABLE, _NO_LEADER)
    rollout = select(page.rollouts, name)
    watch = UpdateWatch(rollout, page.scraped_at, goal)
    outcome, state = None, ""
    async for read in _reads(source, rollout_key(rollout), started + timeout_seconds):
        outcome, is_final = watch.judge(read, clock() - started)
        if outcome is not None and is_final:
            return outcome
        if state != (state := watch.state):
            emit(f"{watch.name}: {watch.sentence}")
    return outcome or WaitOutcome(WaitCode.TIMEOUT, f"{watch.name}: not {goal} in time: {watch.sentence}")


async def _reads(
    source: RolloutSource, key: RolloutKey, deadline: float
) -> AsyncIterator[RolloutsPage | ExporterUnreachableError]:
    """Yield what is read of a rollout until the deadline (of the event loop's clock), or why it cannot be read."""
    clock = asyncio.get_running_loop().time
    while clock() < deadline:
        try:
            async with asyncio.timeout_at(deadline):
                await source.refresh()
                page = await source.read(key)
        except ExporterUnreachableError as error:
            yield error
        except TimeoutError:
            return
        else:
            yield page
        await asyncio.sleep(max(min(source.poll_seconds, deadline - clock()), 0.0))


class UpdateWatch:
    """Judges what is read of a rollout, in order.

    What a scrape shows that is new and was made SETTLE_SECONDS after the start is the update that is waited for, or
    the state in which the wait ends; what ended earlier does not count.
    """

    def __init__(self, rollout: RolloutObject, scraped_at: float, goal: WaitGoal) -> None:
        self.name = rollout_name(rollout)
        self._rollout = rollout
        self._first_scraped_at = scraped_at
        self._goal = goal
        self._is_settled = False
        self._reached_at = 0.0

    @property
    def sentence(self) -> str:
        """Why the rollout is where it was last."""
        return rollout_sentence(self._rollout)

    @property
    def state(self) -> str:
        """What distinguishes the last state from others; the sentence also has durations, which grow."""
        return repr([self._rollout[member] for member in ("standing", "phase", "step", "cause", "waits_for")])

    def judge(self, read: RolloutsPage | ExporterUnreachableError, seconds: float) -> tuple[WaitOutcome | None, bool]:
        """Return how the wait would end now, `seconds` after its start (None: by a timeout), and whether it ends."""
        if not isinstance(read, Exception) and read.is_deleted:
            return WaitOutcome(WaitCode.NOT_PROMOTED, f"{self.name} was deleted"), True
        problem = _problem(read)
        if problem is not None or isinstance(read, Exception):
            outcome = WaitOutcome(WaitCode.UNREACHABLE, f"{self.name}: {problem}")
            return outcome, seconds - self._reached_at > LOST_SECONDS
        self._reached_at = seconds
        rollout, before = read.rollouts[0], self._rollout
        self._rollout = rollout
        if self._is_settled:
            outcome_now = _ended(self._goal, before, rollout) or _standing(self._goal, rollout)
        else:
            self._is_settled = seconds >= SETTLE_SECONDS and read.scraped_at > self._first_scraped_at
            outcome_now = _standing(self._goal, rollout)
        return outcome_now, self._is_settled


def _problem(read: RolloutsPage | ExporterUnreachableError) -> str | None:
    """Return why nothing is known of the rollout now, None if something is."""
    if isinstance(read, ExporterUnreachableError):
        return str(read)
    if not read.has_leader:
        return _NO_LEADER
    if not read.rollouts or _AWAY & set(read.rollouts[0]["unknown"]):
        return "its controller does not show it; check argo.targets, and whether the rollout still exists"
    return None


def _ended(goal: WaitGoal, before: RolloutObject, rollout: RolloutObject) -> WaitOutcome | None:
    """Return the outcome if an update has ended since `before`."""
    counts_before, counts = Counter[str](before["updates"]), Counter[str](rollout["updates"])
    results = counts - counts_before
    failure = next((result for result in _FAILURES if results[result]), "")
    # Counters that shrink are those of an exporter that was restarted without its storage.
    if not failure and counts_before - counts and before["standing"] == "updating" and _is_other(before, rollout):
        failure = "superseded"
    if failure:
        return _failed(goal, rollout, failure.replace("_", " "))
    if results["promoted"] and goal is not WaitGoal.PAUSED:
        return WaitOutcome(WaitCode.REACHED, _line(rollout, "promoted"))
    return None


def _is_other(before: RolloutObject, rollout: RolloutObject) -> bool:
    hashes = {before["revisions"]["wanted"], rollout["revisions"]["wanted"]}
    return len(hashes - {"", None}) > 1


def _standing(goal: WaitGoal, rollout: RolloutObject) -> WaitOutcome | None:
    """Return the outcome by the present state alone, None while it is about an earlier spec than the current one."""
    if rollout["spec_observed"] is False:
        return None
    if rollout["standing"] == "aborted":
        return _failed(goal, rollout, "aborted")
    is_paused = rollout["phase"] == "Paused" or rollout["waits_for"] is not None
    if goal is WaitGoal.PAUSED and is_paused:
        return WaitOutcome(WaitCode.REACHED, _line(rollout, "paused"))
    # Nothing goes on with an invalid spec until a person corrects it.
    if rollout["waits_for"] == "person" or rollout["cause"] == "invalid_spec":
        return WaitOutcome(WaitCode.NEEDS_PERSON, _line(rollout, "waits for a person"))
    if rollout["standing"] == "settled" and goal is not WaitGoal.PAUSED:
        return WaitOutcome(WaitCode.REACHED, _line(rollout, "no update is under way"))
    return None


def _failed(goal: WaitGoal, rollout: RolloutObject, result: str) -> WaitOutcome:
    is_reached = goal is WaitGoal.ENDED
    return WaitOutcome(WaitCode.REACHED if is_reached else WaitCode.NOT_PROMOTED, _line(rollout, result))


def _line(rollout: RolloutObject, result: str) -> str:
    return f"{rollout_name(rollout)}: {result}: {rollout_sentence(rollout)}"
