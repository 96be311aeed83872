"""Loads the gates of the setting `gates`, and plans each for one update."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from exporter.gate.analysis_run import AnalysisRunStatus, make_plan
from exporter.gate.arguments import REDACTED, ResolutionError, rollout_arguments
from exporter.gate.controller import parse_version
from exporter.gate.expr import ConditionError, parse
from exporter.gate.load import read_objects, resolve_spec, select
from exporter.gate.template import Authentication, TemplateError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from exporter.config.outputs import ShadowGateSection
    from exporter.config.settings import Settings
    from exporter.gate.analysis_run import AnalysisPlan
    from exporter.gate.template import AnalysisSpec, AnalysisTemplate, Metric

CONTROLLER: Final = parse_version()
"""The controller's version that shadow gates imitate: the default of the `gate` commands."""


class ShadowGateError(ValueError):
    """A gate of the settings that cannot be evaluated; the message has a hint."""


@dataclass(frozen=True, slots=True)
class WatchedUpdate:
    """An update of a rollout that gates are evaluated for; `hash` is that of its new pod template."""

    namespace: str
    name: str
    hash: str


_EXAMPLE: Final = WatchedUpdate("namespace", "rollout", "hash")
"""An update for which a gate is planned once, so that `check` finds its errors."""


@dataclass(frozen=True, slots=True)
class ShadowGate:
    """A gate of the settings: its section, its template, and all templates of the file."""

    section: ShadowGateSection
    template: AnalysisTemplate
    templates: tuple[AnalysisTemplate, ...]

    @property
    def name(self) -> str:
        """Return the value of the label `gate`."""
        return self.template.name

    def plan(self, update: WatchedUpdate, address: str) -> AnalysisPlan:
        """Return the plan for an update, with the address of the store. Raises ShadowGateError."""
        try:
            spec = resolve_spec(self.template, self.templates, self._arguments(update))
        except (TemplateError, ResolutionError) as error:
            # Without the hint for the command line.
            raise ShadowGateError(f"{str(error).partition('; set it with --arg')[0]}; check `args`") from None
        plan = make_plan(_with_store(spec, address), CONTROLLER)
        if isinstance(plan, AnalysisRunStatus):
            raise ShadowGateError(f"{plan.message}; check `args`, and the template with `gate lint`")
        for metric in plan.metrics:
            _check_metric(metric)
        return plan

    def _arguments(self, update: WatchedUpdate) -> dict[str, str]:
        """Return the arguments as the Rollout would pass them; those of the section take precedence."""
        by_rollout = rollout_arguments(update.namespace, update.name, update.hash)
        without_value = {
            argument.name
            for template in self.templates
            for argument in template.spec.args
            if argument.value is None and argument.secret is None
        }
        return {name: value for name, value in by_rollout.items() if name in without_value} | dict(self.section.args)


def _with_store(spec: AnalysisSpec, address: str) -> AnalysisSpec:
    """Replace address and credential of all metrics: they are sent to the store of `read`, with its credential."""
    return replace(spec, metrics=tuple(_metric_at(metric, address) for metric in spec.metrics))


def _metric_at(metric: Metric, address: str) -> Metric:
    if metric.prometheus is None:
        provider = ", ".join(metric.other_providers) or "no provider"
        raise ShadowGateError(f"metric {metric.name} uses {provider}; only prometheus is evaluated here")
    provider_at = replace(
        metric.prometheus,
        address=address,
        authentication=Authentication(),
        headers=(),
        insecure=False,
        timeout=None,
    )
    return replace(metric, prometheus=provider_at)


def _check_metric(metric: Metric) -> None:
    if metric.prometheus is not None and REDACTED in metric.prometheus.query:
        raise ShadowGateError(f"the query of metric {metric.name} uses an argument from a Secret; set it in `args`")
    for condition in filter(None, (metric.success_condition, metric.failure_condition)):
        try:
            parse(condition, CONTROLLER.engine)
        except ConditionError as error:
            message = f"metric {metric.name}: {error.message}"
            raise ShadowGateError(f"{message}; `gate lint` shows the place") from None


def load_shadow_gate(section: ShadowGateSection, address: str) -> ShadowGate:
    """Load a gate and plan it for an example. Raises ShadowGateError."""
    file = section.template
    try:
        if file is None:
            raise ShadowGateError("`template` is not set; write the file of an AnalysisTemplate")
        gate = _read(section, file.read_text(encoding="utf-8-sig"))
        gate.plan(_EXAMPLE, address)
    except (OSError, ValueError) as error:
        raise ShadowGateError(f"{file}: {error}") from None
    return gate


def _read(section: ShadowGateSection, text: str) -> ShadowGate:
    objects = read_objects(text)
    try:
        template = select(objects.templates, None)
    except TemplateError:
        if len(objects.templates) < 2:  # noqa: PLR2004 - the message for none is complete
            raise
        names = ", ".join(template.name for template in objects.templates)
        raise ShadowGateError(f"it has several gates: {names}; write each into a file of its own") from None
    return ShadowGate(section, template, objects.templates)


def gate_issues(settings: Settings) -> Iterator[str]:
    """Yield what is wrong with each gate of the settings, with its setting."""
    for index, section in enumerate(settings.gates):
        try:
            load_shadow_gate(section, settings.read.url)
        except ShadowGateError as error:
            name = f"gates[{index}]" if len(settings.gates) > 1 else "gates"
            yield f"{name}.template: {error}"
