"""All that was given to be looked at: gates, what uses them, Secrets; and what is known of the surroundings."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

from exporter.gate.lint.manifest import Document, Fault, Path, Source, documents
from exporter.gate.lint.probe import Judge
from exporter.gate.placeholders import TAG, resolved

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from exporter.gate.controller import Controller
    from exporter.gate.lint.finding import Spot

TEMPLATES: Final = ("AnalysisTemplate", "ClusterAnalysisTemplate")
RUN: Final = "AnalysisRun"
_ALLOW: Final = re.compile(r"#\s*gate-lint:\s*allow\s+(.*)")
_WORD: Final = re.compile(r"[\w-]+")


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What no manifest tells: the controller's version, how often is scraped, how long until it can be read (s)."""

    controller: Controller
    scrape: float = 30.0
    delay: float = 30.0


@dataclass(frozen=True, slots=True)
class Argument:
    """An argument of a gate: its literal value if it has one, and whether a Secret gives it."""

    name: str
    index: int
    value: str | None
    secret: tuple[str, str] | None
    given: bool


@dataclass(frozen=True)
class Gate:
    """An AnalysisTemplate, a ClusterAnalysisTemplate or an AnalysisRun."""

    document: Document

    @property
    def is_run(self) -> bool:
        """Say whether it is an AnalysisRun: all its arguments are given."""
        return self.document.kind == RUN

    @cached_property
    def arguments(self) -> tuple[Argument, ...]:
        """Return its arguments in order."""
        return tuple(_argument(index, one) for index, one in enumerate(rows(self.document.at("spec", "args"))))

    @cached_property
    def literals(self) -> Mapping[str, str]:
        """Return the values of the arguments that have one."""
        return {one.name: one.value for one in self.arguments if one.value is not None}

    @cached_property
    def metrics(self) -> tuple[Metric, ...]:
        """Return its metrics in order."""
        return tuple(Metric(self, index) for index, _ in enumerate(rows(self.document.at("spec", "metrics"))))


@dataclass(frozen=True)
class Metric:
    """One metric of a gate."""

    gate: Gate
    index: int

    @property
    def name(self) -> str:
        """Return its name."""
        return str(self.at("name") or "")

    def path(self, *rest: str | int) -> Path:
        """Return the path of one of its fields."""
        return ("spec", "metrics", self.index, *rest)

    def raw(self, *rest: str | int) -> Any:  # noqa: ANN401 - a manifest holds anything
        """Return a field as it is written, None where there is none."""
        return self.gate.document.at(*self.path(*rest))

    def at(self, *rest: str | int) -> Any:  # noqa: ANN401 - a manifest holds anything
        """Return a field with the arguments in place whose values are known."""
        value = self.raw(*rest)
        return resolved(value, self.gate.literals) if isinstance(value, str) else value

    def text(self, *rest: str | int) -> str:
        """Return a field that is text, "" where there is none."""
        value = self.at(*rest)
        return value if isinstance(value, str) else ""

    def known(self, *rest: str | int) -> str:
        """Return a field that is text and holds no argument whose value is not known, else ""."""
        text = self.text(*rest)
        return "" if TAG.search(text) else text

    def spot(self, rest: Path, why: str, cure: str) -> Spot:
        """Say what is wrong with one of its fields."""
        return self.gate.document.spot(self.path(*rest), why, cure)


@dataclass(frozen=True)
class Gates:
    """Everything that was given."""

    documents: tuple[Document, ...]
    faults: tuple[Fault, ...]
    around: Surroundings
    sources: Mapping[str, tuple[str, ...]]

    @cached_property
    def gates(self) -> tuple[Gate, ...]:
        """Return what measures."""
        return tuple(Gate(one) for one in self.documents if one.kind in TEMPLATES or one.kind == RUN)

    @cached_property
    def metrics(self) -> tuple[Metric, ...]:
        """Return every metric of every gate."""
        return tuple(metric for gate in self.gates for metric in gate.metrics)

    @cached_property
    def prometheus(self) -> tuple[Metric, ...]:
        """Return the metrics that ask a Prometheus API."""
        return tuple(metric for metric in self.metrics if isinstance(metric.raw("provider", "prometheus"), dict))

    @cached_property
    def judges(self) -> tuple[Judge, ...]:
        """Return the conditions of those."""
        return tuple(Judge(metric, self.around.controller.engine) for metric in self.prometheus)

    def of(self, kind: str) -> Iterator[Document]:
        """Return the objects of a kind."""
        return (one for one in self.documents if one.kind == kind)

    def allowed(self, file: str, line: int, rule: str) -> bool:
        """Say whether a comment on a line, or straight above it, allows what a rule finds there."""
        lines = self.sources.get(file, ())
        at = line - 1
        beside = [lines[at]] if at < len(lines) else []
        while at > 0 and lines[at - 1].lstrip().startswith("#"):
            at -= 1
            beside.append(lines[at])
        return any(rule in _WORD.findall(found[1]) for text in beside if (found := _ALLOW.search(text)))

    @property
    def concerned(self) -> bool:
        """Say whether anything here is about gates at all."""
        return bool(self.faults) or any(one.kind in LOOKED_AT for one in self.documents)


LOOKED_AT: Final = (*TEMPLATES, RUN, "Rollout")


def read(sources: Iterable[Source], around: Surroundings) -> Gates:
    """Read texts."""
    texts = tuple(sources)
    found = [one for source in texts for one in documents(source)]
    return Gates(
        tuple(one for one in found if isinstance(one, Document) and _ours(one)),
        tuple(one for one in found if isinstance(one, Fault)),
        around,
        {source.name: tuple(source.text.split("\n")) for source in texts},
    )


def _ours(document: Document) -> bool:
    """Say whether an object is of Kubernetes' core or of Argo: other groups have Rollouts, too."""
    group = str(document.content.get("apiVersion", "")).rpartition("/")[0]
    return group in {"", "argoproj.io"}


def rows(value: object) -> list[dict[str, Any]]:
    """Return the mappings of a list; what is none of that is passed over."""
    return [one if isinstance(one, dict) else {} for one in value] if isinstance(value, list) else []


def mapping(value: object) -> dict[str, Any]:
    """Return a mapping; an empty one for what is none."""
    return value if isinstance(value, dict) else {}


def _argument(index: int, row: Mapping[str, Any]) -> Argument:
    origin = row.get("valueFrom")
    reference = mapping(origin).get("secretKeyRef")
    secret = (str(reference.get("name")), str(reference.get("key"))) if isinstance(reference, dict) else None
    value = row.get("value")
    literal = value if isinstance(value, str) and secret is None else None
    return Argument(str(row.get("name", "")), index, literal, secret, literal is not None or origin is not None)
