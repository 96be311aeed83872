"""Print the effective settings with their origins."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import takewhile
from typing import TYPE_CHECKING

import yaml

from exporter.config import schema
from exporter.config.errors import MASK
from exporter.config.load import DEFAULT, SECTION_LISTS, origin_of
from exporter.config.outputs import Endpoint
from exporter.config.values import SecretText
from exporter.log import MIN_SECRET_LENGTH

if TYPE_CHECKING:
    from collections.abc import Iterator

    from exporter.config.load import LoadedConfig
    from exporter.config.model import SettingPath
    from exporter.config.schema import SettingValue
    from exporter.config.settings import Settings


def as_yaml(loaded: LoadedConfig) -> str:
    """Format the effective settings as YAML with origins as comments; except for secrets it loads to the same."""
    return "\n".join(_yaml_lines(loaded)) + "\n"


@dataclass(frozen=True, slots=True)
class SettingReport:
    """A setting in force: its dotted name, its value as YAML, masked if it is secret, and where it was set."""

    name: str
    value: str
    origin: str
    is_default: bool


def setting_reports(loaded: LoadedConfig) -> Iterator[SettingReport]:
    """Yield every setting in force, in the order of the model."""
    is_single = all(len(getattr(loaded.settings, name)) <= 1 for name in SECTION_LISTS)
    for setting in schema.iter_settings(loaded.settings):
        name = schema.dotted(setting.path, single_installation=is_single)
        origin = origin_of(loaded.origins, setting.path)
        yield SettingReport(name, value_text(setting), str(origin), is_default=origin == DEFAULT)


def secret_texts(settings: Settings) -> Iterator[str]:
    """Return what no output may show of the settings: the secret values, and the queries of URLs."""
    values = [setting.value for setting in schema.iter_settings(settings)]
    texts = [value.text for value in values if isinstance(value, SecretText)]
    urls = [value.text for value in values if isinstance(value, Endpoint)]
    urls += [target for _, source in settings.sources() for target in source.targets]
    queries = [url.partition("?")[2] for url in urls]
    texts += [*queries, *(pair.rpartition("=")[2] for query in queries for pair in query.split("&"))]
    # Shorter ones would match within ordinary words.
    return (text for text in texts if len(text) >= MIN_SECRET_LENGTH)


def _yaml_lines(loaded: LoadedConfig) -> Iterator[str]:
    is_single = {name: len(getattr(loaded.settings, name)) == 1 for name in SECTION_LISTS}
    previous: SettingPath = ()
    for setting in schema.iter_settings(loaded.settings):
        path = tuple(key for key in setting.path if isinstance(key, str) or not is_single[str(setting.path[0])])
        pairs = zip(previous, path, strict=False)
        common = len(list(takewhile(lambda pair: pair[0] == pair[1], pairs)))
        for level in range(common, len(path) - 1):
            if isinstance(path[level], str):
                yield f"{_indentation(path, level, common)}{path[level]}:"
        indentation = _indentation(path, len(path) - 1, common)
        origin = origin_of(loaded.origins, setting.path)
        yield f"{indentation}{_flow_yaml(path[-1])}: {value_text(setting)}  # {origin}"
        previous = path


def _indentation(path: SettingPath, level: int, common: int) -> str:
    """Return the indentation of a key, with the dash if it is the first key of a list item."""
    opens_item = level > 0 and isinstance(path[level - 1], int) and common < level
    return "  " * (level - 1) + "- " if opens_item else "  " * level


def value_text(setting: SettingValue) -> str:
    """Return the value of a setting as YAML on one line; a secret is masked."""
    if setting.value is None or setting.value == {}:
        return _flow_yaml(setting.value)
    if setting.field.is_secret:
        return _flow_yaml(MASK)
    formatter = str if setting.field.is_mapping else setting.field.format.format
    return _flow_yaml(formatter(setting.value))


def _flow_yaml(value: object) -> str:
    # On one line, so that a comment can follow it.
    text: str = yaml.safe_dump(value, default_flow_style=True, width=math.inf, allow_unicode=True, sort_keys=False)
    return text.removesuffix("\n").removesuffix("\n...")  # PyYAML ends a scalar document with ...
