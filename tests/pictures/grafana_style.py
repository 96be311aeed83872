"""Colours and number formats of Grafana."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

PAGE: Final = "#111217"
PANEL: Final = "#181b1f"
EDGE: Final = "#2c3235"
TEXT: Final = "#d8d9da"
MUTED_TEXT: Final = "#8e8e93"
COLOURS: Final = {
    "green": "#73bf69",
    "yellow": "#f2cc0c",
    "orange": "#ff9830",
    "light-orange": "#ffb357",
    "red": "#f2495c",
    "dark-red": "#c4162a",
    "blue": "#5794f2",
    "light-blue": "#8ab8ff",
    "purple": "#b877d9",
    "text": "#a4a7ab",
}
PALETTE: Final = (
    "#73bf69",
    "#f2cc0c",
    "#8ab8ff",
    "#ff9830",
    "#f2495c",
    "#5794f2",
    "#b877d9",
    "#37872d",
    "#e0b400",
    "#1f60c4",
    "#8f3bb8",
    "#fade2a",
    "#ff7383",
    "#96d98d",
)


def colour_of(name: str, index: int, config: Mapping[str, Any]) -> str:
    """Return the colour of a series: by an override, else the next of the palette."""
    for override in config["overrides"]:
        if override["matcher"]["options"] == name:
            for prop in override["properties"]:
                if prop["id"] == "color":
                    return COLOURS[prop["value"]["fixedColor"]]
    return PALETTE[index % len(PALETTE)]


def state_text_and_colour(value: float, defaults: Mapping[str, Any]) -> tuple[str, str]:
    """Return the text and colour of a value: by the panel's mappings, else by its thresholds."""
    for mapping in defaults.get("mappings", ()):
        if mapped := mapping["options"].get(f"{value:.0f}"):
            return mapped["text"], COLOURS[mapped["color"]]
    steps = defaults["thresholds"]["steps"]
    reached = [step["color"] for step in steps if step["value"] is None or value >= step["value"]]
    return format_number(value, defaults["unit"]), COLOURS[reached[-1]]


def format_number(value: float, unit: str) -> str:
    """Return a value in its unit."""
    match unit:
        case "percentunit":
            return f"{value * 100:.3g}%"
        case "s":
            return _seconds(value)
        case "bytes":
            return _scaled(value, 1024, (" B", " KiB", " MiB", " GiB"))
        case "ops" | "reqps":
            return _scaled(value, 1000, ("/s", " K/s", " M/s", " G/s"))
        case _:
            return _scaled(value, 1000, ("", " K", " M", " G"))


def _seconds(value: float) -> str:
    if value and abs(value) < 1:
        return f"{value * 1000:.3g} ms"
    if abs(value) < 90:
        return f"{value:.3g} s"
    return f"{value / 60:.3g} min" if abs(value) < 5400 else f"{value / 3600:.3g} h"


def _scaled(value: float, base: int, names: tuple[str, ...]) -> str:
    for name in names[:-1]:
        if abs(value) < base:
            return f"{value:.3g}{name}"
        value /= base
    return f"{value:.3g}{names[-1]}"
