"""What is wrong with the targets of all sources: their addresses, and what these respond. Pure."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from exporter.commands.doctor import sightings
from exporter.commands.doctor.model import Examination, ExaminedPage, Symptom
from exporter.metrics import Source
from exporter.rollouts.inputs.controller import scraped_process

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping

    from exporter.metrics import Failure, ScrapeResult

    Find = Callable[[Examination], Iterator[Symptom]]

_DASHBOARD: Final = re.compile(rb"argo[ -]rollouts", re.IGNORECASE)
_DASHBOARD_PORT: Final = ":3100"
_REPEATING_OBJECT: Final = re.compile(r"((?:Cluster)?Analysis(?:Template|Run)) (?:([^/\s]+)/)?(\S+) repeats")
_PARSE_REASONS: Final = ("malformed", "cut_short", "not_exposition", "sample_limit", "family_limit")
_STATUS: Final = re.compile(r"HTTP (\d{3})")


def failed(*reasons: str, statuses: Collection[int] = (), without_statuses: Collection[int] = ()) -> Find:
    """Return a check for scrapes that failed for one of the reasons; of HTTP statuses, those with or without some."""

    def find(examination: Examination) -> Iterator[Symptom]:
        for page in examination.last_pages:
            failure = page.result.failure
            if failure is None or failure.reason not in reasons or _is_web_page(page):
                continue
            status = page.status or 0
            if (not statuses or status in statuses) and status not in without_statuses:
                yield _failure_symptom(page, failure)

    return find


def _failure_symptom(page: ExaminedPage, failure: Failure) -> Symptom:
    # The hint of a parser's message comes before its example, all others end with theirs.
    if failure.reason in _PARSE_REASONS:
        text, _, hint = failure.message.partition("; ")
    else:
        text, _, hint = failure.message.rpartition("; ")
    host, _, port = page.result.target.rpartition(":")
    values = {"setting": page.result.source.value, "target": page.result.target, "hint": hint, "host": host}
    return Symptom(_subject(page), text, values | {"port": port.partition("/")[0], "name": host.partition(".")[0]})


def _subject(page: ExaminedPage) -> str:
    result = page.result
    installation = "" if result.installation == "default" else f" of installation {result.installation}"
    return f"{result.source} {result.target}{installation}"


def _is_web_page(page: ExaminedPage) -> bool:
    failure = page.result.failure
    return failure is not None and failure.reason == "content_type" and "HTML" in failure.message


def _is_dashboard(page: ExaminedPage) -> bool:
    named = _DASHBOARD.search(page.body) is not None or _DASHBOARD_PORT in page.result.target
    return _is_web_page(page) and page.result.source is Source.ARGO and named


def dashboard(examination: Examination) -> Iterator[Symptom]:
    """The address is that of the dashboard of Argo Rollouts, not of a controller."""
    for page in filter(_is_dashboard, examination.last_pages):
        yield Symptom(_subject(page), "responds with a web page of Argo Rollouts: it is the dashboard")


def web_page(examination: Examination) -> Iterator[Symptom]:
    """The address responds with a web page."""
    for page in examination.last_pages:
        failure = page.result.failure
        if failure is not None and _is_web_page(page) and not _is_dashboard(page):
            yield _failure_symptom(page, failure)


def duplicate_metric(examination: Examination) -> Iterator[Symptom]:
    """One object with two metrics of one name turns the controller's page into an error."""
    for page in examination.last_pages:
        failure = page.result.failure
        if failure is None or failure.reason != "duplicate_metric":
            continue
        text = failure.message.rpartition("; ")[0]
        objects = _REPEATING_OBJECT.findall(text)
        commands = (
            f"kubectl edit {kind.lower()}{f' -n {namespace}' if namespace else ''} {name}"
            for kind, namespace, name in objects
        )
        yield Symptom(_subject(page), text, {"commands": "; ".join(commands)})


def shared_address(examination: Examination) -> Iterator[Symptom]:
    """Several controllers are behind one address: each connection shows another one."""
    for page in examination.pages:
        repeats = (page, *examination.repeated.get(page.result.target, ()))
        processes = {_process(repeat.result) for repeat in repeats if repeat.result.failure is None}
        if page.result.source is Source.ARGO and len(processes) > 1:
            evidence = f"{len(processes)} processes answered at this one address, over {len(repeats)} connections"
            yield Symptom(_subject(page), evidence)


def _process(result: ScrapeResult) -> tuple[float, bool]:
    """Return what distinguishes two controllers: the start of the process, and whether it shows rollouts."""
    return scraped_process(result).start_time, len(result.families.get("rollout_info", ())) > 0


def other_component(examination: Examination) -> Iterator[Symptom]:
    """A page is valid, but of another component than the source is for."""
    for page in examination.last_pages:
        # A kube-state-metrics that has just started, or lists nothing, has an empty page.
        if page.result.failure is None and page.families and not _EXPECTED[page.result.source](page):
            some = ", ".join(sorted(page.families)[:3])
            evidence = f"its page has no metric of {_COMPONENTS[page.result.source]}, but {some}"
            yield Symptom(_subject(page), evidence, {"setting": page.result.source.value})


_EXPECTED: Final[Mapping[Source, Callable[[ExaminedPage], bool]]] = {
    Source.ARGO: sightings.is_controller,
    Source.KUBE_STATE_METRICS: sightings.shows_objects,
    Source.ROLLOUT_STATE: sightings.shows_objects,
}
_COMPONENTS: Final = {
    Source.ARGO: "an Argo Rollouts controller",
    Source.KUBE_STATE_METRICS: "kube-state-metrics",
    Source.ROLLOUT_STATE: "kube-state-metrics with custom-resource state",
}


def malformed_lines(examination: Examination) -> Iterator[Symptom]:
    """Some lines of a page cannot be parsed."""
    for page in examination.last_pages:
        errors = page.result.parse_errors
        if errors:
            counts = ", ".join(f"{count} {reason}" for reason, count in sorted(errors.items()))
            values = {"target": page.result.target, "setting": page.result.source.value}
            yield Symptom(_subject(page), f"has lines that cannot be parsed: {counts}", values)


def only_standbys(examination: Examination) -> Iterator[Symptom]:
    """No controller of an installation leads, though all respond; one that is down is reported by itself."""
    scraped = sightings.controllers(examination.last_pages)
    for installation in dict.fromkeys(c.result.installation for c in scraped):
        roles = [c.role.value for c in scraped if c.result.installation == installation]
        if "leader" not in roles and "down" not in roles:
            counts = ", ".join(f"{roles.count(role)} {role}" for role in dict.fromkeys(sorted(roles)))
            subject = "argo" if installation == "default" else f"argo, installation {installation}"
            yield Symptom(subject, f"no controller leads: {counts}")


def old_controller(examination: Examination) -> Iterator[Symptom]:
    """A controller is too old for a family that derived series need."""
    for result in sightings.results(examination.last_pages, Source.ARGO):
        names = result.families
        if len(names.get("rollout_info", ())) and "rollout_info_replicas_updated" not in names:
            version = sightings.version(result) or "unknown"
            evidence = f"version {version} has no rollout_info_replicas_updated, so the canary fraction is unknown"
            yield Symptom(f"argo {result.target}", evidence)
        elif len(names.get("rollout_phase", ())) and "rollout_info" not in names:
            version = sightings.version(result) or "unknown"
            yield Symptom(f"argo {result.target}", f"version {version} has rollout_phase, but no rollout_info")
