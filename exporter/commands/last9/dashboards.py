"""Compare the dashboards of this version with those of an organization: what is to create, update or remove. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.resources import files
from typing import TYPE_CHECKING, Any, Final, Literal

if TYPE_CHECKING:
    from collections.abc import Iterator

Json = Mapping[str, Any]

OWNER_TAG: Final = "managed-by:rollouts-exporter"
"""Tag of every dashboard that this command created; it touches no other."""
NAMES: Final = ("fleet", "rollout", "exporter")
"""The files of the dashboards, in the order in which they are shown."""
CHOSEN_ON_THE_PAGE: Final = "current_values"
"""What a reader selects in a variable: it is no difference, and is not overwritten."""

Action = Literal["create", "update", "unchanged", "conflict", "obsolete", "remove"]


@dataclass(frozen=True, slots=True)
class Change:
    """What is to be done with one dashboard: `differences` are places in it that are not as in this version.

    `conflict`: a dashboard of this name belongs to somebody else; `obsolete`: it is ours, of another version.
    """

    action: Action
    name: str
    id: str = ""
    request: Json | None = None
    differences: tuple[str, ...] = ()


def shipped_requests() -> tuple[Json, ...]:
    """Return the bodies that create the dashboards of this version."""
    folder = files("exporter.commands.last9") / "dashboards"
    return tuple(json.loads((folder / f"{name}.json").read_text(encoding="utf-8")) for name in NAMES)


def dashboard_of(document: Json) -> Json:
    """Return the dashboard of a response, or of an entry of a list, which may have it inside."""
    inner = document.get("dashboard")
    return inner if isinstance(inner, Mapping) else document


def tags_of(document: Json) -> frozenset[str]:
    """Return the tags of a dashboard of the API."""
    metadata = document.get("metadata")
    tags = metadata.get("tags") if isinstance(metadata, Mapping) else None
    return frozenset(tag for tag in tags or () if isinstance(tag, str)) if isinstance(tags, Sequence) else frozenset()


def may_be_ours(entry: Json, requests: Sequence[Json]) -> bool:
    """Return whether an entry of the list has to be read: it has a name of ours, or our tag."""
    names = {request["dashboard"]["name"] for request in requests}
    return dashboard_of(entry).get("name") in names or OWNER_TAG in tags_of(entry)


def planned_changes(requests: Sequence[Json], existing: Sequence[Json]) -> Iterator[Change]:
    """Yield the change that each dashboard needs, then ours that this version does not have.

    `existing` are dashboards as the API returns them, also those of other people.
    """
    ours = [document for document in existing if OWNER_TAG in tags_of(document)]
    matched: list[str] = []
    for request in requests:
        same = [document for document in ours if _key(document) == _key(request)]
        if same:
            matched.append(_id(same[0]))
            yield _update(request, same[0])
        elif any(dashboard_of(document).get("name") == request["dashboard"]["name"] for document in existing):
            yield Change("conflict", request["dashboard"]["name"])
        else:
            yield Change("create", request["dashboard"]["name"], request=request)
    yield from (replace(removal, action="obsolete") for removal in removals(ours) if removal.id not in matched)


def removals(existing: Sequence[Json]) -> Iterator[Change]:
    """Yield the removal of every dashboard that is ours."""
    for document in existing:
        if OWNER_TAG in tags_of(document):
            yield Change("remove", str(dashboard_of(document).get("name", "")), _id(document))


def _key(document: Json) -> frozenset[str]:
    """Return the tags of a dashboard without that of its owner: they identify it under any name."""
    return tags_of(document) - {OWNER_TAG}


def _id(document: Json) -> str:
    return str(dashboard_of(document).get("id", ""))


def _update(request: Json, document: Json) -> Change:
    name, differences = request["dashboard"]["name"], tuple(_differences(request, document, ""))
    if not differences:
        return Change("unchanged", name, _id(document))
    return Change("update", name, _id(document), _with_ids(request, dashboard_of(document)), differences)


def _differences(ours: Any, theirs: Any, place: str) -> Iterator[str]:  # noqa: ANN401 - JSON
    """Yield the places where the API's document is not ours. What it has beyond ours is its own affair.

    A default that the API leaves out equals an empty value; lists are compared entry by entry.
    """
    if isinstance(ours, Mapping):
        members = theirs if isinstance(theirs, Mapping) else {}
        for name, value in ours.items():
            if name != CHOSEN_ON_THE_PAGE:
                yield from _differences(value, members.get(name), f"{place}.{name}" if place else name)
    elif isinstance(ours, list) and ours and isinstance(ours[0], Mapping):
        entries = theirs if isinstance(theirs, list) else []
        if len(ours) != len(entries):
            yield f"{place}: {len(entries)} instead of {len(ours)}"
        for number, (value, entry) in enumerate(zip(ours, entries, strict=False)):
            yield from _differences(value, entry, f"{place}[{value.get('name', number)}]")
    elif (ours or None) != (theirs or None):
        yield place


def _with_ids(request: Json, dashboard: Json) -> Json:
    """Return a request with the ids of the existing panels, so that links to them stay, and with what is selected."""
    panel_ids = {panel.get("name"): panel.get("id") for panel in dashboard.get("panels") or ()}
    selected = {row.get("target"): row.get(CHOSEN_ON_THE_PAGE) for row in dashboard.get("variables") or ()}
    ours = request["dashboard"]
    panels = [{**panel, **_present("id", panel_ids.get(panel["name"]))} for panel in ours["panels"]]
    variables = [{**row, **_present(CHOSEN_ON_THE_PAGE, selected.get(row["target"]))} for row in ours["variables"]]
    return {**request, "dashboard": {**ours, "id": dashboard["id"], "panels": panels, "variables": variables}}


def _present(name: str, value: Any) -> Json:  # noqa: ANN401 - JSON
    return {name: value} if value else {}
