"""What of a metric a version of the controller knows: the rest its cluster drops, without a word."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from exporter.gate.controller import Ability
from exporter.gate.template import Authentication, BasicAuth, OAuth2

if TYPE_CHECKING:
    from exporter.gate.controller import Controller
    from exporter.gate.template import Metric, Prometheus


def pruned(metric: Metric, controller: Controller) -> Metric:
    """Return a metric without the fields that a version does not have."""
    if not controller.can(Ability.CONSECUTIVE_SUCCESS_LIMIT):
        metric = replace(metric, consecutive_success_limit=None)
    if metric.prometheus is None:
        return metric
    return replace(metric, prometheus=_asked(metric.prometheus, controller))


def _asked(asked: Prometheus, controller: Controller) -> Prometheus:
    proof = asked.authentication
    return replace(
        asked,
        authentication=Authentication(
            proof.sigv4,
            proof.oauth2 if controller.can(Ability.OAUTH2) else OAuth2(),
            proof.basic_auth if controller.can(Ability.BASIC_AUTH) else BasicAuth(),
        ),
        range_query=asked.range_query if controller.can(Ability.RANGE_QUERY) else None,
        headers=asked.headers if controller.can(Ability.HEADERS) else (),
    )
