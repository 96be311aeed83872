"""The status page: its values, which `service.views` fills in, and their HTML.

Every text passes `escape`; the page loads nothing but its style sheet.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from html import escape
from importlib.resources import files
from string import Template
from typing import TYPE_CHECKING, Final

from exporter.durations import duration

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

MAX_ROWS: Final = 200
"""Rollouts on the page, the most urgent ones; /api/rollouts has all."""
BADGE_CLASSES: Final = {
    "good": ("leader", "up", "delivering", "Completed"),
    "calm": ("standby", "idle", "stopped"),
    "busy": ("Progressing", "starting", "retrying"),
    "wait": ("Paused",),
    "bad": ("down", "holding", "refused", "InvalidSpec", "Timeout", "Error", "Abort"),
}
BADGE_CLASS_OF: Final = {word: badge_class for badge_class, words in BADGE_CLASSES.items() for word in words}
_TARGET_COLUMNS: Final = ("source", "installation", "address", "state", "last success")
_ROLLOUT_COLUMNS: Final = ("rollout", "strategy", "phase", "update", "canary fraction", "unknown because")
"""Heads of the columns, in the order of the cells of `_target` and `_rollout`."""


@dataclass(frozen=True, slots=True)
class TargetRow:
    """One target; `state` is its controller role, else up or down; `last_success_age` in seconds, None for never."""

    source: str
    address: str
    state: str
    installation: str = ""
    last_success_age: float | None = None
    error: str = ""


@dataclass(frozen=True, slots=True)
class RolloutRow:
    """One rollout; `fraction` in [0,1] with its method; None and "" are unknown, `unknown` holds the reasons."""

    namespace: str
    name: str
    phase: str = ""
    strategy: str = ""
    fraction: float | None = None
    method: str = ""
    updating: bool | None = None
    unknown: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class DeliveryStatus:
    """The delivery section; `last_success_age` in seconds, None for never; `queued` and `dropped` count points."""

    state: str
    endpoint: str = ""
    last_success_age: float | None = None
    queued: int = 0
    dropped: int = 0
    error: str = ""


@dataclass(frozen=True, slots=True)
class StatusPage:
    """The complete page; `delivery` is None if no endpoint is set.

    `uptime`, and for how long history is held (`history_age`), in seconds.
    """

    version: str
    instance: str
    uptime: float
    targets: tuple[TargetRow, ...] = ()
    rollouts: tuple[RolloutRow, ...] = ()
    delivery: DeliveryStatus | None = None
    history_age: float = 0.0
    warnings: tuple[str, ...] = ()


@cache
def asset(name: str) -> str:
    """Return a file of `page/`."""
    return files("exporter.web").joinpath("page", name).read_text("utf-8")


def page(status: StatusPage) -> str:
    """Return the page: warnings, delivery, rollouts (those that need attention first), targets."""
    return Template(asset("index.html")).substitute(
        version=escape(status.version),
        instance=escape(status.instance),
        uptime=duration(status.uptime),
        history=duration(status.history_age),
        summary=_summary(status),
        warnings="".join(f'<p class="warning">{escape(warning)}</p>' for warning in status.warnings),
        delivery=_delivery(status.delivery),
        targets=_table(_TARGET_COLUMNS, map(_target, status.targets), "No target has been scraped yet."),
        rollouts=_table(_ROLLOUT_COLUMNS, map(_rollout, _by_urgency(status.rollouts)), "No rollout has been seen yet."),
        more=_more_link(len(status.rollouts) - MAX_ROWS),
    )


def _summary(status: StatusPage) -> str:
    down = sum(target.state == "down" for target in status.targets)
    updating = sum(rollout.updating is True for rollout in status.rollouts)
    unknown = sum(bool(rollout.unknown) for rollout in status.rollouts)
    tiles = (
        (len(status.targets), "targets", ""),
        (down, "down", "bad" if down else ""),
        (len(status.rollouts), "rollouts", ""),
        (updating, "updating", "busy" if updating else ""),
        (unknown, "partly unknown", "wait" if unknown else ""),
    )
    return "".join(f'<li class="{badge_class}"><b>{count:,}</b> {text}</li>' for count, text, badge_class in tiles)


def _delivery(delivery: DeliveryStatus | None) -> str:
    if delivery is None:
        return "<p>Nothing is pushed: no endpoint is set (<code>otlp.endpoint</code>). /metrics can be scraped.</p>"
    age = delivery.last_success_age
    facts = (
        ("to", delivery.endpoint),
        ("last success", "none yet" if age is None else f"{duration(age)} ago"),
        ("queued", f"{delivery.queued:,} points"),
        ("dropped", f"{delivery.dropped:,} points"),
    )
    rows = "".join(f"<div><dt>{name}</dt><dd>{escape(text)}</dd></div>" for name, text in facts if text)
    return f"<dl><div><dt>state</dt><dd>{_badge(delivery.state)}</dd></div>{rows}</dl>{_error_text(delivery.error)}"


def _target(target: TargetRow) -> str:
    age = "never" if target.last_success_age is None else f"{duration(target.last_success_age)} ago"
    return _row(
        escape(target.source),
        escape(target.installation),
        f"<code>{escape(target.address)}</code>",
        _badge(target.state),
        f"{age}{_error_text(target.error)}",
    )


def _rollout(rollout: RolloutRow) -> str:
    return _row(
        f'<span class="namespace">{escape(rollout.namespace)}/</span>{escape(rollout.name)}',
        escape(rollout.strategy),
        _badge(rollout.phase or "unknown"),
        {True: "in progress", False: "at rest", None: "unknown"}[rollout.updating],
        _fraction(rollout),
        escape(", ".join(rollout.unknown)),
    )


def _fraction(rollout: RolloutRow) -> str:
    if rollout.fraction is None:
        return '<span class="none">&ndash;</span>'
    # A width of SVG, since the Content-Security-Policy forbids inline styles.
    filled = f'<rect width="{100 * rollout.fraction:.2f}" height="10"/>'
    bar = f'<svg class="bar" viewBox="0 0 100 10" preserveAspectRatio="none" aria-hidden="true">{filled}</svg>'
    return f"{bar} {rollout.fraction:.1%} <small>{escape(rollout.method)}</small>"


def _by_urgency(rollouts: Iterable[RolloutRow]) -> list[RolloutRow]:
    def rank(rollout: RolloutRow) -> tuple[bool, bool, bool, str, str]:
        has_failed = BADGE_CLASS_OF.get(rollout.phase) == "bad"
        return not has_failed, rollout.updating is not True, not rollout.unknown, rollout.namespace, rollout.name

    return sorted(rollouts, key=rank)[:MAX_ROWS]


def _more_link(count: int) -> str:
    return f'<p>And {count:,} more: <a href="api/rollouts">/api/rollouts</a> lists all.</p>' if count > 0 else ""


def _table(columns: Sequence[str], rows: Iterable[str], empty_text: str) -> str:
    head = "".join(f"<th>{column}</th>" for column in columns)
    body = "".join(rows) or f'<tr><td class="none" colspan="{len(columns)}">{empty_text}</td></tr>'
    return f"<thead><tr>{head}</tr></thead>\n<tbody>{body}</tbody>"


def _row(*cells: str) -> str:
    return f"<tr>{''.join(f'<td>{cell}</td>' for cell in cells)}</tr>"


def _badge(word: str) -> str:
    return f'<span class="badge {BADGE_CLASS_OF.get(word, "odd")}">{escape(word)}</span>'


def _error_text(text: str) -> str:
    return f'<p class="error">{escape(text)}</p>' if text else ""
