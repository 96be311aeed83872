"""What is wrong on this machine: settings, the environment, and the directory of the database. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from exporter.commands.doctor.model import Examination, Symptom
from exporter.config.values import format_duration, format_size
from exporter.rollouts.output.catalogue import DERIVED_FAMILIES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from exporter.config.errors import ConfigIssue

    Find = Callable[[Examination], Iterator[Symptom]]

_LINE_BREAK: Final = "line break"
MAX_INTERVAL: Final = 150.0
"""Seconds between two points at most: the chart's alerts and dashboards look back 5 minutes, and need two points to
survive the loss of one."""
_OTHER_LABELS: Final = frozenset({"namespace", "name", "source", "installation", "job", "instance", "le", "quantile"})
"""Labels of every series of a rollout or a target, and those that stores and histograms set themselves."""


def issues(kind: str) -> Find:
    """Return a check for issues of the configuration of one kind."""

    def find(examination: Examination) -> Iterator[Symptom]:
        return (_issue_symptom(issue) for issue in examination.issues if issue.kind == kind)

    return find


def errors(examination: Examination) -> Iterator[Symptom]:
    """A setting is invalid, in a way that has no check of its own."""
    return (
        _issue_symptom(issue) for issue in examination.errors if not issue.kind and _LINE_BREAK not in issue.message
    )


def warnings(examination: Examination) -> Iterator[Symptom]:
    """A setting is valid and likely a mistake, in a way that has no check of its own."""
    return (_issue_symptom(issue) for issue in examination.warnings if not issue.kind)


def broken_header(examination: Examination) -> Iterator[Symptom]:
    """A header has a line break in it: base64 was wrapped, or more was pasted than the value."""
    return (_issue_symptom(issue) for issue in examination.errors if not issue.kind and _LINE_BREAK in issue.message)


def _issue_symptom(issue: ConfigIssue) -> Symptom:
    return Symptom(issue.location, issue.message, {"hint": issue.hint})


def long_interval(examination: Examination) -> Iterator[Symptom]:
    """A source is scraped more rarely than the chart's alerts and dashboards need."""
    for source, section in examination.settings.sources():
        if section.interval > MAX_INTERVAL:
            evidence = f"{source}.interval is {format_duration(section.interval)}, and alerts look back 5m"
            yield Symptom(source.value, evidence, {"setting": source.value})


def colliding_attributes(examination: Examination) -> Iterator[Symptom]:
    """An attribute becomes a label that a series has already, or that a store sets."""
    labels = {label for family in DERIVED_FAMILIES for label in family.labels} | _OTHER_LABELS
    for key in examination.settings.identity():
        label = "".join(letter if letter.isalnum() else "_" for letter in key)
        if label in labels:
            evidence = f"becomes the label {label}, which series have already, with another value"
            yield Symptom(f"attributes.{key}", evidence, {"key": key})


def unwritable(examination: Examination) -> Iterator[Symptom]:
    """The directory cannot be written."""
    storage = examination.storage
    is_impossible = any(issue.kind == "impossible_directory" for issue in examination.issues)
    if storage is not None and storage.error and not is_impossible:
        text, _, hint = storage.error.partition(": ")
        yield Symptom("storage.directory", text, {"directory": str(storage.directory), "hint": hint or "check it"})


def nearly_full(examination: Examination) -> Iterator[Symptom]:
    """The file system has less room than the queue and the history may take."""
    storage = examination.storage
    if storage is not None and not storage.error and storage.free < storage.needed:
        evidence = f"{_size(storage.free)} are free, and up to {_size(storage.needed)} are needed"
        yield Symptom(str(storage.directory), evidence, {"directory": str(storage.directory)})


def _size(size: int) -> str:
    return str(format_size(size // 2**20 * 2**20)) if size >= 2**20 else f"{size} bytes"


def locked(examination: Examination) -> Iterator[Symptom]:
    """Another process has the directory, and it is not the exporter with these settings."""
    storage = examination.storage
    if storage is not None and storage.owner and not examination.exporter:
        evidence = f"locked by process {storage.owner}, and no exporter answers at {examination.settings.web.listen}"
        yield Symptom(str(storage.directory), evidence, {"pid": storage.owner})


def network_disk(examination: Examination) -> Iterator[Symptom]:
    """The directory is on a network file system."""
    storage = examination.storage
    if storage is not None and storage.filesystem:
        yield Symptom(str(storage.directory), f"is on a network file system ({storage.filesystem})")
