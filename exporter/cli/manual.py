"""The command `manual`."""

from __future__ import annotations

import sys

import click

from exporter.cli.options import print_lines

_MAX_WIDTH = 100
"""Columns of rendered text: longer lines are hard to read."""


@click.command("manual")
@click.argument("topic", metavar="[TOPIC]", required=False)
def manual(topic: str | None) -> None:
    """Print a page of the manual.

    Without a topic, print all topics with their first sentence. The text is Markdown, and rendered on a terminal. A
    running exporter serves the same pages at /manual.
    """
    from exporter import manual as pages

    if topic is None:
        listed = pages.contents()
        width = max(len(each.topic) for each in listed)
        print_lines(f"{each.topic:{width}}  {each.summary}" for each in listed)
        return
    document = pages.page(topic.removesuffix(".md"))
    if document is None:
        raise click.BadParameter(_unknown_topic(topic, list(pages.topics())), param_hint="TOPIC")
    if sys.stdout.isatty():
        _print_rendered(document.text)
    else:
        click.echo(document.text, nl=False)


def _unknown_topic(topic: str, all_topics: list[str]) -> str:
    from exporter.config.errors import closest_match

    closest = closest_match(topic, all_topics)
    hint = f"did you mean {closest}?" if closest else "`rollouts-exporter manual` lists the topics"
    return f"there is no page {topic!r}; {hint}"


def _print_rendered(text: str) -> None:
    from rich.console import Console
    from rich.markdown import Markdown

    console = Console()
    console.print(Markdown(text), width=min(console.width, _MAX_WIDTH))
