"""`python -m exporter` is the command `rollouts-exporter`."""

from exporter.cli import main

main()
