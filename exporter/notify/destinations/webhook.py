"""Webhooks: each transition as a CloudEvent (JSON, structured mode), or by a template; signed with HMAC."""

from __future__ import annotations

import hashlib
import hmac
import json
from string import Template
from typing import TYPE_CHECKING, Final

from exporter.config.notify import TEMPLATES
from exporter.config.settings import cluster_name
from exporter.net.tls import ClientTlsLoader
from exporter.notify.http import HttpMessageClient, HttpTarget, ReloadedSecret
from exporter.notify.model import MessageDestination, attempt_id, identifier, time_text
from exporter.rollouts.events.document import transition_json

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from exporter.config.notify import WebhookSection
    from exporter.config.settings import Settings
    from exporter.rollouts.events.model import ReportedTransition

TYPE_PREFIX: Final = "rollouts-exporter."
SIGNATURE: Final = "X-Hub-Signature-256"
"""GitHub's header, which the common receivers of webhooks can verify."""


def cloud_event(transition: ReportedTransition, cluster: str) -> Mapping[str, object]:
    """Return a transition as a CloudEvent; `id` is the same whenever it is made again."""
    rollout, attempt = transition.rollout, transition.attempt
    subject = "/".join(rollout or ())
    data = {**transition_json(transition), "cluster": cluster, "uid": transition.uid, "strategy": transition.strategy}
    if rollout is not None and attempt is not None:
        data["attempt"] = attempt_id(cluster, rollout, attempt)
    # The sentence distinguishes what happens twice at a tick, such as two analyses.
    unique = (cluster, subject, transition.type, f"{transition.timestamp:.3f}", attempt, transition.sentence)
    return {
        "specversion": "1.0",
        "id": identifier("transition", *unique),
        "source": f"/rollouts-exporter/{cluster}",
        "type": f"{TYPE_PREFIX}{transition.type.value}",
        **({"subject": subject} if subject else {}),
        "time": time_text(transition.timestamp),
        "datacontenttype": "application/json",
        "data": {key: value for key, value in data.items() if value != ""},
    }


def templated(transition: ReportedTransition, cluster: str, template: str) -> str:
    """Return the text of a template, in which each name is replaced by a text as JSON has it within quotes."""
    namespace, name = transition.rollout or ("", "")
    texts = {
        "rollout": "/".join(transition.rollout or ()),
        "namespace": namespace,
        "name": name,
        "type": transition.type.value,
        "sentence": transition.sentence,
        "revision": transition.revision,
        "cause": transition.cause.value if transition.cause is not None else "",
        "cluster": cluster,
        "time": time_text(transition.timestamp),
    }
    return Template(template).substitute({key: json.dumps(text)[1:-1] for key, text in texts.items()})


def configured(settings: Settings) -> Iterator[MessageDestination]:
    """Yield a destination for each webhook."""
    cluster = cluster_name(settings.identity())
    for webhook in settings.webhooks:
        yield _destination(webhook, cluster)


def _destination(webhook: WebhookSection, cluster: str) -> MessageDestination:
    template = TEMPLATES.get(webhook.template, webhook.template)

    def bodies(transition: ReportedTransition) -> Iterator[bytes]:
        if webhook.selects(transition.type.value, "/".join(transition.rollout or ())):
            document = json.dumps(cloud_event(transition, cluster), ensure_ascii=False)
            yield (templated(transition, cluster, template) if template else document).encode(errors="replace")

    return MessageDestination(webhook.name, bodies, HttpMessageClient(_target(webhook, is_event=not template)))


def _target(webhook: WebhookSection, *, is_event: bool) -> HttpTarget:
    url = ReloadedSecret(webhook.url_file, webhook.url)
    key = ReloadedSecret(webhook.secret_file, webhook.secret)
    media_type = "application/cloudevents+json" if is_event else "application/json"
    has_key = webhook.secret_file is not None or webhook.secret is not None

    def headers(body: bytes) -> Mapping[str, str]:
        signature = {SIGNATURE: f"sha256={signed(body, key.read())}"} if has_key else {}
        return {"Content-Type": f"{media_type}; charset=utf-8", **signature}

    return HttpTarget(
        url.read,
        headers,
        lambda: url.changed() or key.changed(),
        address_setting=f"webhooks.url_file of {webhook.name}",
        credential_setting=f"webhooks.url_file and webhooks.secret_file of {webhook.name}",
        timeout=webhook.timeout,
        tls=ClientTlsLoader(webhook.tls),
    )


def signed(body: bytes, key: str) -> str:
    """Return the signature of a body, in hexadecimal digits."""
    return hmac.new(key.encode(), body, hashlib.sha256).hexdigest()
