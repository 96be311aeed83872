"""Annotations in Grafana: a point at the start of an update, a region over it at its end."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

from exporter import log
from exporter.net.tls import ClientTlsLoader
from exporter.notify.http import HttpMessageClient, HttpTarget, ReloadedSecret
from exporter.notify.model import MessageDestination
from exporter.rollouts.events.model import ATTEMPT_BEGINNINGS, ATTEMPT_ENDS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from exporter.config.settings import Settings
    from exporter.rollouts.events.model import ReportedTransition

NAME: Final = "grafana"
_PATH: Final = "/api/annotations"


def update_annotations(transition: ReportedTransition, tags: Sequence[str]) -> Iterator[bytes]:
    """Yield the annotation of a transition, times in milliseconds; none if the beginning of its update was not seen."""
    if (
        transition.rollout is None
        or transition.attempt is None
        or transition.type not in ATTEMPT_BEGINNINGS | ATTEMPT_ENDS
    ):
        return
    times = {"time": round(transition.timestamp * 1000)}
    if transition.type in ATTEMPT_ENDS:
        times = {"time": round(transition.attempt[0] * 1000), "timeEnd": times["time"]}
    namespace, name = transition.rollout
    text = f"{namespace}/{name}: {transition.sentence}"
    document = {**times, "tags": [*tags, namespace, name, transition.type.value], "text": text}
    yield json.dumps(document, ensure_ascii=False).encode(errors="replace")


def configured(settings: Settings) -> Iterator[MessageDestination]:
    """Yield the destination, if it has an address."""
    section = settings.grafana
    if section.address is None:
        return
    token = ReloadedSecret(section.token_file, section.token)
    url = section.address.rstrip("/") + _PATH

    def headers(_: bytes) -> Mapping[str, str]:
        text = token.read()
        log.register_auth_headers(text)
        return {"Content-Type": "application/json", **({"Authorization": f"Bearer {text}"} if text else {})}

    target = HttpTarget(
        lambda: url,
        headers,
        token.changed,
        address_setting="grafana.address",
        credential_setting="grafana.token_file",
        timeout=section.timeout,
        tls=ClientTlsLoader(section.tls),
    )
    yield MessageDestination(
        NAME, lambda transition: update_annotations(transition, section.tags), HttpMessageClient(target)
    )
