"""The settings of a command, from file, environment and command line."""

from __future__ import annotations

import os
import sys

import click

from exporter import log
from exporter.config import ConfigError, LoadedConfig, load, secret_texts


def load_settings(context: click.Context) -> LoadedConfig:
    """Load the configuration; print its errors and exit with 2 if there are any."""
    file, overrides = context.obj
    try:
        loaded = load(file, os.environ, dict(map(_parse_override, overrides)))
    except ConfigError as error:
        for issue in error.issues:
            click.echo(f"error: {issue}", err=True)
        # As click's own usage errors.
        sys.exit(2)
    for warning in loaded.warnings:
        click.echo(f"warning: {warning}", err=True)
    log.configure(loaded.settings.log.level, loaded.settings.log.format)
    log.register_secrets(*secret_texts(loaded.settings))
    return loaded


def _parse_override(text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not equals:
        # The text is not shown: it may be a header with its credential.
        raise click.BadParameter("a --set has no =; write --set otlp.endpoint=http://localhost:4318")
    return key, value
