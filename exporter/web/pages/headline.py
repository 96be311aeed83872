"""The sentences at the top: which rollouts need a person, and whether the store has the data."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from exporter.durations import duration
from exporter.web.model import Urgency

if TYPE_CHECKING:
    from exporter.web.model import DeliveryBrief, PageHead

BLOCKED_STATES: Final = frozenset({"holding", "refused"})
"""States of delivery that do not end by themselves."""
RETRY_SECONDS: Final = 60.0
"""How long retries are nothing to look at: a backend that restarts is back before."""
LATE_SECONDS: Final = 300.0
"""After so long without an accepted request alerts on fresh data fire, whatever the state is."""


def fleet_headline(head: PageHead) -> str:
    """Return the headline of the fleet page."""
    counts = head.counts
    person, failed = (counts.by_urgency.get(urgency, 0) for urgency in (Urgency.PERSON, Urgency.FAILED))
    if not counts.rollouts:
        return "No rollout has been observed yet"
    if not head.has_leader:
        return f"{_count(person, 'rollout') if person else 'No rollout'} needed a person when last read"
    if person:
        return f"{_count(person, 'rollout')} {'needs' if person == 1 else 'need'} a person"
    if failed:
        return f"{_count(failed, 'rollout')} aborted or failed"
    return "No rollout needs a person"


def title(head: PageHead) -> str:
    """Return the title of the browser's tab: how many rollouts need a person, and whether data is delivered."""
    counts = head.counts.by_urgency
    person, failed = (counts.get(urgency, 0) for urgency in (Urgency.PERSON, Urgency.FAILED))
    words = [f"{person} need{'s' if person == 1 else ''} a person"] if person else []
    words += [f"{failed} failed"] if failed and not person else []
    words += ["not delivered"] if is_undelivered(head.delivery) else []
    words += ["no controller"] if head.observed_at and not head.has_leader else []
    return " · ".join((*words, "Rollouts"))


def has_trouble(head: PageHead) -> bool:
    """Return whether somebody has to look: a person is needed, an update failed, or data is not delivered."""
    counts = head.counts.by_urgency
    return bool(
        counts.get(Urgency.PERSON)
        or counts.get(Urgency.FAILED)
        or is_undelivered(head.delivery)
        or (head.observed_at and not head.has_leader)
    )


def is_undelivered(delivery: DeliveryBrief | None) -> bool:
    """Return whether the store has not got the data that it should have."""
    if delivery is None:
        return False
    age = math.inf if delivery.last_success_age is None else delivery.last_success_age
    is_late = bool(delivery.queued) and LATE_SECONDS < age < math.inf
    return delivery.state in BLOCKED_STATES or (delivery.state == "retrying" and age > RETRY_SECONDS) or is_late


def delivery_words(delivery: DeliveryBrief | None, *, is_brief: bool = False) -> tuple[str, str]:
    """Return whether the store has the data, and since when or why not; `is_brief`: without the advice."""
    if delivery is None:
        return "Nothing is pushed", "No endpoint is set (otlp.endpoint); /metrics can be scraped."
    store, age = store_name(delivery.endpoint), delivery.last_success_age
    reason = delivery.reason.rstrip(".") or f"Delivery is {delivery.state}"
    if is_brief:
        reason = reason.partition("; ")[0]
    if is_undelivered(delivery):
        since = "" if age is None else f" of the last {duration(age)}"
        return f"{store} does not have the data{since}", f"{reason}. {delivery.queued:,} points wait in the queue."
    if age is None:
        return f"{store} has no data yet", "The first request is on its way."
    if delivery.state == "retrying":
        return f"{store} has the data up to {duration(age)} ago", f"A request is being retried: {reason}."
    return f"{store} has the data", f"It accepted the last request {duration(age)} ago."


def store_name(endpoint: str) -> str:
    """Return the name of the store by its address."""
    address = endpoint.removeprefix("dns:///")
    try:
        host = urlsplit(address if "//" in address else f"//{address}").hostname or "the endpoint"
    except ValueError:  # brackets that enclose no IPv6 address
        host = endpoint
    return "Last9" if host == "last9.io" or host.endswith(".last9.io") else host


def _count(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}"
