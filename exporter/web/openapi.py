"""The description of the API, as /api/openapi.json has it (OpenAPI 3.1): every member that is public and stable."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from exporter import __version__
from exporter.web.model import SortKey, Urgency
from exporter.web.pages.query import MAX_TEXT

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

MAX_LIMIT: Final = 1_000
"""Rollouts in one answer with a query: some 50 ms of explaining."""
_STRING: Final = {"type": "string"}
_NUMBER: Final = {"type": "number"}
_COUNT: Final = {"type": "integer", "minimum": 0}
_FLAG: Final = {"type": "boolean"}
_OBJECT: Final = {"type": "object"}
_STRINGS: Final = {"type": "array", "items": _STRING}
_OBJECTS: Final = {"type": "array", "items": _OBJECT}
_COUNTS: Final = {"type": "object", "additionalProperties": _COUNT}
_URGENCY: Final = {"type": "string", "enum": [urgency.value for urgency in Urgency]}


def _or_null(schema: Mapping[str, Any], description: str = "") -> Mapping[str, Any]:
    about = {"description": description} if description else {}
    return {"anyOf": [schema, {"type": "null"}], **about}


def _about(schema: Mapping[str, Any], description: str) -> Mapping[str, Any]:
    return {**schema, "description": description}


ROLLOUT_MEMBERS: Final[Mapping[str, Mapping[str, Any]]] = {
    "namespace": _STRING,
    "name": _STRING,
    "urgency": _about(_URGENCY, "the most urgent group that the rollout is in"),
    "strategy": _about(_STRING, "canary or blueGreen, empty if not known"),
    "phase": _or_null(_STRING, "as its controller shows it, null while none does"),
    "phase_since": _about(_NUMBER, "Unix seconds"),
    "standing": _about(_STRING, "settled, updating, aborted or unknown"),
    "evidence": _about(_STRING, "the kind of fact that the standing rests on"),
    "update": _or_null(_OBJECT, "kind and since (Unix seconds or null) of the update that is under way"),
    "controller": _about(_STRING, "the address of the leading controller"),
    "last_seen": _about(_NUMBER, "when a leader showed it last (Unix seconds)"),
    "router": _about(_FLAG, "whether a traffic router sets weights"),
    "revisions": _about(_OBJECT, "the pod template hashes wanted and stable"),
    "images": _or_null(_OBJECT, "current and stable: the images by container"),
    "replicas": _or_null(_OBJECT, "desired, updated, available and unavailable"),
    "fraction": _or_null(_OBJECT, "the canary's share of the traffic: best, method, why and all estimates"),
    "set_weight": _or_null(_NUMBER, "the weight that is set, in [0, 1]"),
    "pods": _or_null(_COUNTS, "pods by role"),
    "pods_ready": _or_null(_COUNTS, "ready pods by role"),
    "updates": _about({"type": "object"}, "finished updates by result"),
    "unknown": _about(_STRINGS, "what is not known, and why"),
    "sentence": _about(_STRING, "why it is where it is"),
    "cause": _or_null(_STRING, "what aborted it"),
    "next": _about(_STRING, "what happens or is to be done next"),
    "step": _or_null(_OBJECT, "index, of and kind"),
    "stopped_at": _or_null(_COUNT, "the step at which it was aborted"),
    "waits_for": _or_null(_STRING),
    "spec_observed": _or_null(_FLAG, "whether the controller has taken up the current spec"),
}
"""The members of a rollout in /api/rollouts; `fields` selects of these."""
_DETAILS: Final = {
    "explanation": _about(_OBJECT, "the complete explanation, with its evidence"),
    "steps": _about(_OBJECTS, "index, kind, state, weight, duration and seconds of each step"),
    "analyses": _about(_OBJECTS, "the AnalysisRuns with their metrics"),
}
_PAGE: Final = {"at": _about(_NUMBER, "the last cycle (Unix seconds)"), "history_since": _NUMBER, "has_leader": _FLAG}
_TARGET: Final = {
    "source": _STRING,
    "address": _STRING,
    "installation": _STRING,
    "state": _about(_STRING, "up, down, or the role of a controller"),
    "error": _STRING,
    "last_success_age": _or_null(_NUMBER, "seconds"),
    "malformed_lines": _COUNT,
}
_DELIVERY: Final = {
    "state": _STRING,
    "endpoint": _STRING,
    "reason": _about(_STRING, "why it does not deliver"),
    "last_success_age": _or_null(_NUMBER, "seconds"),
    "queued": _about(_COUNT, "points"),
    "produced": _COUNT,
    "delivered": _COUNT,
    "rejected": _COUNT,
    "dropped": _about(_COUNTS, "points by reason"),
}


def _object(members: Mapping[str, Any], optional: Mapping[str, Any] | None = None) -> Mapping[str, Any]:
    return {"type": "object", "properties": {**members, **(optional or {})}, "required": list(members)}


STATUS_MEMBERS: Final[Mapping[str, Mapping[str, Any]]] = {
    **_PAGE,
    "version": _STRING,
    "instance": _STRING,
    "uptime": _about(_NUMBER, "seconds"),
    "rollouts": _COUNT,
    "counts": _about(_COUNTS, "rollouts by urgency; one that is in several groups counts in each"),
    "delivery": _or_null(_object(_DELIVERY), "null if nothing is pushed"),
    "targets": {"type": "array", "items": _object(_TARGET)},
    "warnings": _STRINGS,
}
"""The members of /api/status."""


def document() -> dict[str, Any]:
    """Return the document; its paths are relative, so that they hold behind a path prefix as well."""
    return {
        "openapi": "3.1.0",
        "info": {"title": "rollouts-exporter", "version": __version__},
        "servers": [{"url": ".."}],
        "paths": {
            "/api/rollouts": _get(
                "All rollouts, or with a query those that pass it", _ROLLOUTS, _ROLLOUTS_PARAMETERS, 400
            ),
            "/api/rollouts/{namespace}/{name}": _get("One rollout", _ROLLOUT, _KEY_PARAMETERS, 404),
            "/api/events": _get("Transitions, the newest ones, oldest first", _EVENTS, _EVENTS_PARAMETERS, 400),
            "/api/status": _get("The exporter itself", _object(STATUS_MEMBERS)),
            "/api/openapi.json": _get("This document", _OBJECT),
        },
    }


def _get(
    summary: str, schema: Mapping[str, Any], parameters: tuple[Mapping[str, Any], ...] = (), error: int | None = None
) -> dict[str, Any]:
    ok = {"description": "ok", "content": {"application/json": {"schema": schema}}}
    responses: dict[str, Any] = {"200": ok, "503": {"description": "too many requests, or the disk does not answer"}}
    if error == 404:  # noqa: PLR2004 - an HTTP status
        responses["404"] = {**ok, "description": "there is no such rollout; `rollout` is null"}
    elif error is not None:
        responses[str(error)] = {"description": "a wrong parameter; the text has the right ones"}
    return {"get": {"summary": summary, "parameters": list(parameters), "responses": responses}}


def _parameter(name: str, schema: Mapping[str, Any], description: str, place: str = "query") -> Mapping[str, Any]:
    rest = {"required": True} if place == "path" else {}
    return {"name": name, "in": place, "description": description, "schema": schema, **rest}


def _choice(words: Iterable[str]) -> Mapping[str, Any]:
    """Return the schema of a parameter that a form leaves empty for no choice."""
    return {"type": "string", "enum": [*words, ""]}


_NAME_SCHEMA: Final = {"type": "string", "minLength": 1, "pattern": "^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$"}
_KEY_PARAMETERS: Final = (
    _parameter("namespace", _NAME_SCHEMA, "its namespace", "path"),
    _parameter("name", _NAME_SCHEMA, "its name", "path"),
)
_ROLLOUTS_PARAMETERS: Final = (
    _parameter("q", {"type": "string", "maxLength": MAX_TEXT}, "part of namespace/name"),
    _parameter("namespace", {"type": "string", "maxLength": MAX_TEXT}, "only this one"),
    _parameter("state", _choice(Urgency), "only rollouts in this group"),
    _parameter("sort", _choice(SortKey), "the order within a group"),
    _parameter("offset", {"type": "integer", "minimum": 0, "maximum": 1_000_000}, "how many to leave out"),
    _parameter("limit", {"type": "integer", "minimum": 1, "maximum": MAX_LIMIT}, "how many to return; 100 by default"),
    {
        **_parameter(
            "fields",
            {"type": "array", "items": {"type": "string", "enum": [*ROLLOUT_MEMBERS, ""]}, "uniqueItems": True},
            "only these members, with commas in between",
        ),
        "style": "form",
        "explode": False,
    },
)
_EVENTS_PARAMETERS: Final = (
    _parameter("after", {"type": "integer"}, "only transitions after this number"),
    _parameter("since", _NUMBER, "only transitions since (Unix seconds)"),
    _parameter("namespace", _STRING, "only of this namespace"),
    _parameter("name", _STRING, "only of rollouts of this name"),
    _parameter("type", {"type": "array", "items": _STRING}, "only of these types"),
    _parameter("limit", {"type": "integer"}, "how many, the newest; at least 1, at most 10,000"),
)
_ROLLOUTS: Final = _object(
    {**_PAGE, "rollouts": {"type": "array", "items": {"type": "object", "properties": ROLLOUT_MEMBERS}}},
    {"total": _COUNT, "matching": _COUNT},
)
_ROLLOUT: Final = _object(
    {**_PAGE, "rollout": _or_null(_object({**ROLLOUT_MEMBERS, **_DETAILS})), "events": _or_null(_OBJECTS)}
)
_EVENTS: Final = _object({"history_since": _NUMBER, "last": _COUNT, "events": _OBJECTS})
