"""A status → the HTML of the status page. Every text passes `escape`; nothing is loaded but the style sheet."""

from __future__ import annotations

from functools import cache
from html import escape
from importlib.resources import files
from string import Template
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

    from exporter.web.views import Delivery, RolloutRow, Status, TargetRow

SHOWN: Final = 200
MINUTE: Final = 60
HOUR: Final = 60 * MINUTE
DAY: Final = 24 * HOUR
TONES: Final = {
    "good": ("leader", "up", "delivering", "Completed"),
    "calm": ("standby", "idle", "stopped"),
    "busy": ("Progressing", "starting", "retrying"),
    "wait": ("Paused",),
    "bad": ("down", "holding", "refused", "InvalidSpec", "Timeout", "Error", "Abort"),
}
TONE_OF: Final = {word: tone for tone, words in TONES.items() for word in words}


@cache
def asset(name: str) -> str:
    """Return a file of `page/`."""
    return files("exporter.web").joinpath("page", name).read_text("utf-8")


def page(status: Status) -> str:
    """Return the page: alarms, delivery, targets, then the rollouts that need a look before those at rest."""
    return Template(asset("index.html")).substitute(
        version=escape(status.version),
        instance=escape(status.instance),
        uptime=duration(status.uptime),
        summary=_summary(status),
        alarms="".join(f'<p class="alarm">{escape(alarm)}</p>' for alarm in status.alarms),
        delivery=_delivery(status.delivery),
        targets=_rows(map(_target, status.targets), 5, "No target has been asked yet."),
        rollouts=_rows(map(_rollout, _urgent_first(status.rollouts)), 6, "No rollout has been seen yet."),
        more=_more(len(status.rollouts) - SHOWN),
    )


def duration(seconds: float) -> str:
    """Return a time span as people say it: `45 s`, `12 min`, `2 h 5 min`, `3 d 4 h`."""
    whole = max(int(seconds), 0)
    if whole < MINUTE:
        return f"{whole} s"
    if whole < HOUR:
        return f"{whole // MINUTE} min"
    if whole < DAY:
        return f"{whole // HOUR} h {whole % HOUR // MINUTE} min"
    return f"{whole // DAY} d {whole % DAY // HOUR} h"


def _summary(status: Status) -> str:
    down = sum(target.state == "down" for target in status.targets)
    updating = sum(rollout.updating is True for rollout in status.rollouts)
    unknown = sum(bool(rollout.unknown) for rollout in status.rollouts)
    tiles = (
        (len(status.targets), "targets", ""),
        (down, "down", "bad" if down else ""),
        (len(status.rollouts), "rollouts", ""),
        (updating, "updating", "busy" if updating else ""),
        (unknown, "not fully known", "wait" if unknown else ""),
    )
    return "".join(f'<li class="{tone}"><b>{count:,}</b> {text}</li>' for count, text, tone in tiles)


def _delivery(delivery: Delivery | None) -> str:
    if delivery is None:
        return "<p>Nothing is pushed: no endpoint is set (<code>otlp.endpoint</code>). /metrics can be scraped.</p>"
    facts = (
        ("to", delivery.endpoint),
        ("last success", "none yet" if delivery.age is None else f"{duration(delivery.age)} ago"),
        ("queued", f"{delivery.queued:,} points"),
        ("dropped", f"{delivery.dropped:,} points"),
    )
    told = "".join(f"<div><dt>{name}</dt><dd>{escape(text)}</dd></div>" for name, text in facts if text)
    return f"<dl><div><dt>state</dt><dd>{_badge(delivery.state)}</dd></div>{told}</dl>{_trouble(delivery.trouble)}"


def _target(target: TargetRow) -> str:
    age = "never" if target.age is None else f"{duration(target.age)} ago"
    return _row(
        escape(target.source),
        escape(target.installation),
        f"<code>{escape(target.address)}</code>",
        _badge(target.state),
        f"{age}{_trouble(target.trouble)}",
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
    filled = f'<rect width="{100 * rollout.fraction:.2f}" height="10"/>'
    bar = f'<svg class="bar" viewBox="0 0 100 10" preserveAspectRatio="none" aria-hidden="true">{filled}</svg>'
    return f"{bar} {rollout.fraction:.1%} <small>{escape(rollout.method)}</small>"


def _urgent_first(rollouts: Iterable[RolloutRow]) -> list[RolloutRow]:
    def rank(rollout: RolloutRow) -> tuple[bool, bool, bool, str, str]:
        bad = TONE_OF.get(rollout.phase) == "bad"
        return not bad, rollout.updating is not True, not rollout.unknown, rollout.namespace, rollout.name

    return sorted(rollouts, key=rank)[:SHOWN]


def _more(count: int) -> str:
    return f'<p>And {count:,} more: <a href="api/rollouts">/api/rollouts</a> has them all.</p>' if count > 0 else ""


def _rows(rows: Iterable[str], width: int, none: str) -> str:
    return "".join(rows) or f'<tr><td class="none" colspan="{width}">{none}</td></tr>'


def _row(*cells: str) -> str:
    return f"<tr>{''.join(f'<td>{cell}</td>' for cell in cells)}</tr>"


def _badge(word: str) -> str:
    return f'<span class="badge {TONE_OF.get(word, "odd")}">{escape(word)}</span>'


def _trouble(text: str) -> str:
    return f'<p class="trouble">{escape(text)}</p>' if text else ""
