"""A configuration file with every setting at its default, in comments: as it is, it changes nothing."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

from exporter.config import schema
from exporter.config.reference import setting_references
from exporter.config.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from exporter.config.model import SettingPath

_WIDTH = 110
_HEAD = """\
# All settings of rollouts-exporter, each with its meaning, kind and default. Remove the # before a key to set it.
"""


def example_yaml() -> str:
    """Return the file."""
    return _HEAD + "".join(f"{line}\n" for line in _example_lines())


def _example_lines() -> Iterator[str]:
    references = {setting.path: setting for setting in setting_references()}
    for path, field in schema.iter_fields(Settings):
        indentation = "  " * (len(path) - 1)
        if path in references:
            setting = references[path]
            yield from _comment(f"{setting.meaning} ({setting.kind})", path)
            yield f"{indentation}#{path[-1]}: {setting.default}"
            continue
        section = field.section
        yield from _comment(" ".join((field.description or (section and section.__doc__) or "").split()), path)
        yield f"{indentation}{path[-1]}:"


def _comment(text: str, path: SettingPath) -> Iterator[str]:
    indentation = "  " * (len(path) - 1)
    if len(path) == 1:
        yield ""
    yield from textwrap.wrap(text, _WIDTH, initial_indent=f"{indentation}# ", subsequent_indent=f"{indentation}# ")
