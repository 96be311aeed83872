"""The command `doctor`."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import click

from exporter import log
from exporter.cli.options import print_lines, run_async
from exporter.cli.settings import exit_on_config_error, parsed_overrides
from exporter.config import ConfigError, load, secret_texts

if TYPE_CHECKING:
    from exporter.config import LoadedConfig
    from exporter.config.errors import ConfigIssue


@click.command("doctor")
@click.option("--only", "names", multiple=True, metavar="ID|GROUP", help="Report these checks alone; repeatable.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object.")
@click.option(
    "--bundle",
    "file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Also write a support archive (.tar.gz), without secrets, and list what is in it.",
)
@click.pass_context
def doctor(context: click.Context, names: tuple[str, ...], file: Path | None, *, as_json: bool) -> None:
    """Find what is wrong with targets, endpoint and storage.

    Looks at each target and at the endpoint once, with the exporter's own clients, and at the directory; pushes no
    points and changes nothing. Prints each finding with its evidence and the exact remedy. Exits with 1 if there are
    any, and with 2 if it could not look.
    """
    from exporter.commands.doctor import bundle, report, table
    from exporter.commands.doctor.examine import examine
    from exporter.commands.storage import register_secrets

    try:
        checks = table.selected(names)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--only") from None
    loaded, errors = _load(context)
    examination = run_async(examine(loaded.settings, loaded.warnings, errors))
    findings = tuple(table.diagnose(examination, checks))
    if as_json:
        click.echo(report.report_json(findings, examination))
    else:
        print_lines(report.report_lines(findings, examination))
    if file is not None:
        with suppress(OSError, ValueError):  # a file that cannot be read is a finding
            register_secrets(loaded.settings)
        files = bundle.bundled_files(loaded, examination, findings, os.environ)
        bundle.write_bundle(file, files)
        lines = (f"  {bundled.name} ({len(bundled.text):,} characters)" for bundled in files)
        click.echo("\n".join((f"{file}, with secrets masked:", *lines)), err=as_json)
    sys.exit(1 if findings else 0)


def _load(context: click.Context) -> tuple[LoadedConfig, tuple[ConfigIssue, ...]]:
    """Return the valid part of the settings, and the errors; exit with 2 if a file could not be read."""
    errors: tuple[ConfigIssue, ...] = ()
    with exit_on_config_error():
        try:
            loaded = load(context.obj[0], os.environ, parsed_overrides(context))
        except ConfigError as error:
            if error.valid_part is None or not all(issue.section for issue in error.issues):
                raise
            loaded, errors = error.valid_part, error.issues
    log.configure("error", loaded.settings.log.format)
    log.register_secrets(*secret_texts(loaded.settings))
    return loaded, errors
