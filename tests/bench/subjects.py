"""Who is measured: the exporter and its peers, each configured for the same work, one row each."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

import yaml

from exporter.config.pass_through import PRESETS
from tests.bench.pages import ARGO, KUBE
from tests.bench.endpoints import OTLP, WRITE

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

Mode = Literal["relay", "whole"]
EXPORTER: Final = "exporter"
KEPT: Final = "|".join(PRESETS["all"])
"""The names that everybody relays; histograms' sample names match, too."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a subject runs: its folder, the stage's port, the port of its own pages, what it scrapes, how often."""

    folder: Path
    stage: int
    port: int
    pages: tuple[str, ...]
    interval: float

    def write(self, name: str, tree: Mapping[str, object]) -> str:
        """Write a configuration file and return its path."""
        file = self.folder / name
        file.write_text(yaml.safe_dump(tree))
        return str(file)

    @property
    def listen(self) -> str:
        """The address of its own pages."""
        return f"127.0.0.1:{self.port}"

    def url(self, path: str) -> str:
        """Return a URL of the stage."""
        return f"http://127.0.0.1:{self.stage}{path}"


@dataclass(frozen=True, slots=True)
class Subject:
    """Who is measured. `program` finds what is run; `pushed` names its own counter of what it sent."""

    name: str
    program: Callable[[], str | None]
    command: Callable[[str, Place, Mode], list[str]]
    pushed: str = ""


def installed(*names: str) -> str | None:
    """Return the first program of these names where Go installs them, or on PATH."""
    places = (str(Path.home() / "go" / "bin"), None)
    return next((found for name in names for place in places if (found := shutil.which(name, path=place))), None)


def major(program: str) -> int:
    """Return the major version that a program tells with --version, 0 when it tells none."""
    done = subprocess.run([program, "--version"], capture_output=True, text=True, timeout=20, check=False)
    found = re.search(r"version v?(\d+)", done.stdout + done.stderr)
    return int(found[1]) if found else 0


def _exporter(program: str, place: Place, mode: Mode) -> list[str]:
    targets = {page: [place.url(f"/{page}")] if page in place.pages else [] for page in (ARGO, KUBE)}
    name = {"relay": "none", "whole": "bench"}[mode]
    service = {"service.name": "none"} if mode == "relay" else {"deployment.environment": "production"}
    settings = {
        "mode": "deployment",
        "argo": {"targets": targets[ARGO], "interval": place.interval},
        "kube_state_metrics": {"targets": targets[KUBE], "interval": place.interval},
        "otlp": {"endpoint": place.url(OTLP), "queue": {"directory": str(place.folder / "queue")}},
        "web": {"listen": place.listen},
        "attributes": {"k8s.cluster.name": name, **service},
        "series": {"derive": mode == "whole", "pass_through": "all"},
        "memory": {"directory": str(place.folder / "memory")},
    }
    return [program, "-m", "exporter", "-c", place.write("exporter.yaml", settings)]


def _vmagent(program: str, place: Place, _: Mode) -> list[str]:
    return [
        program,
        f"-promscrape.config={place.write('vmagent.yaml', _scraping(place))}",
        "-promscrape.maxScrapeSize=512MiB",
        f"-remoteWrite.url={place.url(WRITE)}",
        f"-remoteWrite.tmpDataPath={place.folder / 'vmagent'}",
        f"-httpListenAddr={place.listen}",
    ]


def _prometheus(program: str, place: Place, _: Mode) -> list[str]:
    tree = {**_scraping(place), "remote_write": [{"url": place.url(WRITE)}]}
    newest = 3
    return [
        program,
        "--agent" if major(program) >= newest else "--enable-feature=agent",
        f"--config.file={place.write('prometheus.yaml', tree)}",
        f"--storage.agent.path={place.folder / 'prometheus'}",
        f"--web.listen-address={place.listen}",
    ]


def _collector(program: str, place: Place, _: Mode) -> list[str]:
    tree = {
        "receivers": {"prometheus": {"config": _scraping(place)}},
        "exporters": {"otlphttp": {"endpoint": place.url(OTLP), "compression": "gzip"}},
        "service": {
            "telemetry": {"metrics": {"level": "none"}},
            "pipelines": {"metrics": {"receivers": ["prometheus"], "exporters": ["otlphttp"]}},
        },
    }
    return [program, f"--config={place.write('collector.yaml', tree)}"]


def _scraping(place: Place) -> dict[str, object]:
    keep = {"source_labels": ["__name__"], "regex": KEPT, "action": "keep"}
    every = f"{place.interval * 1000:.0f}ms"
    return {
        "global": {"scrape_interval": every, "scrape_timeout": every},
        "scrape_configs": [
            {
                "job_name": page,
                "metrics_path": f"/{page}",
                "static_configs": [{"targets": [f"127.0.0.1:{place.stage}"]}],
                "metric_relabel_configs": [keep],
            }
            for page in place.pages
        ],
    }


SUBJECTS: Final[Sequence[Subject]] = (
    Subject(EXPORTER, lambda: sys.executable, _exporter, "rollouts_exporter_points_delivered_total"),
    Subject(
        "vmagent", lambda: installed("vmagent"), _vmagent, "vmagent_remotewrite_global_rows_pushed_before_relabel_total"
    ),
    Subject("prometheus", lambda: installed("prometheus"), _prometheus, "prometheus_remote_storage_samples_total"),
    Subject("collector", lambda: installed("otelcol-contrib", "otelcol"), _collector),
)
"""Everybody who can be measured, ourselves first; who is not installed is left out."""
