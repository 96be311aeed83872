"""The support archive: what the doctor saw, without secrets, as files of a .tar.gz."""

from __future__ import annotations

import io
import json
import os
import platform
import re
import tarfile
from dataclasses import dataclass
from importlib.metadata import distributions
from typing import TYPE_CHECKING, Final

from exporter import __version__
from exporter.commands.doctor.report import report_json
from exporter.config import as_yaml
from exporter.log import REDACTOR
from exporter.net.masking import mask_secrets

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from exporter.commands.doctor.model import DoctorFinding, Examination, ExaminedPage
    from exporter.config import LoadedConfig

MAX_PAGES: Final = 64
"""Pages in an archive, each of at most `pages.BODY_BYTES`: 16 MiB before compression."""
_UNSAFE: Final = re.compile(r"[^A-Za-z0-9._-]+")
_VARIABLE: Final = re.compile(r"ROLLOUTS_EXPORTER_|OTEL_|LAST9_|(HTTPS?|NO|ALL)_PROXY$", re.IGNORECASE)


class BundleError(Exception):
    """The archive cannot be written; the message names the file."""


@dataclass(frozen=True, slots=True)
class BundledFile:
    """A file of the archive."""

    name: str
    text: str


def bundled_files(
    loaded: LoadedConfig, examination: Examination, findings: Sequence[DoctorFinding], environment: Iterable[str]
) -> list[BundledFile]:
    """Return the files of an archive; `environment` are names of variables, of which ours are listed, not their values.

    What is registered as a secret is masked, and what looks like one by its name or form.
    """
    files = _files(loaded, examination, findings, environment)
    return [BundledFile(file.name, mask_secrets(REDACTOR.redact(file.text))) for file in files if file.text]


def _files(
    loaded: LoadedConfig, examination: Examination, findings: Sequence[DoctorFinding], environment: Iterable[str]
) -> Iterator[BundledFile]:
    yield BundledFile("findings.json", report_json(findings, examination) + "\n")
    yield BundledFile("settings.yaml", as_yaml(loaded))
    yield BundledFile("environment.txt", _lines(name for name in sorted(environment) if _VARIABLE.match(name)))
    yield BundledFile("versions.txt", _lines(_versions()))
    yield BundledFile("own-metrics.prom", examination.exporter)
    yield BundledFile("events.jsonl", _lines(json.dumps(event, ensure_ascii=False) for event in examination.events))
    if examination.storage is not None:
        yield BundledFile("storage.txt", _lines(examination.storage.listing))
    for number, page in enumerate(examination.last_pages[:MAX_PAGES]):
        yield BundledFile(f"pages/{number:02d}-{_UNSAFE.sub('-', '-'.join(page.key))}.txt", _page_text(page))


def _page_text(page: ExaminedPage) -> str:
    failure = page.result.failure
    outcome = f"failed: {failure.message}" if failure is not None else f"{page.result.sample_count} samples"
    head = [f"# status {page.status}, {outcome}", *(f"# {name}: {value}" for name, value in page.headers.items())]
    return _lines(head) + page.body.decode("utf-8", "replace")


def _versions() -> Iterator[str]:
    yield f"rollouts-exporter {__version__}"
    yield f"Python {platform.python_version()}, {platform.platform()}"
    yield from sorted(f"{item.metadata['Name']} {item.version}" for item in distributions())


def _lines(lines: Iterable[str]) -> str:
    return "".join(f"{line}\n" for line in lines)


def write_bundle(file: Path, files: Iterable[BundledFile]) -> None:
    """Write the archive, readable for its owner alone. Raises BundleError."""
    try:
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
        os.fchmod(descriptor, 0o600)  # a file that existed had its own mode
        with os.fdopen(descriptor, "wb") as raw, tarfile.open(fileobj=raw, mode="w:gz") as archive:
            for bundled in files:
                content = bundled.text.encode("utf-8", "surrogateescape")
                entry = tarfile.TarInfo(f"rollouts-exporter/{bundled.name}")
                entry.size = len(content)
                archive.addfile(entry, io.BytesIO(content))
    except OSError as error:
        raise BundleError(f"{file} cannot be written: {error.strerror}; choose another file") from error
