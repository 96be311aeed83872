"""The page of targets: what each address answered last."""

from __future__ import annotations

from typing import TYPE_CHECKING

from exporter.web.model import TargetCard

if TYPE_CHECKING:
    from exporter.config.settings import Settings
    from exporter.rollouts.output.targets import TargetStatus
    from exporter.rollouts.tracker import TrackerStatus


def target_state(target: TargetStatus) -> str:
    """Return the role of a controller, else up or down."""
    if target.role is not None:
        return target.role.value
    return "down" if target.result.failure is not None else "up"


def target_card(target: TargetStatus, now: float) -> TargetCard:
    """Return a target's card at a time (Unix seconds)."""
    result = target.result
    has_page = result.failure is None
    return TargetCard(
        source=result.source.value,
        address=result.target,
        state=target_state(target),
        installation=result.installation,
        last_success_age=None if target.last_success is None else max(now - target.last_success, 0.0),
        duration=result.duration,
        samples=result.sample_count if has_page else None,
        bytes=result.size or None,
        error=result.failure.message if result.failure is not None else "",
        malformed_count=sum(result.parse_errors.values()),
        malformed=result.malformed_lines,
        answer=result.answer,
    )


def sources_without_targets(settings: Settings, status: TrackerStatus) -> tuple[str, ...]:
    """Return the sources of the settings of which no address is known: their names resolve to none."""
    scraped = {(target.result.source, target.result.installation) for target in status.targets}
    kinds = {source for source, _ in scraped}
    missing = []
    for source, section in settings.sources():
        installation = getattr(section, "name", "")
        is_missing = source not in kinds or (installation and (source, installation) not in scraped)
        missing += [f"{source.value} {installation}".rstrip()] if is_missing else []
    return tuple(missing)
