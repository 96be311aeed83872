"""The configuration: settings, their sources, and validation that reports all errors together.

`load` reads the layers (defaults < file < environment < command line) with `yaml_lines` and `env`, flattens each to
single settings with their origins, merges them and parses the result with `model`: `settings` with its sections
(`sources`, `outputs`, `section`, `pass_through`) are frozen dataclasses, `values` parses what users write, `validation`
checks settings against each other. `schema` looks up settings by path. `report` prints the settings in effect.
"""

from exporter.config.env import CONFIG_VARIABLE
from exporter.config.load import ConfigError, LoadedConfig, load
from exporter.config.report import as_yaml, secret_texts
from exporter.config.settings import Settings

__all__ = ["CONFIG_VARIABLE", "ConfigError", "LoadedConfig", "Settings", "as_yaml", "load", "secret_texts"]
