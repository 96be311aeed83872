"""The collector configurations are consistent, and work in the collectors that are installed."""

from __future__ import annotations

import asyncio
import re
import shutil
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final

import pytest
import yaml

from exporter.demo.fake_backend import ReceivedMetrics, fake_backend
from exporter.demo.servers import serve_recording
from exporter.metrics import Source
from tests.chart.helm import CHART
from tests.process import start_exporter
from tests.real_stores import free_port

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

CONFIGURATIONS: Final = {path.stem: path for path in sorted((CHART / "collector").glob("*.yaml"))}
PASSWORD: Final = "not-very-secret"
AUTHORIZATION: Final = "Basic ZGVtbzpub3QtdmVyeS1zZWNyZXQ="
COLLECTORS: Final = ("otelcol", "otelcol-contrib")


def load_config(name: str) -> dict[str, Any]:
    config: dict[str, Any] = yaml.safe_load(CONFIGURATIONS[name].read_text())
    return config


@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_pipelines_use_every_component_and_only_defined_ones(name: str) -> None:
    config = load_config(name)
    (pipeline,) = config["service"]["pipelines"].values()
    for kind in ("receivers", "processors", "exporters"):
        assert set(pipeline.get(kind, [])) == set(config.get(kind, {}))


@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_header_comment_lists_the_variables_and_no_secret_is_included(name: str) -> None:
    text = CONFIGURATIONS[name].read_text()
    header = text[: text.index("receivers:")].replace("\n#", "")
    assert set(re.findall(r"\$\{env:(\w+)\}", text)) == set(re.findall(r"\b[A-Z0-9]+(?:_[A-Z0-9]+)+\b", header))
    assert load_config(name)["exporters"]["otlphttp/last9"]["headers"] == {"Authorization": "${env:LAST9_AUTH_HEADER}"}


@asynccontextmanager
async def run_collector(program: str, config: Path, **environment: str) -> AsyncIterator[None]:
    process = await asyncio.create_subprocess_exec(
        *(program, f"--config={config}", "--set=service::telemetry::metrics::level=none"),
        env=environment,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        yield
    finally:
        assert process.returncode is None, (await process.communicate())[1].decode()
        process.terminate()
        await process.communicate()


def write_exporter_config(folder: Path, targets: list[tuple[Source, str]], **more: Any) -> Path:
    """Write a configuration of the exporter that scrapes the targets four times a second."""
    sources = {
        kind.value: {"interval": "250ms", "targets": [address for source, address in targets if source is kind]}
        for kind in Source
    }
    file = folder / "config.yaml"
    file.write_text(yaml.safe_dump(sources | {"web": {"listen": "127.0.0.1:0"}} | more))
    return file


def write_collector_config(name: str, folder: Path, ports: dict[str, int]) -> Path:
    """Write a configuration of a collector that listens only on loopback, and scrapes every second."""
    text = CONFIGURATIONS[name].read_text().replace("scrape_interval: 15s", "scrape_interval: 1s")
    for fixed, free in ports.items():
        text = text.replace(f"0.0.0.0:{fixed}", f"127.0.0.1:{free}")
    assert "0.0.0.0" not in text
    file = folder / f"{name}.yaml"
    file.write_text(text)
    return file


async def wait_for_series(received: ReceivedMetrics, metric: str, **labels: str) -> dict[str, str]:
    """Wait until a series is received, and return its labels."""
    async with asyncio.timeout(30):
        while True:
            for name, pairs in received.series:
                if name == metric and labels.items() <= dict(pairs).items():
                    return dict(pairs)
            await asyncio.sleep(0.1)


@pytest.mark.parametrize("program", COLLECTORS)
@pytest.mark.parametrize("name", CONFIGURATIONS)
async def test_exported_series_arrive_through_a_collector(
    program: str, name: str, tmp_path: Path, recording: Callable[[str], Path]
) -> None:
    executable = shutil.which(program) or pytest.skip(f"{program} is not installed")
    received, started = ReceivedMetrics(), time.monotonic()
    ports = {"4318": free_port(), "4317": free_port()}
    async with (
        fake_backend(received, username="demo", password=PASSWORD) as endpoint,
        serve_recording(recording("basic-canary") / "no-state.jsonl", lambda: time.monotonic() - started) as (
            targets,
            _,
        ),
    ):
        push_settings = {
            "otlp": {"endpoint": f"http://127.0.0.1:{ports['4318']}"},
            "attributes": {"k8s.cluster.name": "c1", "deployment.environment": "test"},
        }
        config = write_exporter_config(
            tmp_path,
            [(target.source, target.address) for target in targets],
            **(push_settings if name == "receive" else {}),
        )
        async with start_exporter(config) as process:
            port = re.search(r"port (\d+)", await process.wait_for_log("serving"))
            assert port
            environment = {
                "EXPORTER_ADDRESS": f"127.0.0.1:{port[1]}",
                "LAST9_OTLP_ENDPOINT": endpoint,
                "LAST9_AUTH_HEADER": AUTHORIZATION,
                "K8S_CLUSTER_NAME": "c1",
                "DEPLOYMENT_ENVIRONMENT": "test",
            }
            async with run_collector(executable, write_collector_config(name, tmp_path, ports), **environment):
                labels = await wait_for_series(
                    received, "argo_rollouts_phase", namespace="shop", name="checkout", phase="Completed"
                )
                leader = await wait_for_series(received, "argo_rollouts_controller_leader")
    assert received.rejected == {}
    assert {labels.get("k8s.cluster.name"), labels.get("k8s_cluster_name")} == {"c1", None}
    assert leader.get("exported_instance" if name == "scrape" else "instance", "").startswith("127.0.0.1:")
