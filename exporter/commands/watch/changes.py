"""Rollouts for something that is not a terminal: a line for each change."""

from __future__ import annotations

from typing import TYPE_CHECKING

from exporter.commands.explain import rollout_name, rollout_sentence
from exporter.commands.timeline import time_text
from exporter.commands.watch.texts import facts, share_text
from exporter.log import CONTROL_CHARS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from exporter.commands.rollout_source import RolloutObject
    from exporter.commands.watch.state import WatchState


class ChangeLines:
    """Turns states into lines: one for each rollout or target that has changed since the state before."""

    def __init__(self) -> None:
        self._last_values: dict[str, object] = {}
        self._rollouts: set[str] = set()

    def new(self, state: WatchState) -> list[str]:
        """Return the lines that a state adds."""
        clock = time_text(state.page.scraped_at).partition(" ")[2].removesuffix(" UTC")
        return [f"{clock} {text}" for text in self._changed(state)]

    def _changed(self, state: WatchState) -> Iterator[str]:
        if state.failure:
            yield from self._once("", state.failure, f"not reached: {state.failure}")
            return
        yield from self._once("", "", "")
        by_name = {rollout_name(rollout): rollout for rollout in state.page.rollouts}
        for name, rollout in by_name.items():
            yield from self._once(name, _state_of(rollout), f"{name} {_text(rollout)}")
        for name in self._rollouts - by_name.keys():
            yield from self._once(name, None, f"{name} is gone")
        self._rollouts = set(by_name)
        for target in state.status.get("targets") or ():
            error = f": {target['error']}" if target["state"] == "down" and target["error"] else ""
            text = f"{target['source']} {target['address']} is {target['state']}{error}"
            yield from self._once(f"{target['source']} {target['address']}", target["state"], text)

    def _once(self, subject: str, value: object, text: str) -> Iterator[str]:
        if self._last_values.get(subject) != value:
            self._last_values[subject] = value
            if text:
                yield CONTROL_CHARS.sub(" ", text)


def _state_of(rollout: RolloutObject) -> object:
    """Return what distinguishes a state from others; the sentence also has durations, which grow."""
    members = [rollout[name] for name in ("standing", "phase", "step", "cause", "waits_for", "pods")]
    return [*members, share_text(rollout), "not_shown" in rollout["unknown"]]


def _text(rollout: RolloutObject) -> str:
    texts = (rollout["phase"] or "unknown", *facts(rollout))
    return f"{'; '.join(texts)}: {rollout_sentence(rollout)}"
