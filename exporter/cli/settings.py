"""The settings of a command, from file, environment and command line."""

from __future__ import annotations

import os
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from exporter import log
from exporter.config import ConfigError, LoadedConfig, load, secret_texts

if TYPE_CHECKING:
    from collections.abc import Iterator


def load_settings(context: click.Context, *, shows_warnings: bool = True) -> LoadedConfig:
    """Load the configuration and print its warnings; print its errors and exit with 2 if there are any."""
    file, _ = context.obj
    with exit_on_config_error():
        loaded = load(file, os.environ, parsed_overrides(context))
    if shows_warnings:
        print_warnings(loaded)
    log.configure(loaded.settings.log.level, loaded.settings.log.format)
    log.register_secrets(*secret_texts(loaded.settings))
    return loaded


def print_warnings(loaded: LoadedConfig) -> None:
    """Print the warnings of a configuration."""
    for warning in loaded.warnings:
        click.echo(f"warning: {warning}", err=True)


@contextmanager
def exit_on_config_error() -> Iterator[None]:
    """Print the errors of a configuration and exit with 2, as click does for its own usage errors."""
    try:
        yield
    except ConfigError as error:
        for issue in error.issues:
            click.echo(f"error: {issue}", err=True)
        sys.exit(2)


def parsed_overrides(context: click.Context) -> dict[str, str]:
    """Return the settings of --set. Raises BadParameter."""
    return dict(map(_parse_override, context.obj[1]))


def _parse_override(text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not equals:
        # The text is not shown: it may be a header with its credential.
        raise click.BadParameter("a --set has no =; write --set otlp.endpoint=http://localhost:4318")
    return key, value
