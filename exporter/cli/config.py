"""The command `config`: the settings in effect, and all settings with their meaning."""

from __future__ import annotations

import json

import click

from exporter.cli.options import print_lines
from exporter.cli.settings import load_settings
from exporter.config import as_yaml


@click.command("config")
@click.option("--example", is_flag=True, help="Print a file with all settings instead, in comments.")
@click.option(
    "--explain", "key", metavar="[KEY]", is_flag=False, flag_value="", help="Explain a setting, or all of a section."
)
@click.option("--schema", is_flag=True, help="Print the JSON schema of the file instead, for editors.")
@click.pass_context
def config(context: click.Context, key: str | None, *, example: bool, schema: bool) -> None:
    """Print the settings in effect, each with its origin.

    The output is YAML, with secrets masked and the origin of each setting in a comment. --example, --explain and
    --schema read no configuration.
    """
    if example:
        from exporter.config.example import example_yaml

        click.echo(example_yaml(), nl=False)
    elif schema:
        from exporter.config.json_schema import editor_schema

        click.echo(json.dumps(editor_schema(), indent=2))
    elif key is not None:
        _explain(key)
    else:
        click.echo(as_yaml(load_settings(context)), nl=False)


def _explain(key: str) -> None:
    from exporter.config.errors import closest_match
    from exporter.config.reference import explained, explanation_lines, setting_references

    settings = explained(key)
    if not settings:
        closest = closest_match(key, [each.key for each in setting_references()])
        hint = f"did you mean {closest}?" if closest else "`rollouts-exporter config --explain` lists all settings"
        raise click.BadParameter(f"there is no setting {key!r}; {hint}", param_hint="--explain")
    for setting in settings:
        print_lines(explanation_lines(setting))
