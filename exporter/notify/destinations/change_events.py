"""Change events of Last9: `start` and `stop` of each update, with the labels that its charts select by.

Each attribute becomes a label of the metric `last9_change_events`, so there are few values of each.
"""

from __future__ import annotations

import json
import logging
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from exporter import log
from exporter.config.settings import cluster_name
from exporter.config.values import matches_any
from exporter.metrics import Failure
from exporter.net.last9 import ApiAccount, BusyFailure, Last9Client
from exporter.notify.http import ReloadedSecret, classify_message
from exporter.notify.model import MessageDestination, attempt_id, time_text
from exporter.otlp.result import Accepted, Blocked, Retryable
from exporter.otlp.transport.http_status import retry_after
from exporter.rollouts.events.model import ATTEMPT_BEGINNINGS, TransitionType
from exporter.rollouts.inputs.kube_state_metrics import exposed_label

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import Self

    from exporter.config.notify import ChangeEventsSection
    from exporter.config.settings import Settings
    from exporter.otlp.result import RequestResult
    from exporter.rollouts.events.model import ReportedTransition

_log: Final = logging.getLogger(__name__)

NAME: Final = "last9"
_PATH: Final = "/change_events"
_DEPLOYMENT: Final = "deployment"
_START, _STOP = "start", "stop"

RESULTS: Final = {
    TransitionType.PROMOTED: "success",
    TransitionType.ABORTED: "failure",
    TransitionType.ROLLED_BACK: "failure",
    TransitionType.SUPERSEDED: "cancelled",
    TransitionType.DELETED: "cancelled",
}
"""What ends an update, with the attribute `result`; success and failure are the words of Last9's own plugins."""
MARKS: Final = {
    TransitionType.STEP_REACHED: ("deployment_step", _START),
    TransitionType.PAUSED: ("deployment_pause", _START),
    TransitionType.RESUMED: ("deployment_pause", _STOP),
    TransitionType.ABORTED: ("rollback", _START),
    TransitionType.ROLLED_BACK: ("rollback", _START),
}
"""Name and state of the optional events; the names fall into Last9's categories deployment and rollback."""


@dataclass(frozen=True, slots=True)
class EventNames:
    """The names that a rollout has in Last9: its cluster, its service, and its environment."""

    cluster: str
    environment: str
    section: ChangeEventsSection

    def service_of(self, transition: ReportedTransition) -> str:
        """Return the service of a rollout, by default its name."""
        section, (_, name) = self.section, transition.rollout or ("", "")
        return _value(transition, section.services, section.service_label) or name

    def environment_of(self, transition: ReportedTransition) -> str:
        """Return the environment of a rollout, "" if nothing names it."""
        section = self.section
        return _value(transition, section.environments, section.environment_label) or self.environment


def _value(transition: ReportedTransition, by_glob: Mapping[str, str], label: str) -> str:
    rollout = "/".join(transition.rollout or ())
    by_table = next((value for glob, value in by_glob.items() if matches_any(rollout, (glob,))), "")
    by_label = transition.labels.get(f"label_{exposed_label(label)}", "") if label else ""
    return by_table or by_label


def change_events(transition: ReportedTransition, names: EventNames, *, marks: bool) -> Iterator[bytes]:
    """Yield the bodies of the change events of a transition; none of an update whose beginning was not seen."""
    kind = transition.type
    if transition.rollout is None or transition.attempt is None:
        return
    if kind in ATTEMPT_BEGINNINGS:
        yield _body(transition, names, _DEPLOYMENT, _START)
    elif kind in RESULTS:
        window = max(transition.timestamp - transition.attempt[0], 0.0)
        ending = {"result": RESULTS[kind], "deployment_window_duration_ms": round(window * 1000)}
        yield _body(transition, names, _DEPLOYMENT, _STOP, ending)
    if marks and kind in MARKS:
        yield _body(transition, names, *MARKS[kind])


def _body(
    transition: ReportedTransition, names: EventNames, event: str, state: str, ending: Mapping[str, object] = {}
) -> bytes:
    document = {
        "event_name": event,
        "event_state": state,
        "timestamp": time_text(transition.timestamp),
        "data_source_name": names.cluster,
        "attributes": {**_attributes(transition, names), **ending},
    }
    return json.dumps({key: value for key, value in document.items() if value}, separators=(",", ":")).encode()


def _attributes(transition: ReportedTransition, names: EventNames) -> Mapping[str, object]:
    assert transition.rollout is not None
    assert transition.attempt is not None
    namespace, name = transition.rollout
    service, environment = names.service_of(transition), names.environment_of(transition)
    attributes = {
        # Last9's own clients spell both in two ways, and charts select by either.
        "service": service,
        "service_name": service,
        "deployment_environment": environment,
        "env": environment,
        "cluster": names.cluster,
        "namespace": namespace,
        "resource_kind": "Rollout",
        "resource_name": name,
        "resource_uid": transition.uid,
        "revision": transition.revision,
        "image_tag": image_tag(transition),
        "strategy": transition.strategy,
        "deployment_id": attempt_id(names.cluster, transition.rollout, transition.attempt),
        "transition": transition.type.value,
        "cause": transition.cause.value if transition.cause is not None else "",
        "step": transition.step.index if transition.type is TransitionType.STEP_REACHED and transition.step else "",
    }
    return {key: value for key, value in attributes.items() if value != ""}


def image_tag(transition: ReportedTransition) -> str:
    """Return the tag of the image that the update changes, of the first one if there are several; "" if unknown."""
    if transition.images is None:
        return ""
    current, stable = transition.images.current, transition.images.stable
    changed = [container for container in sorted(current) if current[container] != stable.get(container)]
    image = current[changed[0]] if changed else next(iter(current.values()), "")
    return image.partition("@")[0].rpartition("/")[2].partition(":")[2]


def configured(settings: Settings) -> Iterator[MessageDestination]:
    """Yield the destination, if it is enabled."""
    section, identity = settings.last9.change_events, settings.identity()
    if not section.enabled:
        return
    environment = identity.get("deployment.environment") or identity.get("deployment.environment.name") or ""
    names = EventNames(cluster_name(identity), environment, section)
    client = DryRunClient() if section.dry_run else ChangeEventsClient(settings)
    yield MessageDestination(
        NAME, lambda transition: change_events(transition, names, marks=section.marks), client
    )  # fmt: skip


class ChangeEventsClient(Last9Client):
    """Puts events, with access tokens of the refresh token; use it with `async with`."""

    def __init__(self, settings: Settings) -> None:
        last9 = settings.last9
        secret = ReloadedSecret(last9.refresh_token_file, last9.refresh_token)
        self._setting = "last9.refresh_token_file" if last9.refresh_token_file else "last9.refresh_token"
        self.credentials_changed = secret.changed
        super().__init__(ApiAccount(secret.read, last9.address or "", last9.organization, self._setting))

    async def post(self, body: bytes) -> RequestResult:
        """Send an event; never raises."""
        response = await self.send("PUT", _PATH, body)
        if not isinstance(response, Failure):
            return classify_message(response, time.time(), "last9.address", self._setting)
        if response.reason in {"credential", "address"}:
            return Blocked(response.message)
        if isinstance(response, BusyFailure):
            return Retryable(response.message, retry_after(response.retry_after, time.time()))
        return Retryable(response.message, unanswered=True)


class DryRunClient:
    """Logs the events, and takes them as delivered."""

    async def post(self, body: bytes) -> RequestResult:
        """Log a body."""
        _log.info("change event, not sent", extra=log.fields(body=body.decode()))
        return Accepted(1)

    def credentials_changed(self) -> bool:
        """Return False: there is no credential."""
        return False

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        pass
