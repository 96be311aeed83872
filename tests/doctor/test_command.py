"""The command `doctor`: exit codes, output, the archive, and the healthy demo, as a process on real sockets."""

from __future__ import annotations

import asyncio
import json
import sys
import tarfile
import time
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING

import pytest

from exporter.commands.doctor.bundle import BundleError, write_bundle
from exporter.demo.command import DEMO_CREDENTIALS
from exporter.demo.fake_backend import ReceivedMetrics, fake_backend
from exporter.demo.servers import serve_cluster
from exporter.demo.simulator.scenario import Scenario
from exporter.net.auth import basic_auth
from tests.doctor.world import answer, serve

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

SECRET = "hush4711hush"


async def run(directory: Path, *arguments: str, config: str, **environment: str) -> tuple[int, str, str]:
    """Run `doctor` with a configuration; return its exit status, output and errors."""
    file = directory / "config.yaml"
    file.write_text(config)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "exporter", "-c", str(file), "doctor", *arguments),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={"PYTHONPATH": sys.path[0], "PYTHONIOENCODING": "utf-8", **environment},
        cwd=".",
    )
    async with asyncio.timeout(60):
        output, errors = await process.communicate()
    return process.returncode or 0, output.decode(), errors.decode()


@asynccontextmanager
async def demo() -> AsyncIterator[str]:
    """Serve what the demo serves; yield a configuration for it."""
    scenario = Scenario(time.time())
    username, password = DEMO_CREDENTIALS
    async with AsyncExitStack() as stack:
        received = ReceivedMetrics()
        endpoint = await stack.enter_async_context(fake_backend(received, username=username, password=password))
        cluster = serve_cluster(scenario.cluster, lambda: scenario.advance(time.time()), details=True)
        addresses = await stack.enter_async_context(cluster)
        targets = "".join(f"{source}: {{targets: {list(names)}}}\n" for source, names in addresses.items())
        headers = f"headers: {{authorization: {basic_auth(username, password)}}}"
        yield (
            f"{targets}otlp: {{endpoint: '{endpoint}', {headers}}}\nattributes: {{k8s.cluster.name: demo}}\n"
            "web: {listen: '127.0.0.1:0'}\n"
        )
        assert received.points == 0


@pytest.mark.slow
async def test_the_healthy_demo_has_no_finding(tmp_path: Path) -> None:
    async with demo() as config:
        with_storage = f"{config}storage: {{directory: {tmp_path}/storage}}\n"
        code, output, errors = await run(tmp_path, config=with_storage)
        assert (code, errors) == (0, "")
        assert output.startswith("nothing found; looked at argo 2, kube_state_metrics 1, rollout_state 1; http://")
        assert not (tmp_path / "storage").exists()  # nothing was changed


@pytest.mark.slow
async def test_findings_are_grouped_with_their_remedies_and_the_archive_has_all_but_secrets(tmp_path: Path) -> None:
    page = f'# TYPE rollout_info gauge\nrollout_info{{name="a",namespace="n",phase="Completed",x="{SECRET}"}} 1\n'
    async with serve(answer(page)) as argo, serve(answer("password: opensesame9", 403)) as kube:
        config = (
            f"argo: {{targets: ['{argo}'], headers: {{x-token: {SECRET}}}}}\n"
            f"kube_state_metrics: {{targets: ['{kube}']}}\n"
            f"web: {{listen: '127.0.0.1:0'}}\nstorage: {{directory: {tmp_path}}}\n"
        )
        code, output, errors = await run(
            *(tmp_path, "--bundle", str(tmp_path / "help.tar.gz")), config=config, OTEL_EXPORTER_OTLP_HEADERS="a=b"
        )
        assert (code, errors) == (1, "")
        lines = output.splitlines()
        assert lines[0] == "targets"
        assert lines[1].startswith(f"  error: kube_state_metrics {kube}: HTTP 403")
        assert lines[1].endswith("[target-forbidden]")
        assert lines[2].startswith("    → set a credential: kube_state_metrics.bearer_token_file")
        assert "kubectl create clusterrolebinding" in lines[2]

        code, output, _ = await run(tmp_path, "--json", "--only", "targets", config=config)
        assert code == 1
        (finding,) = json.loads(output)["findings"]
        assert list(finding) == ["id", "group", "level", "subject", "evidence", "remedy"]
        assert finding["id"] == "target-forbidden"
        code, output, _ = await run(tmp_path, "--only", "otlp", "--only", "clock-skew", config=config)
        assert (code, output.splitlines()[0][:13]) == (0, "nothing found")

    assert (tmp_path / "help.tar.gz").stat().st_mode & 0o777 == 0o600
    with tarfile.open(tmp_path / "help.tar.gz") as archive:
        texts = {name: archive.extractfile(name).read().decode() for name in archive.getnames()}  # type: ignore[union-attr]
    names = [name.removeprefix("rollouts-exporter/") for name in texts]
    assert {"findings.json", "settings.yaml", "environment.txt", "versions.txt", "storage.txt"} < set(names)
    assert sum(name.startswith("pages/") for name in names) == 2
    everything = "".join(texts.values())
    assert SECRET not in everything
    assert "opensesame9" not in everything
    assert "OTEL_EXPORTER_OTLP_HEADERS" in texts["rollouts-exporter/environment.txt"]
    assert "x-token: ***" in texts["rollouts-exporter/settings.yaml"]
    assert "rollout_info{" in everything


@pytest.mark.slow
async def test_it_exits_with_2_if_it_could_not_look(tmp_path: Path) -> None:
    for arguments, config in ((("--only", "nothing"), ""), ((), "argo: [")):
        code, output, errors = await run(tmp_path, *arguments, config=config)
        assert (code, output) == (2, "")
        assert errors


@pytest.mark.slow
async def test_an_invalid_setting_is_a_finding_and_the_rest_is_looked_at(tmp_path: Path) -> None:
    async with serve(answer("no", 401)) as address:
        config = f"argo: {{targets: ['{address}']}}\nkube_state_metrics: {{targets: []}}\notlp: {{timeout: soon}}\n"
        code, output, _ = await run(tmp_path, config=config)
    assert code == 1
    assert "config.yaml:3: otlp.timeout: 'soon' is not a duration [setting]" in output
    assert "[target-unauthorized]" in output


def test_an_archive_that_cannot_be_written_names_its_file(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match=r"x/y\.tar\.gz cannot be written: No such file or directory; choose another"):
        write_bundle(tmp_path / "x" / "y.tar.gz", [])


def test_an_archive_is_readable_for_its_owner_alone_also_in_a_file_that_existed(tmp_path: Path) -> None:
    file = tmp_path / "help.tar.gz"
    file.write_text("old")
    file.chmod(0o644)
    write_bundle(file, [])
    assert file.stat().st_mode & 0o777 == 0o600
    link = tmp_path / "link.tar.gz"
    link.symlink_to(file)
    with pytest.raises(BundleError):
        write_bundle(link, [])
