"""The page of the configuration: the settings in force, each with its origin."""

from __future__ import annotations

from typing import TYPE_CHECKING

from exporter import log
from exporter.config.report import setting_reports
from exporter.web.model import ConfigurationPage, SettingLine

if TYPE_CHECKING:
    from exporter.config.load import LoadedConfig
    from exporter.web.model import PageHead


def configuration_page(head: PageHead, loaded: LoadedConfig) -> ConfigurationPage:
    """Return the page; secrets are masked as in the command `config`, and wherever else a value repeats one."""
    lines = tuple(
        SettingLine(report.name, log.REDACTOR.redact(report.value), report.origin, report.is_default)
        for report in setting_reports(loaded)
    )
    return ConfigurationPage(head, lines, tuple(log.REDACTOR.redact(str(issue)) for issue in loaded.warnings))
