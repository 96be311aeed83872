"""The blue-green strategy of the simulated controller: `rollout/bluegreen.go` and `service.go` of v1.8.3."""

from __future__ import annotations

from typing import TYPE_CHECKING

from exporter.demo.simulator import reconciler as shared
from exporter.demo.simulator.objects import BlueGreen

if TYPE_CHECKING:
    from exporter.demo.simulator.reconciler import Turn


def reconcile(turn: Turn) -> None:
    """Bring a blue-green rollout one turn further."""
    fast = turn.new.deadline is not None
    rollout, was = turn.rollout, turn.was
    if not rollout.spec.paused and rollout.second != turn.new.hash:
        rollout.second = turn.new.hash
        turn.record("SwitchService")
    changed = bool(was.current_hash) and was.current_hash != turn.new.hash
    if not changed:
        resize(turn)
        _reconcile_pause(turn, fast=fast)
        _switch(turn, fast=fast)
    _sync(turn, changed=changed)


def resize(turn: Turn) -> None:
    """Size the ReplicaSets: the stable one whole, the wanted one as a preview or whole, others away in time."""
    if not turn.rollout.spec.paused:
        shared.lift_deadlines(turn)
    if turn.stable:
        shared.scale(turn, turn.stable, turn.wanted)
    shared.resize_new(turn, _preview(turn))
    for one in turn.rollout.others:
        if one.spec and one.hash not in {turn.rollout.first, turn.was.active}:
            shared.scale(turn, one, shared.after_delay(turn, one, turn.wanted))


def refresh(turn: Turn) -> None:
    """Count the available pods: those of the active ReplicaSet, where there is one."""
    active = turn.rollout.sets.get(turn.status.active)
    turn.status.available = shared.available([active] if active else list(turn.rollout.sets.values()))


def _strategy(turn: Turn) -> BlueGreen:
    assert isinstance(turn.strategy, BlueGreen)
    return turn.strategy


def _preview(turn: Turn) -> int:
    """Size the wanted ReplicaSet (NewRSNewReplicas)."""
    preview, was = _strategy(turn).preview_replicas, turn.was
    if preview is None or was.promote_full or was.active in {"", turn.new.hash}:
        return turn.wanted
    resumed = not turn.rollout.spec.paused and was.waiting is None and was.preview_checked
    return turn.wanted if resumed and was.current_hash == turn.new.hash else preview


def _reconcile_pause(turn: Turn, *, fast: bool) -> None:
    """Begin or end the pause before the switch (reconcileBlueGreenPause)."""
    size, strategy = _preview(turn), _strategy(turn)
    if turn.was.abort or turn.rollout.spec.paused or not turn.new.spec == turn.new.available == size:
        return
    held = strategy.manual or strategy.auto_promotion > 0
    if _fast_tracked(turn, fast=fast) or turn.was.preview_checked or not held:
        turn.drops_pause = True
    elif turn.was.waiting is not None:
        turn.drops_pause = _pause_over(turn)
    elif not turn.was.controller_pause:
        turn.adds_pause = "BlueGreenPause"


def _fast_tracked(turn: Turn, *, fast: bool) -> bool:
    """Whether the switch needs no pause (isBlueGreenFastTracked)."""
    return fast or turn.was.promote_full or turn.rollout.first in {"", turn.new.hash}


def _pause_over(turn: Turn) -> bool:
    """Whether somebody promoted, or the time has passed (CompletedBlueGreenPause)."""
    strategy = _strategy(turn)
    if turn.was.preview_checked and not turn.adds_pause:
        return True
    if strategy.manual:
        return shared.waited(turn, None)
    if not strategy.auto_promotion:
        return not turn.adds_pause
    return turn.was.waiting is not None and shared.waited(turn, strategy.auto_promotion)


def _switch(turn: Turn, *, fast: bool) -> None:
    """Point the active Service at the wanted pods once all of them are ready (reconcileActiveService)."""
    if turn.rollout.spec.paused or not turn.new.spec == turn.new.available == turn.new.desired == turn.wanted:
        return
    selector = turn.rollout.first
    if _fast_tracked(turn, fast=fast) or _pause_over(turn):
        selector = turn.new.hash
    if turn.was.abort:
        selector = turn.was.stable_hash
    if selector != turn.rollout.first:
        turn.rollout.first = selector
        turn.record("SwitchService")


def _sync(turn: Turn, *, changed: bool) -> None:
    """Write the status (syncRolloutStatusBlueGreen)."""
    status = turn.status
    shared.count(turn)
    if changed:
        shared.begin(turn)
    if turn.was.promote_full:
        turn.clears_pause = turn.drops_abort = True
    status.preview, status.active = turn.rollout.second, turn.rollout.first
    if _promotable(turn):
        shared.promote(turn)
    else:
        status.preview_checked = _preview_checked(turn)
    refresh(turn)


def _promotable(turn: Turn) -> bool:
    """Whether the wanted revision may become the stable one (shouldFullPromote)."""
    if turn.stable is None or not turn.status.active:
        return True
    return turn.status.active == turn.status.current_hash and (turn.was.promote_full or not turn.aborted)


def _preview_checked(turn: Turn) -> bool:
    """Whether the small preview was seen and let pass (calculateScaleUpPreviewCheckPoint)."""
    size = _strategy(turn).preview_replicas
    if size is None or turn.clears_pause:
        return False
    return turn.was.preview_checked or (_pause_over(turn) and turn.new.available == size)
