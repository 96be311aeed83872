"""Colours and numbers as Grafana shows them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

PAGE: Final = "#111217"
PANEL: Final = "#181b1f"
EDGE: Final = "#2c3235"
INK: Final = "#d8d9da"
FAINT: Final = "#8e8e93"
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
CLASSIC: Final = (
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


def colour_of(name: str, place: int, config: Mapping[str, Any]) -> str:
    """Return a series' colour: its own by an override, else the next of the palette."""
    for override in config["overrides"]:
        if override["matcher"]["options"] == name:
            for one in override["properties"]:
                if one["id"] == "color":
                    return COLOURS[one["value"]["fixedColor"]]
    return CLASSIC[place % len(CLASSIC)]


def state_of(value: float, defaults: Mapping[str, Any]) -> tuple[str, str]:
    """Return how a value reads and its colour: by the panel's mappings, else by its thresholds."""
    for mapping in defaults.get("mappings", ()):
        if found := mapping["options"].get(f"{value:.0f}"):
            return found["text"], COLOURS[found["color"]]
    steps = defaults["thresholds"]["steps"]
    reached = [step["color"] for step in steps if step["value"] is None or value >= step["value"]]
    return number(value, defaults["unit"]), COLOURS[reached[-1]]


def number(value: float, unit: str) -> str:
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
