"""Entry point of `python -m exporter`, the same as the command `rollouts-exporter`."""

from exporter.cli import main

main()
