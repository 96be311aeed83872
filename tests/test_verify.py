"""A heartbeat is pushed over OTLP and read back, from correct and faulty stores, and from real ones."""

from __future__ import annotations

import asyncio
import json
import sys
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from exporter.commands.api_client import ExporterAddress
from exporter.commands.series import DERIVED_FAMILY_NAMES
from exporter.commands.verify.heartbeat import (
    HEARTBEAT_NAME,
    NotConfiguredError,
    PushError,
    ReadBackError,
    heartbeat,
    verify,
)
from exporter.config import Settings
from exporter.config.outputs import ReadSection
from exporter.metrics import MetricType
from tests.fake_store import FakeStore, as_prometheus_names, serve
from tests.real_stores import prometheus, victoria_metrics

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from exporter.commands.verify.report import VerifyReport

IDENTITY = {
    "k8s.cluster.name": "c1", "deployment.environment": "prod", "deployment.environment.name": "prod",
    "service.name": "rollouts-exporter",
}  # fmt: skip
SECRET = "cmVhZDp2ZXJ5LXNlY3JldA"
PAGE = """\
# TYPE argo_rollouts_phase gauge
argo_rollouts_phase{phase="Paused"} 1
argo_rollouts_phase{phase="Error"} 0
# TYPE rollout_reconcile_error counter
rollout_reconcile_error 3
# TYPE rollouts_exporter_points_made_total counter
rollouts_exporter_points_made_total 9
"""


def settings(push: str, read: str = "", **more: object) -> Settings:
    sections = {
        "otlp": {"endpoint": push},
        "read": {"address": read or push, "timeout": 2},
        "attributes": {key: value for key, value in IDENTITY.items() if key != "service.name"},
    }
    return Settings.parse(sections | more)


async def verify_with(store: FakeStore, seconds: float = 5.0, address: str | None = None) -> VerifyReport:
    async with serve(store):
        return await verify(settings(store.address), seconds, ExporterAddress(store.address) if address else None)


def states(report: VerifyReport) -> dict[str, str]:
    return {family.sent.name.removeprefix(HEARTBEAT_NAME): family.state for family in report.heartbeat_families}


def test_a_heartbeat_has_every_metric_type_and_the_time_as_value() -> None:
    families = heartbeat(1_700_000_000.0).families
    types = [family.type for family in families]
    assert types == [MetricType.GAUGE, MetricType.COUNTER, MetricType.COUNTER, MetricType.HISTOGRAM]
    assert {value for family in families for value in family.values} == {1_700_000_000.0}
    assert not {family.name for family in families} & DERIVED_FAMILY_NAMES


async def test_unchanged_families_are_reported_as_arrived() -> None:
    report = await verify_with(FakeStore())
    assert report.ok
    assert report.latency < 2
    assert states(report) == {"": "arrived", "s_total": "arrived", "_runs": "arrived", "_seconds": "arrived"}
    assert {mapping.attribute: mapping.label for mapping in report.identity} == {key: key for key in IDENTITY}
    assert report.added_labels == {}


async def test_changed_names_and_labels_are_reported() -> None:
    store = FakeStore(as_prometheus_names, lambda key: key.replace(".", "_"))
    report = await verify_with(store)
    assert report.ok
    assert states(report) == {"": "arrived", "s_total": "arrived", "_runs": "renamed", "_seconds": "arrived"}
    assert report.heartbeat_families[2].names == (f"{HEARTBEAT_NAME}_runs_total",)
    assert {mapping.attribute: mapping.label for mapping in report.identity} == {
        key: key.replace(".", "_") for key in IDENTITY
    }


@pytest.mark.slow
async def test_verify_polls_until_the_heartbeat_is_stored_with_distinct_queries() -> None:
    store = FakeStore(empty_responses=3, query_errors=[503, 429])
    report = await verify_with(store)
    assert report.ok
    assert report.latency > 0.8
    assert len(store.queries) == len(set(store.queries)) == 6


async def test_a_dropped_metric_type_is_missing() -> None:
    report = await verify_with(FakeStore(accepts=lambda name: not name.endswith("_seconds")), seconds=0.5)
    assert not report.ok
    assert states(report)["_seconds"] == "missing"


async def test_an_attribute_without_a_label_is_missing() -> None:
    report = await verify_with(FakeStore(translate_attribute=lambda key: None if key.startswith("deployment") else key))
    assert report.is_readable
    assert not report.ok
    missing = [mapping.attribute for mapping in report.identity if not mapping.label]
    assert missing == ["deployment.environment", "deployment.environment.name"]


@pytest.mark.slow
@pytest.mark.parametrize("earlier", [False, True])
async def test_a_heartbeat_that_is_not_stored_is_missing_after_the_timeout(*, earlier: bool) -> None:
    store = FakeStore(accepts=lambda _: False)
    if earlier:
        store.samples[HEARTBEAT_NAME, ()] = 5.0
    report = await verify_with(store, seconds=0.5)
    assert 0.5 <= report.latency < 2
    assert (report.is_readable, report.initial_delay, report.has_earlier_heartbeats) == (False, None, earlier)


async def test_a_simultaneous_heartbeat_of_another_cluster_is_ignored() -> None:
    assert (await verify_with(FakeStore(other_cluster="c2"))).ok


async def test_rejected_points_are_reported() -> None:
    report = await verify_with(FakeStore(rejected_points=1))
    assert report.message == "rejected 1 of 4 points: odd"


class TestSeriesOfARunningExporter:
    async def test_are_arrived_renamed_or_missing(self) -> None:
        store = FakeStore(page=PAGE)
        identity = tuple(IDENTITY.items())
        for phase in ("Paused", "Error"):
            store.samples["argo_rollouts_phase", (*identity, ("phase", phase))] = 1.0
        store.samples["rollout_reconcile_error_total", identity] = 3.0
        report = await verify_with(store, address="there")
        assert report.ok
        assert [(family.sent.name, family.state) for family in report.families] == [
            ("argo_rollouts_phase", "arrived"),
            ("rollout_reconcile_error", "renamed"),
        ]
        assert '{__name__=~"(.+_)?(argo_rollouts_phase|rollout_reconcile_error)' in store.queries[-1]
        assert '"k8s.cluster.name"="c1"' in store.queries[-1]

    @pytest.mark.slow
    async def test_with_missing_series_are_incomplete_or_missing(self) -> None:
        store = FakeStore(page=PAGE)
        store.samples["argo_rollouts_phase", (("phase", "Paused"),)] = 1.0
        report = await verify_with(store, seconds=1, address="there")
        assert [family.state for family in report.families] == ["incomplete", "missing"]
        assert report.is_readable
        assert not report.ok

    async def test_need_an_address_with_metrics(self) -> None:
        async with serve(FakeStore(page="<html>\n")) as store:
            with pytest.raises(NotConfiguredError, match=r"has no metrics .*; check --address"):
                await verify(settings(store.address), 1, ExporterAddress(store.address))
        assert not store.samples


@pytest.mark.slow
@pytest.mark.parametrize(
    ("troubles", "message"),
    [([401], "requires a credential"), ([404], "check read.address"), ([302], "check read.address")],
)
async def test_a_rejected_query_fails_at_once(troubles: list[int], message: str) -> None:
    with pytest.raises(ReadBackError, match=message):
        await verify_with(FakeStore(query_errors=troubles), seconds=20)


async def test_queries_that_fail_until_the_timeout_are_an_error() -> None:
    with pytest.raises(ReadBackError, match="503 Service Unavailable"):
        await verify_with(FakeStore(query_errors=[503] * 99), seconds=0.5)


@pytest.mark.slow
async def test_a_rejected_push_fails_at_once_and_a_retryable_one_is_retried() -> None:
    with pytest.raises(PushError, match=r"401 Unauthorized: push refused; see otlp\.headers, otlp\."):
        await verify_with(FakeStore(push_errors=[401]), seconds=20)
    with pytest.raises(PushError, match="does not accept the heartbeat: odd"):
        await verify_with(FakeStore(rejected_points=4), seconds=20)
    assert (await verify_with(FakeStore(push_errors=[503]))).ok


async def test_missing_settings_are_reported_with_their_names() -> None:
    with pytest.raises(NotConfiguredError, match=r"otlp\.endpoint is not set"):
        await verify(Settings(), 1)
    with pytest.raises(NotConfiguredError, match=r"read\.address is not set"):
        await verify(replace(settings("http://127.0.0.1:9"), read=ReadSection()), 1)


def write_config(file: Path, push: str, read: dict[str, str]) -> Path:
    file.write_text(json.dumps({"otlp": {"endpoint": push}, "read": read, "attributes": {"cluster": "c1"}}))
    return file


async def run_command(store: FakeStore, folder: Path, *, reads: bool = True) -> tuple[int, str, str]:
    """Run `rollouts-exporter verify --json`; return its exit status and what it wrote."""
    pipe = asyncio.subprocess.PIPE
    async with serve(store):
        read = {"address": store.address, "username": "u", "password": SECRET} if reads else {}
        file = write_config(folder / f"{id(store)}.yaml", store.address, read)
        arguments = (sys.executable, "-m", "exporter", "-c", str(file), "verify", "--timeout", "1s", "--json")
        process = await asyncio.create_subprocess_exec(*arguments, stdout=pipe, stderr=pipe)
        out, err = await process.communicate()
    assert process.returncode is not None
    return process.returncode, out.decode(), err.decode()


@pytest.mark.slow
async def test_the_exit_code_names_the_result_and_no_secret_is_printed(tmp_path: Path) -> None:
    results = await asyncio.gather(
        run_command(FakeStore(), tmp_path),
        run_command(FakeStore(accepts=lambda _: False), tmp_path),
        run_command(FakeStore(), tmp_path, reads=False),
        run_command(FakeStore(push_errors=[403]), tmp_path),
        run_command(FakeStore(query_errors=[403]), tmp_path),
    )
    assert [code for code, _, _ in results] == [0, 1, 2, 3, 4]
    assert [json.loads(out)["ok"] for _, out, _ in results[:2]] == [True, False]
    assert [err.count("error: ") for _, _, err in results] == [0, 0, 1, 1, 1]
    assert SECRET not in str(results)


@pytest.mark.slow
async def test_prometheus_behind_a_gateway_is_verified(require_program: Callable[[str], str], tmp_path: Path) -> None:
    gateway = FakeStore(as_prometheus_names, lambda key: key.replace(".", "_"))
    async with (
        serve(gateway),
        prometheus(require_program("prometheus"), tmp_path, [gateway.address.removeprefix("http://")]) as address,
    ):
        report = await verify(settings(gateway.address, address), 15)
    assert report.ok
    assert states(report) == {"": "arrived", "s_total": "arrived", "_runs": "renamed", "_seconds": "arrived"}
    labels = [mapping.label for mapping in report.identity]
    assert labels == ["deployment_environment", "deployment_environment_name", "k8s_cluster_name", "service_name"]
    assert set(report.added_labels) == {"instance", "job"}
    assert report.added_labels["job"] == "store"


@pytest.mark.slow
async def test_victoria_metrics_with_and_without_prometheus_naming_is_verified(
    require_program: Callable[[str], str], tmp_path: Path
) -> None:
    program = require_program("victoria-metrics")

    async def beat(folder: Path, *arguments: str) -> VerifyReport:
        async with victoria_metrics(program, folder, *arguments) as address:
            return await verify(settings(f"{address}/opentelemetry", address), 20)

    plain, translated = await asyncio.gather(
        beat(tmp_path / "plain"), beat(tmp_path / "translated", "-opentelemetry.usePrometheusNaming")
    )
    assert plain.ok
    assert translated.ok
    assert set(states(plain).values()) == {"arrived"}
    assert [mapping.label for mapping in plain.identity] == [mapping.attribute for mapping in plain.identity]
    assert states(translated)["_runs"] == "renamed"
    assert translated.heartbeat_families[2].names == (f"{HEARTBEAT_NAME}_runs_total",)
    assert {mapping.label for mapping in translated.identity} == {key.replace(".", "_") for key in IDENTITY}
    assert translated.added_labels["scope_name"] == "rollouts-exporter"
