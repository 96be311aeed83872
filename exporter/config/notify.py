"""Sections of what gets messages about transitions: Last9's change events, webhooks, Grafana's annotations."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from string import Template
from typing import Annotated

from exporter.config import values
from exporter.config.model import Section
from exporter.config.section import ClientTlsSection
from exporter.config.values import SecretText

TEMPLATES = {"cloudevents": "", "slack": '{"text": "$rollout: $sentence"}'}
"""The templates that have a name; that of a CloudEvent is empty, since it has all members."""
TEMPLATE_NAMES = ("rollout", "namespace", "name", "type", "sentence", "revision", "cause", "cluster", "time")
"""What `$name` may stand for in a template."""


def check_url(value: object) -> str:
    """Check a URL; a message never quotes it, since it may be secret."""
    text = values.parse_text(value).strip()
    if not values.split_address(text).scheme:
        raise values.SettingError("has no scheme", "write https:// (http:// for plain text) before it")
    return text


def parse_secret_url(value: object) -> SecretText:
    """Parse a URL that is secret."""
    return SecretText(check_url(values.parse_secret(value).text))


def check_template(value: object) -> str:
    """Check a template: its name, or JSON in which `$name` stands for a text."""
    text = values.parse_text(value)
    template = Template(TEMPLATES.get(text, text))
    placeholders = ", ".join(f"${name}" for name in TEMPLATE_NAMES)
    unknown = set(template.get_identifiers()) - set(TEMPLATE_NAMES)
    if unknown or not template.is_valid():
        raise values.SettingError("has a $ before an unknown name", f"write {placeholders}, and $$ for a dollar sign")
    try:
        json.loads(template.substitute(dict.fromkeys(TEMPLATE_NAMES, "")) or "{}")
    except (ValueError, RecursionError):
        hint = f"write {', '.join(TEMPLATES)}, or JSON in whose texts {placeholders} may stand"
        raise values.SettingError("is neither the name of a template nor JSON", hint) from None
    return text


_TABLE_FORMAT = values.ValueFormat(
    "mapping of namespace/name globs to values",
    parse_pairs=values.parse_attributes,
    check_key=values.check_object_glob,
)
_Table = Annotated[Mapping[str, str], _TABLE_FORMAT]
_SecretUrl = Annotated[SecretText, values.ValueFormat("secret text", parse=parse_secret_url)]


@dataclass(frozen=True, slots=True)
class ChangeEventsSection(Section):
    """Change events of Last9 for each update; they need a refresh token."""

    enabled: bool = False
    """Whether to send an event at the start and the end of each update."""
    marks: bool = False
    """Whether to send events at steps, pauses and rollbacks, too."""
    dry_run: bool = False
    """Whether to log the events instead of sending them."""
    service_label: str = ""
    """Label of Rollout objects with the name of the service; rollout state has to export it. Empty: none."""
    services: _Table = field(default_factory=dict)
    """Service of the rollouts that match a namespace/name glob; the first that matches applies, before the label.
    By default the service has the name of the rollout."""
    environment_label: str = ""
    """Label of Rollout objects with the environment; empty: none."""
    environments: _Table = field(default_factory=dict)
    """Environment of the rollouts that match a namespace/name glob, as `services`. By default it is the attribute
    deployment.environment, or deployment.environment.name."""


@dataclass(frozen=True, slots=True)
class WebhookSection(Section):
    """A webhook that gets a JSON document for each transition."""

    name: Annotated[str, values.text_format(r"^[a-z0-9-]{1,40}$")] = "webhook"
    """Name of the webhook in metrics and in storage; unique."""
    url: _SecretUrl | None = None
    """URL to post to; it is secret, as those of chats are; `url_file` is preferred."""
    url_file: values.SecretFilePath | None = None
    """File with the URL; reloaded when it changes."""
    secret: SecretText | None = None
    """Key of the signature (HMAC with SHA-256 of the body, in X-Hub-Signature-256); `secret_file` is preferred."""
    secret_file: values.SecretFilePath | None = None
    """File with the key of the signature; reloaded when it changes; unset: no signature."""
    template: Annotated[str, values.ValueFormat("text", parse=check_template)] = "cloudevents"
    """Document to post: cloudevents, slack, or JSON in whose texts `$rollout`, `$sentence` and the like stand."""
    types: values.GlobList = ()
    """Types of transitions to post, as globs; empty: all."""
    rollouts: values.ObjectGlobList = ()
    """Rollouts to post for, as namespace/name globs; empty: all."""
    tls: ClientTlsSection = ClientTlsSection()
    timeout: values.PositiveSeconds = 10.0
    """Timeout of a request."""

    def selects(self, kind: str, rollout: str) -> bool:
        """Return whether a type of transition of a rollout (namespace/name, "" for none) is posted."""
        is_type = not self.types or values.matches_any(kind, self.types)
        return is_type and (not self.rollouts or values.matches_any(rollout, self.rollouts))


@dataclass(frozen=True, slots=True)
class GrafanaSection(Section):
    """Annotations in Grafana at the start and the end of each update; off without an address."""

    address: Annotated[str, values.ValueFormat("URL", parse=check_url)] | None = None
    """Base URL of Grafana."""
    token: SecretText | None = None
    """Token of a service account that may write annotations; `token_file` is preferred."""
    token_file: values.SecretFilePath | None = None
    """File with the token; reloaded when it changes."""
    tags: values.StringList = ("rollouts",)
    """Tags of each annotation, beside namespace, name and type."""
    tls: ClientTlsSection = ClientTlsSection()
    timeout: values.PositiveSeconds = 10.0
    """Timeout of a request."""
