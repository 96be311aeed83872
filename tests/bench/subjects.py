"""The subjects: the exporter and its peers, each configured for the same work."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

import yaml

from exporter.config.pass_through import PRESETS
from tests.bench.endpoints import OTLP, REMOTE_WRITE
from tests.bench.pages import ARGO, KUBE

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

Mode = Literal["relay", "whole", "default"]
"""What the exporter does: what peers do; with derived series, too; what the default settings export."""
EXPORTER: Final = "exporter"
RELAYED_NAMES: Final = "|".join(PRESETS["all"])
"""Regular expression of the sample names that every subject relays."""


@dataclass(frozen=True, slots=True)
class Site:
    """Where a subject runs: its folder, the ports of the endpoints and of its own pages, its targets and interval."""

    folder: Path
    endpoints_port: int
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
        """The address of the subject's own pages."""
        return f"127.0.0.1:{self.port}"

    def url(self, path: str) -> str:
        """Return a URL of the endpoints."""
        return f"http://127.0.0.1:{self.endpoints_port}{path}"


@dataclass(frozen=True, slots=True)
class Subject:
    """A subject. `program` finds its executable; `pushed_metric` names its own counter of pushed points.

    `environment` is what its image sets.
    """

    name: str
    program: Callable[[], str | None]
    command: Callable[[str, Site, Mode], list[str]]
    pushed_metric: str = ""
    environment: Mapping[str, str] = field(default_factory=dict)


def find_program(*names: str) -> str | None:
    """Return the first program of these names in Go's bin folder or on PATH."""
    paths = (str(Path.home() / "go" / "bin"), None)
    return next((program for name in names for path in paths if (program := shutil.which(name, path=path))), None)


def major_version(program: str) -> int:
    """Return the major version that a program prints with --version, 0 if none."""
    result = subprocess.run([program, "--version"], capture_output=True, text=True, timeout=20, check=False)
    match = re.search(r"version v?(\d+)", result.stdout + result.stderr)
    return int(match[1]) if match else 0


def _exporter(program: str, site: Site, mode: Mode) -> list[str]:
    targets = {page: [site.url(f"/{page}")] if page in site.pages else [] for page in (ARGO, KUBE)}
    name = "none" if mode == "relay" else "bench"
    service = {"service.name": "none"} if mode == "relay" else {"deployment.environment": "production"}
    settings = {
        "mode": "deployment",
        "argo": {"targets": targets[ARGO], "interval": site.interval},
        "kube_state_metrics": {"targets": targets[KUBE], "interval": site.interval},
        "otlp": {"endpoint": site.url(OTLP)},
        "web": {"listen": site.listen},
        "attributes": {"k8s.cluster.name": name, **service},
        "series": {} if mode == "default" else {"derive": mode == "whole", "pass_through": "all"},
        "storage": {"directory": str(site.folder / "storage")},
    }
    return [program, "-m", "exporter", "-c", site.write("exporter.yaml", settings)]


def _vmagent(program: str, site: Site, _: Mode) -> list[str]:
    return [
        program,
        f"-promscrape.config={site.write('vmagent.yaml', _scrape_config(site))}",
        "-promscrape.maxScrapeSize=512MiB",
        f"-remoteWrite.url={site.url(REMOTE_WRITE)}",
        f"-remoteWrite.tmpDataPath={site.folder / 'vmagent'}",
        f"-httpListenAddr={site.listen}",
    ]


def _prometheus(program: str, site: Site, _: Mode) -> list[str]:
    tree = {**_scrape_config(site), "remote_write": [{"url": site.url(REMOTE_WRITE)}]}
    agent_flag_since = 3
    return [
        program,
        "--agent" if major_version(program) >= agent_flag_since else "--enable-feature=agent",
        f"--config.file={site.write('prometheus.yaml', tree)}",
        f"--storage.agent.path={site.folder / 'prometheus'}",
        f"--web.listen-address={site.listen}",
    ]


def _collector(program: str, site: Site, _: Mode) -> list[str]:
    tree = {
        "receivers": {"prometheus": {"config": _scrape_config(site)}},
        "exporters": {"otlphttp": {"endpoint": site.url(OTLP), "compression": "gzip"}},
        "service": {
            "telemetry": {"metrics": {"level": "none"}},
            "pipelines": {"metrics": {"receivers": ["prometheus"], "exporters": ["otlphttp"]}},
        },
    }
    return [program, f"--config={site.write('collector.yaml', tree)}"]


def _scrape_config(site: Site) -> dict[str, object]:
    keep_rule = {"source_labels": ["__name__"], "regex": RELAYED_NAMES, "action": "keep"}
    interval = f"{site.interval * 1000:.0f}ms"
    return {
        "global": {"scrape_interval": interval, "scrape_timeout": interval},
        "scrape_configs": [
            {
                "job_name": page,
                "metrics_path": f"/{page}",
                "static_configs": [{"targets": [f"127.0.0.1:{site.endpoints_port}"]}],
                "metric_relabel_configs": [keep_rule],
            }
            for page in site.pages
        ],
    }


SUBJECTS: Final[Sequence[Subject]] = (
    Subject(
        EXPORTER,
        lambda: sys.executable,
        _exporter,
        "rollouts_exporter_points_delivered_total",
        {"MALLOC_ARENA_MAX": "1"},
    ),
    Subject(
        "vmagent",
        lambda: find_program("vmagent"),
        _vmagent,
        "vmagent_remotewrite_global_rows_pushed_before_relabel_total",
    ),
    Subject("prometheus", lambda: find_program("prometheus"), _prometheus, "prometheus_remote_storage_samples_total"),
    Subject("collector", lambda: find_program("otelcol-contrib", "otelcol"), _collector),
)
"""All subjects, the exporter first."""
PEERS: Final = tuple(subject.name for subject in SUBJECTS if subject.name != EXPORTER)
"""The names of all others."""
