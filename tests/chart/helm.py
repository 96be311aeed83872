"""Renders the chart for each example of values: `python -m tests.chart.helm --write` writes the goldens."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

CHART: Final = Path(__file__).parents[2] / "charts" / "rollouts-exporter"
EXAMPLES: Final = tuple(sorted(path.stem.removeprefix("values-") for path in CHART.glob("examples/values-*.yaml")))
GOLDEN: Final = Path(__file__).parent / "golden"
KUBERNETES_VERSION: Final = "1.31.0"
SMALL_FILES: Final = {
    "dashboards/example.json": '{"title": "{{ name }} of {{namespace}}", "panels": []}\n',
    "rules/example.yaml": """\
groups:
  - name: example
    rules:
      - alert: RolloutAborted
        expr: argo_rollouts_phase{phase="Abort"} == 1
        annotations:
          summary: "{{ $labels.namespace }}/{{ $labels.name }} was aborted"
""",
}
"""Replace dashboards and rules in the goldens, so that these change only with the chart."""


@dataclass(eq=False)  # not frozen: Python sets the traceback of an exception
class HelmError(Exception):
    """helm failed, with its standard error."""

    stderr: str

    def __str__(self) -> str:
        return self.stderr


def run_helm(*arguments: str) -> str:
    """Run helm in a clean environment and return its output. Raises HelmError."""
    with tempfile.TemporaryDirectory() as home:
        result = subprocess.run(
            ["helm", *arguments],
            env={"PATH": os.environ["PATH"], "HOME": home},
            capture_output=True,
            text=True,
            check=False,
        )
    if result.returncode:
        raise HelmError(result.stderr)
    return result.stdout


def render(*arguments: str, chart: Path = CHART) -> str:
    """Return the manifests of a release named `shown` in the namespace `last9`. Raises HelmError."""
    return run_helm("template", "shown", str(chart), "-n", "last9", "--kube-version", KUBERNETES_VERSION, *arguments)


def values_arguments(example: str) -> tuple[str, str]:
    """Return the arguments that select an example of values."""
    return "-f", str(CHART / "examples" / f"values-{example}.yaml")


def documents(text: str) -> list[dict[str, Any]]:
    """Return the non-empty manifests of a YAML stream."""
    return [manifest for manifest in yaml.safe_load_all(text) if manifest]


def find_manifest(manifests: list[dict[str, Any]], kind: str, name: str = "") -> dict[str, Any]:
    """Return the only manifest of a kind with a name that ends in `name`, apart from the hash of a distinct name."""
    end = re.compile(rf"{name}(-[0-9a-f]{{8}})?$")
    (manifest,) = (item for item in manifests if item["kind"] == kind and end.search(item["metadata"]["name"]))
    return manifest


def exporter_deployment(manifests: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the Deployment of the exporter, not that of its kube-state-metrics."""
    (deployment,) = (
        item
        for item in manifests
        if item["kind"] == "Deployment" and _component(item["spec"]["template"]) == "exporter"
    )
    return deployment


def _component(pod: dict[str, Any]) -> str:
    component: str = pod["metadata"]["labels"]["app.kubernetes.io/component"]
    return component


def copy_with_small_files(folder: Path) -> Path:
    """Copy the chart, with small files in place of dashboards and rules, and only one gate."""
    chart = folder / "rollouts-exporter"
    shutil.copytree(CHART, chart)
    for path in [*chart.glob("dashboards/*"), *chart.glob("rules/*"), *chart.glob("gates/*")]:
        if path.name != "error-rate.yaml":
            path.unlink()
    for name, text in SMALL_FILES.items():
        (chart / name).write_text(text)
    return chart


def main() -> None:
    """Write the goldens."""
    GOLDEN.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        chart = copy_with_small_files(Path(folder))
        for example in EXAMPLES:
            (GOLDEN / f"{example}.yaml").write_text(render(*values_arguments(example), chart=chart))


if __name__ == "__main__":
    if sys.argv[1:] != ["--write"]:
        sys.exit("python -m tests.chart.helm --write")
    main()
