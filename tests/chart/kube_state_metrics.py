"""Runs the chart's own kube-state-metrics, with its arguments and rights, against recorded objects.

`python -m tests.chart.kube_state_metrics --write` writes what it asked for, with the program kube-state-metrics 2.20.0.
"""

from __future__ import annotations

import asyncio
import json
import shutil
import sys
import tempfile
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import aiohttp
import yaml

from tests.chart.helm import documents, find_manifest, render
from tests.chart.kubernetes_api import KubernetesApi, Request, rights_of, serve
from tests.real_stores import free_port

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.chart.conftest import Manifests

VARIANTS: Final = {
    "all namespaces": ("--set", "rolloutState.create=true"),
    "namespaces": ("--set", "rolloutState.create=true,rolloutState.namespaces={shop,pay}"),
}
ASKED: Final = Path(__file__).with_name("kube_state_metrics.json")
"""By variant: the arguments of each process, and what it asked the API server for."""
SETTLED_SECONDS: Final = 60
"""Cap of a wait; kube-state-metrics looks for CRDs every three seconds."""


@dataclass(frozen=True, slots=True)
class OwnKubeStateMetrics:
    """The rendered Deployment: arguments by container, its service account, and the file that it mounts."""

    arguments: dict[str, list[str]]
    account: str
    configuration: str


def find_program() -> str | None:
    """Return the path of kube-state-metrics, which CI does not install: its build takes minutes."""
    return shutil.which("kube-state-metrics")


def own_kube_state_metrics(manifests: Manifests) -> OwnKubeStateMetrics:
    """Return what a release renders for its own kube-state-metrics."""
    pod = find_manifest(manifests, "Deployment", "-rollout-state")["spec"]["template"]["spec"]
    return OwnKubeStateMetrics(
        {container["name"]: container["args"] for container in pod["containers"]},
        pod["serviceAccountName"],
        find_manifest(manifests, "ConfigMap", "-rollout-state")["data"]["rollout-state.yaml"],
    )


@asynccontextmanager
async def run(program: str, arguments: list[str], server: str, rendered: OwnKubeStateMetrics) -> AsyncIterator[str]:
    """Run one process and yield the address of its page."""
    with tempfile.TemporaryDirectory() as folder:
        configuration, kubeconfig = Path(folder) / "rollout-state.yaml", Path(folder) / "kubeconfig"
        configuration.write_text(rendered.configuration)
        cluster = {"name": "one", "cluster": {"server": server}}
        context = {"name": "one", "context": {"cluster": "one", "user": ""}}
        kubeconfig.write_text(yaml.safe_dump({"clusters": [cluster], "contexts": [context], "current-context": "one"}))
        port = free_port()
        local = [
            argument.replace("/etc/kube-state-metrics/rollout-state.yaml", str(configuration))
            for argument in arguments
            if not argument.startswith(("--port=", "--telemetry-port="))
        ]
        own_arguments = [f"--port={port}", f"--telemetry-port={free_port()}", f"--kubeconfig={kubeconfig}"]
        process = await asyncio.create_subprocess_exec(
            program,
            *local,
            *own_arguments,
            "--host=127.0.0.1",
            "--telemetry-host=127.0.0.1",
            stderr=asyncio.subprocess.DEVNULL,
        )
        try:
            yield f"http://127.0.0.1:{port}/metrics"
        finally:
            process.terminate()
            await process.wait()


async def read_page(address: str, last_family: str) -> str:
    """Return the page, once it has a sample of a family."""
    async with asyncio.timeout(SETTLED_SECONDS), aiohttp.ClientSession() as session:
        while True:
            try:
                async with session.get(address) as response:
                    page = await response.text()
            except aiohttp.ClientError:
                page = ""  # it does not listen yet
            if f"\n{last_family}{{" in page:
                return page
            await asyncio.sleep(0.1)


LAST_FAMILIES: Final = {"objects": "kube_replicaset_owner", "rollouts": "kube_customresource_experiment_status_info"}
"""A family that is on the page once everything is."""


async def pages_and_requests(program: str, manifests: Manifests) -> tuple[dict[str, str], dict[str, KubernetesApi]]:
    """Return the page of each process, and the API that it asked."""
    rendered = own_kube_state_metrics(manifests)
    rights = rights_of(manifests, rendered.account)
    pages, apis = {}, {}
    for name, arguments in rendered.arguments.items():
        apis[name] = api = KubernetesApi(rights)
        async with serve(api) as server, run(program, arguments, server, rendered) as address:
            pages[name] = await read_page(address, LAST_FAMILIES[name])
    return pages, apis


def recorded(variant: str) -> dict[str, dict[str, Any]]:
    """Return arguments and requests by process, as they were written."""
    processes: dict[str, dict[str, Any]] = json.loads(ASKED.read_text())[variant]
    return {
        name: {"arguments": process["arguments"], "requests": {Request(*request) for request in process["requests"]}}
        for name, process in processes.items()
    }


def main() -> None:
    """Write the arguments and requests of each process."""
    asked = {}
    for variant, values in VARIANTS.items():
        manifests = documents(render(*values))
        _, apis = asyncio.run(pages_and_requests("kube-state-metrics", manifests))
        arguments = own_kube_state_metrics(manifests).arguments
        asked[variant] = {
            name: {"arguments": arguments[name], "requests": sorted(api.allowed)} for name, api in apis.items()
        }
        for api in apis.values():
            if api.refused:
                sys.exit(f"refused: {sorted(api.refused)}")
    ASKED.write_text(json.dumps(asked, indent=1) + "\n")


if __name__ == "__main__":
    if sys.argv[1:] != ["--write"]:
        sys.exit("python -m tests.chart.kube_state_metrics --write")
    main()
