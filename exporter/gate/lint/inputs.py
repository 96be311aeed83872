"""The input of the linter: templates, Rollouts and Secrets of all files, and what no manifest contains.

The views address the raw values by path. They accept what the strict model of `exporter.gate.template` rejects, since
the linter has to report it with its line; the fields of the CRD come from that model (`crd_schema`).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

from exporter import yaml_nodes
from exporter.gate.arguments import PLACEHOLDER, substitute_known
from exporter.gate.dialect import READ_DELAYS, StoreKind, store_kind
from exporter.gate.kubernetes import KubernetesObject, ManifestIssue, parse_manifest
from exporter.gate.lint.findings import issue
from exporter.gate.template import ObjectKind, SecretKeyRef

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from exporter.gate.controller import ControllerVersion
    from exporter.gate.kubernetes import ManifestFile
    from exporter.gate.lint.findings import Issue
    from exporter.yaml_nodes import Path

RELEVANT_KINDS: Final = (*ObjectKind, "Rollout")
_ALLOW_COMMENT: Final = re.compile(r"#\s*gate-lint:\s*allow\s+(.*)")
_RULE_NAME: Final = re.compile(r"[\w-]+")


MetricKey = tuple[str, str]
"""The names of the gate and of the metric."""


@dataclass(frozen=True, slots=True)
class MetricTraffic:
    """The events that one measurement of a share judges, over both versions, and how bursty the bad ones are.

    `dispersion` is variance by mean of the bad events per minute: 1 if they are independent, more in bursts.
    """

    events: float
    dispersion: float = 1.0
    selects_version: bool = False
    """Whether the metric judges only one version's share of the events."""


@dataclass(frozen=True, slots=True)
class LintContext:
    """The controller, and in seconds: the scrape interval of the metrics, and the delay until a sample is readable."""

    controller: ControllerVersion
    scrape_interval: float = 30.0
    read_delay: float | None = None
    """None: what the kind of the store makes it."""
    store: StoreKind = StoreKind.AUTO
    traffic: Mapping[MetricKey, MetricTraffic] = field(default_factory=dict)
    """What a store shows about metrics (`exporter.gate.lint.traffic`)."""

    def delay_of(self, store: StoreKind) -> float:
        """Return the delay until a sample can be read from a kind of store."""
        if self.read_delay is not None:
            return self.read_delay
        return READ_DELAYS[store]


# Without slots, here and below: a cached_property needs the object's __dict__.
@dataclass(frozen=True)
class GateView:
    """A template or run, and the kind of store that its queries are for."""

    document: KubernetesObject
    store: StoreKind = StoreKind.AUTO

    @property
    def is_run(self) -> bool:
        """Return whether it is an AnalysisRun, whose arguments must all have values."""
        return self.document.kind == ObjectKind.RUN

    @cached_property
    def arguments(self) -> tuple[ArgumentView, ...]:
        """Return its arguments in order."""
        return tuple(_argument(index, row) for index, row in enumerate(rows(self.document.get("spec", "args"))))

    @cached_property
    def literals(self) -> Mapping[str, str]:
        """Return the literal values of arguments."""
        return {argument.name: argument.value for argument in self.arguments if argument.value is not None}

    @cached_property
    def metrics(self) -> tuple[MetricView, ...]:
        """Return its metrics in order."""
        return tuple(MetricView(self, index) for index, _ in enumerate(rows(self.document.get("spec", "metrics"))))

    def issue(self, path: Path, reason: str, hint: str) -> Issue:
        """Return an issue with the value at a path."""
        return issue(self.document, path, reason, hint)


@dataclass(frozen=True, slots=True)
class ArgumentView:
    """An argument of a gate: its literal value, None without one, or the Secret that contains the value."""

    index: int
    row: Mapping[str, Any]
    name: str
    value: str | None
    secret: SecretKeyRef | None

    @property
    def is_set(self) -> bool:
        """Return whether the gate itself has its value or the source of it."""
        return self.value is not None or self.row.get("valueFrom") is not None


def _argument(index: int, row: Mapping[str, Any]) -> ArgumentView:
    reference, value = mapping(row.get("valueFrom")).get("secretKeyRef"), row.get("value")
    name = str(row.get("name", ""))
    if isinstance(reference, dict):
        secret = SecretKeyRef(str(reference.get("name")), str(reference.get("key")))
        return ArgumentView(index, row, name, None, secret)
    return ArgumentView(index, row, name, value if isinstance(value, str) else None, None)


@dataclass(frozen=True)
class MetricView:
    """A metric of a gate."""

    gate: GateView
    index: int

    @property
    def name(self) -> str:
        """Return its name."""
        return str(self.get("name") or "")

    @property
    def store(self) -> StoreKind:
        """Return the kind of store that evaluates its query."""
        return store_kind(self.gate.store, self.text("provider", "prometheus", "address"))

    def path(self, *path: str | int) -> Path:
        """Return the path of one of its fields in the document."""
        return ("spec", "metrics", self.index, *path)

    def raw(self, *path: str | int) -> Any:  # noqa: ANN401 - a manifest holds anything
        """Return a field as written, None if it is absent."""
        return self.gate.document.get(*self.path(*path))

    def get(self, *path: str | int) -> Any:  # noqa: ANN401 - a manifest holds anything
        """Return a field with the literal values of arguments in place."""
        value = self.raw(*path)
        return substitute_known(value, self.gate.literals) if isinstance(value, str) else value

    def text(self, *path: str | int) -> str:
        """Return a text field, "" if it is absent or not text."""
        value = self.get(*path)
        return value if isinstance(value, str) else ""

    def resolved_text(self, *path: str | int) -> str:
        """Return a text field, "" if it contains an argument whose value is unknown."""
        text = self.text(*path)
        return "" if PLACEHOLDER.search(text) else text

    def issue(self, path: Path, reason: str, hint: str) -> Issue:
        """Return an issue with one of its fields."""
        return self.gate.issue(self.path(*path), reason, hint)


@dataclass(frozen=True, eq=False)
class LintInput:
    """The objects and unreadable documents of all files. Compared by identity, so that results can be cached by it."""

    documents: tuple[KubernetesObject, ...]
    manifest_issues: tuple[ManifestIssue, ...]
    context: LintContext
    lines_by_file: Mapping[str, tuple[str, ...]]

    @cached_property
    def gates(self) -> tuple[GateView, ...]:
        """Return the templates and runs."""
        kinds = set(ObjectKind)
        store = self.context.store
        return tuple(GateView(document, store) for document in self.documents if document.kind in kinds)

    @cached_property
    def metrics(self) -> tuple[MetricView, ...]:
        """Return every metric of every gate."""
        return tuple(metric for gate in self.gates for metric in gate.metrics)

    @cached_property
    def prometheus_metrics(self) -> tuple[MetricView, ...]:
        """Return the metrics with a Prometheus provider."""
        return tuple(metric for metric in self.metrics if isinstance(metric.raw("provider", "prometheus"), dict))

    def template(self, reference: Mapping[str, Any], namespace: str, file: str = "") -> GateView | None:
        """Return the template that a reference from a namespace names, one of the same file first."""
        kind = ObjectKind.CLUSTER_TEMPLATE if reference.get("clusterScope") else ObjectKind.TEMPLATE
        name = reference.get("templateName")
        candidates = [
            gate
            for gate in self.gates
            if (gate.document.kind, gate.document.name) == (kind, name) and _is_near(gate.document, namespace)
        ]
        return next((gate for gate in candidates if gate.document.file == file), next(iter(candidates), None))

    def nested_gates(self, gate: GateView) -> tuple[GateView, ...]:
        """Return the templates of the input that a template refers to, directly or not, without the template itself."""
        nested_by_id: dict[int, GateView] = {id(gate): gate}
        pending = [gate]
        while pending:
            document = pending.pop().document
            for row in rows(document.get("spec", "templates")):
                nested = self.template(row, document.namespace, document.file)
                if nested is not None and id(nested) not in nested_by_id:
                    nested_by_id[id(nested)] = nested
                    pending.append(nested)
        return tuple(nested_by_id.values())[1:]

    def is_complete(self, gates: Iterable[GateView]) -> bool:
        """Return whether all templates that these refer to are in the input."""
        return all(
            self.template(row, gate.document.namespace, gate.document.file) is not None
            for gate in gates
            for row in rows(gate.document.get("spec", "templates"))
        )

    def of_kind(self, kind: str) -> Iterator[KubernetesObject]:
        """Yield the objects of a kind."""
        return (document for document in self.documents if document.kind == kind)

    def is_suppressed(self, file: str, line: int, rule: str) -> bool:
        """Return whether a comment on a line, or directly above it, allows a rule there."""
        lines = self.lines_by_file.get(file, ())
        index = line - 1
        candidates = [lines[index]] if index < len(lines) else []
        while index > 0 and lines[index - 1].lstrip().startswith("#"):
            index -= 1
            candidates.append(lines[index])
        comments = (comment[1] for text in candidates if (comment := _ALLOW_COMMENT.search(text)))
        return any(rule in _RULE_NAME.findall(comment) for comment in comments)

    @property
    def is_relevant(self) -> bool:
        """Return whether there is anything to check."""
        return bool(self.manifest_issues) or any(document.kind in RELEVANT_KINDS for document in self.documents)


def read_input(files: Iterable[ManifestFile], context: LintContext) -> LintInput:
    """Parse files."""
    files = tuple(files)
    items = [item for file in files for item in parse_manifest(file)]
    return LintInput(
        tuple(item for item in items if isinstance(item, KubernetesObject) and _is_core_or_argo(item)),
        tuple(item for item in items if isinstance(item, ManifestIssue)),
        context,
        {file.name: tuple(yaml_nodes.split_lines(file.text)) for file in files},
    )


def _is_near(template: KubernetesObject, namespace: str) -> bool:
    """Return whether a template can be used from a namespace; one without a namespace can be applied to any."""
    return template.kind == ObjectKind.CLUSTER_TEMPLATE or not namespace or template.namespace in {"", namespace}


def _is_core_or_argo(document: KubernetesObject) -> bool:
    """Return whether an object is of Kubernetes' core or of Argo: other API groups have Rollouts, too."""
    group = str(document.content.get("apiVersion", "")).rpartition("/")[0]
    return group in {"", "argoproj.io"}


def rows(value: object) -> list[dict[str, Any]]:
    """Return the items of a list as mappings, an empty one for an item of another type."""
    return [item if isinstance(item, dict) else {} for item in value] if isinstance(value, list) else []


def mapping(value: object) -> dict[str, Any]:
    """Return a mapping, an empty one for a value of another type."""
    return value if isinstance(value, dict) else {}
