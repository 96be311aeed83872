"""Selection of the controller's families that are exported unchanged besides the derived ones."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Annotated

from exporter.config.errors import closest_match, quoted
from exporter.config.values import SettingError, ValueFormat, parse_list

_MINIMAL = (
    "rollout_info",
    "rollout_info_replicas_.*",
    "rollout_reconcile_error",
    "rollout_events_total",
    "analysis_run_info",
    "argo_rollouts_controller_info",
    "kube_pod_labels",
)
# lean: what no derived family repeats and an alert needs; standard: what a dashboard or alert uses; article: what the
# article on Last9's blog queries; minimal: no histogram, and no family that Argo deprecates.
PRESETS: dict[str, tuple[str, ...]] = {
    "lean": ("rollout_reconcile_error", "argo_rollouts_controller_info"),
    "standard": (
        "rollout_info",
        "rollout_reconcile",
        "rollout_reconcile_error",
        "rollout_events_total",
        "analysis_run_info",
        "argo_rollouts_controller_info",
    ),
    "article": (*_MINIMAL, "rollout_phase", "rollout_reconcile"),
    "minimal": _MINIMAL,
    "all": (
        "rollout_.*",
        "analysis_.*",
        "experiment_.*",
        "notification_send.*",
        "argo_rollouts_controller_info",
        "kube_pod_labels",
    ),
    "none": (),
}
EVENT_REASONS: dict[str, frozenset[str]] = {
    "standard": frozenset({
        "RolloutUpdated", "RolloutStepCompleted", "SkipSteps", "RolloutPaused", "RolloutResumed", "RolloutAborted",
        "RolloutCompleted", "RolloutDeleted",
    }),
}  # fmt: skip # a table
"""Of presets that do not export every series of rollout_events_total: the reasons of normal events that they do.

What happened to a rollout. Each object that the controller creates, scales or patches on the way has a reason, too,
and so has each traffic router: a series for each of them would be a fifth of what a rollout costs.
"""
_WARNING = "Warning"
_ANALYSIS_RUN = "AnalysisRun"
"""How the reasons of AnalysisRuns begin: argo_rollouts_analysis_runs_total counts them by phase."""
EXPLICIT_ONLY = "controller_clientset_k8s_request_total"
"""Selected only by its exact name: it has a series for each object, verb and status code."""


@dataclass(frozen=True, slots=True)
class PassThroughSelection:
    """Selected families: the name of a preset (None: own patterns), and patterns of complete names."""

    preset: str | None
    patterns: tuple[re.Pattern[str], ...]

    def matches(self, family: str) -> bool:
        """Return whether a family is selected."""
        if family == EXPLICIT_ONLY:
            return any(pattern.pattern == family for pattern in self.patterns)
        return any(pattern.fullmatch(family) for pattern in self.patterns)

    @property
    def passes_all_events(self) -> bool:
        """Whether a series of rollout_events_total is selected whatever its reason is."""
        return self.preset not in EVENT_REASONS

    def matches_event(self, event_type: str, reason: str) -> bool:
        """Return whether the series of an event is selected, if its family is."""
        is_warning = event_type == _WARNING and not reason.startswith(_ANALYSIS_RUN)
        return self.passes_all_events or is_warning or reason in EVENT_REASONS[self.preset or ""]

    def as_setting(self) -> object:
        """Return the value of the setting: the preset's name or the list of patterns."""
        return self.preset or [pattern.pattern for pattern in self.patterns]


def _compile_pattern(text: object) -> re.Pattern[str]:
    if not isinstance(text, str) or not text:
        raise SettingError("has an item that is not a pattern", 'write regular expressions, such as "rollout_info.*"')
    try:
        return re.compile(text)
    # OverflowError for a{99999999999}, RecursionError for very deep groups.
    except (re.error, OverflowError, RecursionError) as error:
        raise SettingError(f"{quoted(text)} is not a regular expression: {error}", "fix the pattern") from None


def parse_pass_through(value: object) -> PassThroughSelection:
    """Parse the name of a preset, or a list of regular expressions."""
    if isinstance(value, PassThroughSelection):
        return value
    if isinstance(value, str) and value.strip() in PRESETS:
        name = value.strip()
        return PassThroughSelection(name, tuple(map(re.compile, PRESETS[name])))
    choices = f"write {', '.join(PRESETS)}, or a list of patterns"
    if isinstance(value, str) and not re.search(r"[,\[]", value):
        match = closest_match(value, PRESETS)
        raise SettingError(f"{quoted(value)} is not a preset", f"did you mean {match}?" if match else choices)
    items = parse_list(value)
    if not isinstance(items, list | tuple):
        raise SettingError("is neither a preset nor a list", choices)
    return PassThroughSelection(None, tuple(map(_compile_pattern, items)))


PRESET_SELECTIONS = {
    preset: parse_pass_through(name)
    for preset, name in (("lean", "lean"), ("standard", "standard"), ("full", "all"), ("article", "article"))
}
"""What passes through by `series.preset`."""

PassThroughSetting = Annotated[
    PassThroughSelection,
    ValueFormat(f"{' | '.join(PRESETS)} | list of patterns", PassThroughSelection.as_setting, parse_pass_through),
]


@dataclass(frozen=True, slots=True)
class NamePatterns:
    """Patterns of complete names of families."""

    patterns: tuple[re.Pattern[str], ...] = ()

    def matches(self, family: str) -> bool:
        """Return whether a pattern matches a name."""
        return any(pattern.fullmatch(family) for pattern in self.patterns)

    def as_setting(self) -> object:
        """Return the value of the setting: the list of patterns."""
        return [pattern.pattern for pattern in self.patterns]


def parse_name_patterns(value: object) -> NamePatterns:
    """Parse a list of regular expressions."""
    if isinstance(value, NamePatterns):
        return value
    items = parse_list(value)
    if not isinstance(items, list | tuple):
        raise SettingError("is not a list", 'write a list of patterns, such as ["rollout_reconcile_error"]')
    return NamePatterns(tuple(map(_compile_pattern, items)))


NamePatternsSetting = Annotated[
    NamePatterns, ValueFormat("list of patterns", NamePatterns.as_setting, parse_name_patterns)
]
