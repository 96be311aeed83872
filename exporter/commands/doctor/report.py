"""Findings as text, grouped and short, and as a JSON object."""

from __future__ import annotations

import json
from dataclasses import asdict
from itertools import groupby
from operator import attrgetter
from typing import TYPE_CHECKING

from exporter.commands.printable import printable
from exporter.metrics import Source

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from exporter.commands.doctor.model import DoctorFinding, Examination


@printable
def report_lines(findings: Sequence[DoctorFinding], examination: Examination) -> Iterator[str]:
    """Yield the findings by group, three lines or more each, and one line about what was looked at."""
    for group, members in groupby(findings, attrgetter("group")):
        yield group
        for finding in members:
            yield f"  {finding.level}: {finding.subject}: {finding.evidence} [{finding.id}]"
            first, *others = finding.remedy.splitlines()
            yield f"    → {first}"
            yield from (f"      {line}" for line in others)
    yield summary(findings, examination)


def summary(findings: Sequence[DoctorFinding], examination: Examination) -> str:
    """Return what was looked at, and how many findings there are."""
    pages = [page.result for page in examination.last_pages]
    by_source = [(source, sum(page.source is source for page in pages)) for source in Source]
    targets = ", ".join(f"{source} {count}" for source, count in by_source if count) or "no target"
    delivery, storage = examination.delivery, examination.storage
    reason = "correct the settings first" if examination.errors else "nothing is pushed"
    endpoint = delivery.endpoint if delivery is not None else f"no endpoint ({reason})"
    directory = storage.directory if storage is not None else "no directory (nothing is stored)"
    errors = sum(finding.level == "error" for finding in findings)
    counts = (
        f"{_plural(errors, 'error')}, {_plural(len(findings) - errors, 'warning')}" if findings else "nothing found"
    )
    return f"{counts}; looked at {targets}; {endpoint}; {directory}"


def _plural(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"


def report_json(findings: Sequence[DoctorFinding], examination: Examination) -> str:
    """Return one JSON object: `findings`, and what was looked at."""
    delivery, storage = examination.delivery, examination.storage
    looked_at = {
        "targets": [page.result.target for page in examination.last_pages],
        "endpoint": delivery.endpoint if delivery is not None else None,
        "directory": str(storage.directory) if storage is not None else None,
    }
    document = {"findings": [asdict(finding) for finding in findings], "looked_at": looked_at}
    return json.dumps(document, ensure_ascii=False)
