"""The collector configurations: whole by themselves, and run where a collector is at hand."""

from __future__ import annotations

import asyncio
import re
import shutil
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final

import pytest
import yaml

from exporter.demo.fake_backend import Ledger, last9
from exporter.demo.replay_server import replay
from exporter.metrics import Source
from tests.chart.helm import CHARTS
from tests.process import exporter
from tests.real_stores import free_port

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

CONFIGURATIONS: Final = {path.stem: path for path in sorted((CHARTS / "collector").glob("*.yaml"))}
PASSWORD: Final = "not-very-secret"
HEADER: Final = "Basic ZGVtbzpub3QtdmVyeS1zZWNyZXQ="
COLLECTORS: Final = ("otelcol", "otelcol-contrib")


def parsed(name: str) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(CONFIGURATIONS[name].read_text())
    return found


@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_pipelines_name_what_there_is_and_nothing_stands_unused(name: str) -> None:
    config = parsed(name)
    (pipeline,) = config["service"]["pipelines"].values()
    for kind in ("receivers", "processors", "exporters"):
        assert set(pipeline.get(kind, [])) == set(config.get(kind, {}))


@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_what_it_needs_is_told_and_no_secret_stands_in_it(name: str) -> None:
    text = CONFIGURATIONS[name].read_text()
    told = text[: text.index("receivers:")].replace("\n#", "")
    assert set(re.findall(r"\$\{env:(\w+)\}", text)) == set(re.findall(r"\b[A-Z0-9]+(?:_[A-Z0-9]+)+\b", told))
    assert parsed(name)["exporters"]["otlphttp/last9"]["headers"] == {"Authorization": "${env:LAST9_AUTH_HEADER}"}


@asynccontextmanager
async def collecting(program: str, config: Path, **environment: str) -> AsyncIterator[None]:
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


def settings(folder: Path, played: list[tuple[Source, str]], **more: Any) -> Path:
    """Write a configuration of the exporter that asks these targets four times a second."""
    sources = {
        kind.value: {"interval": "250ms", "targets": [address for source, address in played if source is kind]}
        for kind in Source
    }
    file = folder / "config.yaml"
    file.write_text(yaml.safe_dump(sources | {"web": {"listen": "127.0.0.1:0"}} | more))
    return file


def on_loopback(name: str, folder: Path, ports: dict[str, int]) -> Path:
    """Write a collector's configuration that listens on loopback alone, and scrapes sooner."""
    text = CONFIGURATIONS[name].read_text().replace("scrape_interval: 15s", "scrape_interval: 1s")
    for fixed, free in ports.items():
        text = text.replace(f"0.0.0.0:{fixed}", f"127.0.0.1:{free}")
    assert "0.0.0.0" not in text
    file = folder / f"{name}.yaml"
    file.write_text(text)
    return file


async def arrived(ledger: Ledger, metric: str, **labels: str) -> dict[str, str]:
    """Wait until a series is in the ledger, and return its labels."""
    async with asyncio.timeout(30):
        while True:
            for name, pairs in ledger.series:
                if name == metric and labels.items() <= dict(pairs).items():
                    return dict(pairs)
            await asyncio.sleep(0.1)


@pytest.mark.parametrize("program", COLLECTORS)
@pytest.mark.parametrize("name", CONFIGURATIONS)
async def test_what_the_exporter_says_arrives_through_a_collector(
    program: str, name: str, tmp_path: Path, recording: Callable[[str], Path]
) -> None:
    found = shutil.which(program) or pytest.skip(f"{program} is not installed")
    ledger, began = Ledger(), time.monotonic()
    ports = {"4318": free_port(), "4317": free_port()}
    async with (
        last9(ledger, username="demo", password=PASSWORD) as endpoint,
        replay(recording("basic-canary") / "no-state.jsonl", lambda: time.monotonic() - began) as (played, _),
    ):
        pushing = {
            "otlp": {"endpoint": f"http://127.0.0.1:{ports['4318']}"},
            "attributes": {"k8s.cluster.name": "c1", "deployment.environment": "test"},
        }
        config = settings(
            tmp_path, [(one.source, one.address) for one in played], **(pushing if name == "receive" else {})
        )
        async with exporter(config) as process:
            port = re.search(r"port (\d+)", await process.say("serving"))
            assert port
            environment = {
                "EXPORTER_ADDRESS": f"127.0.0.1:{port[1]}",
                "LAST9_OTLP_ENDPOINT": endpoint,
                "LAST9_AUTH_HEADER": HEADER,
                "K8S_CLUSTER_NAME": "c1",
                "DEPLOYMENT_ENVIRONMENT": "test",
            }
            async with collecting(found, on_loopback(name, tmp_path, ports), **environment):
                labels = await arrived(
                    ledger, "argo_rollouts_phase", namespace="shop", name="checkout", phase="Completed"
                )
                leader = await arrived(ledger, "argo_rollouts_controller_leader")
    assert ledger.refused == {}
    assert {labels.get("k8s.cluster.name"), labels.get("k8s_cluster_name")} == {"c1", None}
    assert leader.get("exported_instance" if name == "scrape" else "instance", "").startswith("127.0.0.1:")
