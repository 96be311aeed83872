"""The chart as helm renders it, for each example of values: `python -m tests.chart.helm --write` makes the goldens."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

CHARTS: Final = Path(__file__).parents[2] / "charts"
CHART: Final = CHARTS / "rollouts-exporter"
EXAMPLES: Final = tuple(sorted(path.stem.removeprefix("values-") for path in CHART.glob("examples/values-*.yaml")))
GOLDEN: Final = Path(__file__).parent / "golden"
KUBERNETES: Final = "1.31.0"
OWN_FILES: Final = {
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
"""What the goldens have in place of dashboards and rules, which are tested elsewhere: so they change with the chart."""


@dataclass(frozen=True, slots=True)
class Refused(Exception):  # noqa: N818 - it is what helm did, and often what is wanted
    """helm refused; `said` is what it wrote."""

    said: str

    def __str__(self) -> str:
        return self.said


def helm(*arguments: str) -> str:
    """Run helm in an environment of its own and return its output. Raises Refused."""
    with tempfile.TemporaryDirectory() as home:
        done = subprocess.run(
            ["helm", *arguments],
            env={"PATH": os.environ["PATH"], "HOME": home},
            capture_output=True,
            text=True,
            check=False,
        )
    if done.returncode:
        raise Refused(done.stderr)
    return done.stdout


def rendered(*arguments: str, chart: Path = CHART) -> str:
    """Return the manifests of a release named `shown` in the namespace `last9`. Raises Refused."""
    return helm("template", "shown", str(chart), "-n", "last9", "--kube-version", KUBERNETES, *arguments)


def values(example: str) -> tuple[str, str]:
    """Return the arguments that choose an example."""
    return "-f", str(CHART / "examples" / f"values-{example}.yaml")


def documents(text: str) -> list[dict[str, Any]]:
    """Return the manifests of a text, those that are empty left out."""
    return [one for one in yaml.safe_load_all(text) if one]


def only(manifests: list[dict[str, Any]], kind: str, name: str = "") -> dict[str, Any]:
    """Return the one manifest of a kind whose name ends so."""
    (found,) = (one for one in manifests if one["kind"] == kind and one["metadata"]["name"].endswith(name))
    return found


def with_own_files(folder: Path) -> Path:
    """Copy the chart, with small files in place of dashboards and rules, and one gate."""
    chart = folder / "rollouts-exporter"
    shutil.copytree(CHART, chart)
    for path in [*chart.glob("dashboards/*"), *chart.glob("rules/*"), *chart.glob("gates/*")]:
        if path.name != "error-rate.yaml":
            path.unlink()
    for name, text in OWN_FILES.items():
        (chart / name).write_text(text)
    return chart


def main() -> None:
    """Write the goldens."""
    GOLDEN.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        chart = with_own_files(Path(folder))
        for example in EXAMPLES:
            (GOLDEN / f"{example}.yaml").write_text(rendered(*values(example), chart=chart))


if __name__ == "__main__":
    if sys.argv[1:] != ["--write"]:
        sys.exit("python -m tests.chart.helm --write")
    main()
