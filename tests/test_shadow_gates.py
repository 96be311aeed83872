"""Shadow gates report what they would have done with real updates, and can do no harm."""

from __future__ import annotations

import asyncio
import json
import logging
import socket
import time
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from aiohttp import ClientSession, web
from click.testing import CliRunner

from exporter import manual
from exporter.cli import main
from exporter.config import ConfigError, load
from exporter.config.report import as_yaml
from exporter.demo.fake_backend import ReceivedMetrics, fake_backend
from exporter.demo.servers import serve_cluster
from exporter.demo.simulator.cluster import SimulatedCluster
from exporter.demo.simulator.objects import BlueGreenStrategy, CanaryStrategy, Pause, RolloutSpec, SetWeight
from exporter.metrics import Source
from exporter.net.auth import basic_auth
from exporter.rollouts.model import RevisionHashes, UpdateState
from exporter.self_metrics import OwnMetric, SelfMetrics
from exporter.service import shadow
from exporter.service.app import App
from exporter.service.shadow import MAX_RUNS, REASONS, THRESHOLD, VALUE, VERDICT, ShadowGates
from tests.test_public_formats import full_rollout

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping
    from pathlib import Path

    from exporter.rollouts.model import Rollout

PASSWORD = "read-password-4711"
TEMPLATE_TOKEN = "template-token-0815"
DECIDED = "shadow gate decided"
CANARY = CanaryStrategy((SetWeight(25), Pause()))
SPEC = RolloutSpec("shop", "checkout", "app:v1", 4, CANARY)


@dataclass
class Store:
    """A stand-in for a store: answers every query with `value`, after `release` is set."""

    value: float = 0.5
    status: int = 200
    release: asyncio.Event = field(default_factory=asyncio.Event)
    queries: list[str] = field(default_factory=list)
    credentials: set[str] = field(default_factory=set)
    at_once: int = 0
    most_at_once: int = 0
    length: int = 0

    async def query(self, request: web.Request) -> web.Response:
        form = await request.post()
        self.queries.append(str(form["query"]))
        self.credentials.add(request.headers.get("Authorization", ""))
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            await self.release.wait()
        finally:
            self.at_once -= 1
        if self.status != 200:
            return web.Response(status=self.status, text=request.headers.get("Authorization", ""))
        result = [{"metric": {"pad": "x" * self.length}, "value": [time.time(), str(self.value)]}]
        document = {"status": "success", "data": {"resultType": "vector", "result": result}}
        return web.Response(text=json.dumps(document), content_type="application/json")


@asynccontextmanager
async def serve(store: Store) -> AsyncIterator[str]:
    app = web.Application()
    app.router.add_post("/api/v1/query", store.query)
    runner = web.AppRunner(app, shutdown_timeout=0.01, handler_cancellation=True)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


def template(**metric: Any) -> dict[str, Any]:
    provider = {
        "address": "http://elsewhere.invalid",
        "query": 'errors{service="{{args.service-name}}", hash="{{args.canary-hash}}"}',
        "headers": [{"key": "Authorization", "value": f"Bearer {TEMPLATE_TOKEN}"}],
    }
    fields = {
        "name": "error-rate",
        "interval": "300ms",
        "failureLimit": 1,
        "failureCondition": "len(result) > 0 && result[0] >= 0.1",
        "successCondition": "len(result) > 0 && result[0] < 0.1",
        "provider": {"prometheus": provider},
    }
    arguments = [{"name": "service-name"}, {"name": "canary-hash"}]
    return {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "AnalysisTemplate",
        "metadata": {"name": "errors"},
        "spec": {"args": arguments, "metrics": [fields | metric]},
    }


def write_gate(folder: Path, *documents: Mapping[str, Any]) -> str:
    file = folder / "gate.yaml"
    file.write_text(yaml.safe_dump_all(documents or [template()]))
    return str(file)


@dataclass
class RunningExporter:
    """An exporter in this process: its page, what it pushed, and the cluster that it scrapes."""

    url: str
    received: ReceivedMetrics
    cluster: SimulatedCluster

    async def page(self) -> str:
        async with ClientSession() as session, session.get(f"{self.url}/metrics") as response:
            return await response.text()

    async def sees(self, *texts: str) -> str:
        """Wait until a line of the page has all texts; return it."""
        async with asyncio.timeout(15):
            while True:
                page = await self.page()
                line = next((line for line in page.splitlines() if all(text in line for text in texts)), "")
                if line:
                    return line
                await asyncio.sleep(0.1)

    async def waits_until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(15):
            while not condition():
                await asyncio.sleep(0.05)


@asynccontextmanager
async def exporter(
    store_address: str, gates: list[dict[str, Any]], spec: RolloutSpec = SPEC, **read: object
) -> AsyncIterator[RunningExporter]:
    cluster = SimulatedCluster(1, start=time.time() - 20)
    cluster.create(spec)
    cluster.advance(time.time())
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    received, stop = ReceivedMetrics(), asyncio.Event()
    async with (
        fake_backend(received, username="demo", password="demo") as endpoint,
        serve_cluster(cluster, lambda: cluster.advance(time.time())) as targets,
    ):
        settings = {
            "argo": {"targets": targets[Source.ARGO], "interval": "250ms"},
            "kube_state_metrics": {"targets": targets[Source.KUBE_STATE_METRICS], "interval": "250ms"},
            "otlp": {"endpoint": endpoint, "headers": {"Authorization": basic_auth("demo", "demo")}},
            "read": {"address": store_address, "username": "reader", "password": PASSWORD, **read},
            "gates": gates,
            "attributes": {"k8s.cluster.name": "test"},
            "web": {"listen": f"127.0.0.1:{port}"},
        }
        task = asyncio.create_task(App(load(None, {}, settings), "test").run(stop))
        running = RunningExporter(f"http://127.0.0.1:{port}", received, cluster)
        try:
            await running.waits_until(lambda: bool(received.requests) or task.done())
            yield running
        finally:
            stop.set()
            await task


LABELS = 'name="checkout",namespace="shop"'


@pytest.mark.slow
async def test_a_gate_is_evaluated_beside_an_update_and_reports_what_it_would_have_done(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    store = Store()
    async with serve(store) as address, exporter(address, [{"template": write_gate(tmp_path)}]) as running:
        store.release.set()
        await running.sees("rollouts_exporter_cycles_total{", "} 3")
        assert VALUE not in await running.page()
        assert not store.queries
        running.cluster.deploy("shop", "checkout", "app:v2")
        assert (await running.sees(VALUE, LABELS, 'gate="errors",metric="error-rate"')).endswith(" 0.5")
        await running.sees(THRESHOLD, LABELS, 'condition="failure"', 'operator=">="', " 0.1")
        await running.sees(THRESHOLD, LABELS, 'condition="success"', 'operator="<"', " 0.1")
        await running.sees(VERDICT, LABELS, 'verdict="stopped"', "} 1")
        await running.sees(VERDICT, LABELS, 'verdict="undecided"', "} 0")
        (query,) = set(store.queries)
        assert query.startswith('errors{service="checkout", hash="')
        assert 'hash=""' not in query
        await running.waits_until(lambda: any(name == VERDICT for name, _ in running.received.series))
        running.cluster.promote_full("shop", "checkout")
        await running.waits_until(lambda: any(name == VERDICT for name, _ in running.received.stale))
        assert not any(name in {VALUE, VERDICT, THRESHOLD} for name, _ in running.received.series)
        assert VALUE not in await running.page()
    (decided,) = [record for record in caplog.records if record.message == DECIDED]
    context = vars(decided)["fields"]
    assert (context["verdict"], context["namespace"], context["name"]) == ("stopped", "shop", "checkout")


@pytest.mark.slow
async def test_the_preview_of_a_blue_green_update_is_watched(tmp_path: Path) -> None:
    store, spec = Store(value=0.0), replace(SPEC, strategy=BlueGreenStrategy(manual=True))
    store.release.set()
    gate = {"template": write_gate(tmp_path, template(count=2)), "rollouts": ["shop/*"]}
    async with serve(store) as address, exporter(address, [gate], spec) as running:
        running.cluster.deploy("shop", "checkout", "app:v2")
        await running.sees(VERDICT, LABELS, 'verdict="passed"', "} 1")


@pytest.mark.slow
async def test_a_store_that_hangs_slows_neither_cycles_nor_pages(tmp_path: Path) -> None:
    store, metrics = Store(), []
    for number in range(9):
        (metric,) = template(name=f"m{number}")["spec"]["metrics"]
        metrics.append(metric)
    document = template()
    document["spec"]["metrics"] = metrics
    gates = [{"template": write_gate(tmp_path, document)}]
    async with serve(store) as address, exporter(address, gates, timeout="400ms") as running:
        running.cluster.deploy("shop", "checkout", "app:v2")
        await running.waits_until(lambda: store.at_once > 0)
        requests = running.received.requests
        started = time.monotonic()
        await running.waits_until(lambda: running.received.requests >= requests + 4)
        assert time.monotonic() - started < 5
        await running.waits_until(lambda: len(store.queries) > 8)
        assert store.most_at_once <= shadow.CONCURRENT_QUERIES
        await running.sees('shadow_gate_errors_total{instance="test",reason="query"} 9')
        await running.sees('rollouts_exporter_cycles_failed_total{instance="test"} 0')


async def test_the_credential_is_that_of_read_and_appears_nowhere(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    store = Store(status=401)
    store.release.set()
    async with serve(store) as address, exporter(address, [{"template": write_gate(tmp_path)}]) as running:
        running.cluster.deploy("shop", "checkout", "app:v2")
        await running.waits_until(lambda: "shadow gate is not evaluated" in caplog.text)
        page = await running.page()
    assert store.credentials == {basic_auth("reader", PASSWORD)}
    output = page + "".join(str(vars(record)) for record in caplog.records)
    output += "".join(str(series) for series in running.received.series)
    for secret in (PASSWORD, TEMPLATE_TOKEN, basic_auth("reader", PASSWORD).partition(" ")[2]):
        assert secret not in output


# Bounds and errors, without an exporter -------------------------------------------------------------------------------


def shadow_gates(
    folder: Path, address: str = "http://127.0.0.1:1", gates: list[dict[str, Any]] | None = None
) -> tuple[ShadowGates, SelfMetrics]:
    gates = gates or [{"template": write_gate(folder)}]
    settings = load(None, {}, {"read": {"address": address}, "gates": gates}).settings
    self_metrics = SelfMetrics("test", 0.0)
    return ShadowGates(settings, self_metrics), self_metrics


def updating(name: str = "checkout", pod_hash: str = "6f9c", state: UpdateState = UpdateState.UPDATING) -> Rollout:
    rollout = full_rollout()
    hashes = RevisionHashes(pod_hash, "5c")
    return replace(rollout, key=("shop", name), state=replace(rollout.state, update_state=state, hashes=hashes))


def errors(self_metrics: SelfMetrics) -> dict[str, float]:
    name = OwnMetric.SHADOW_GATE_ERRORS.value.name
    (family,) = [family for family in self_metrics.families() if family.name == name]
    return {series.label("reason"): value for series, value in family.samples() if value}


def verdict(gates: ShadowGates) -> dict[str, str]:
    """Return the verdict of each rollout."""
    (family,) = [family for family in gates.families() if family.name == VERDICT]
    return {series.label("name"): series.label("verdict") for series, value in family.samples() if value}


async def test_runs_are_bounded_and_the_rest_is_counted_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    gates, self_metrics = shadow_gates(tmp_path)
    rollouts = [updating(f"r{number}") for number in range(MAX_RUNS + 50)]
    for _ in range(3):
        gates.observe(rollouts)
    assert len(verdict(gates)) == MAX_RUNS
    assert errors(self_metrics)["limit"] == 50
    gates.observe(rollouts[100:])
    assert set(verdict(gates)) == {rollout.key[1] for rollout in rollouts[100:]}
    assert errors(self_metrics)["limit"] == 50
    assert sum(vars(record)["fields"]["reason"] == "limit" for record in caplog.records) == 1
    await gates.aclose()


async def test_a_run_ends_with_its_update_and_another_revision_starts_another(tmp_path: Path) -> None:
    gates, _ = shadow_gates(tmp_path)
    gates.observe([updating()])
    first = gates.families()
    assert gates.take_push() == (first, ())
    gates.observe([updating(state=UpdateState.UNKNOWN)])
    assert gates.families() is first
    gates.observe([updating(pod_hash="77")])
    assert verdict(gates) == {"checkout": "undecided"}
    gates.observe([updating(pod_hash="77", state=UpdateState.ABORTED)])
    _, stale = gates.take_push()
    assert {series.label("verdict") for family in stale for series in family.series} >= {"undecided", "stopped"}
    assert gates.families() == ()
    assert gates.take_push() == ((), ())
    await gates.aclose()


async def test_of_gates_with_one_template_the_first_that_matches_applies(tmp_path: Path) -> None:
    file, store = write_gate(tmp_path), Store()
    special = {"template": file, "rollouts": ["shop/checkout"], "args": {"service-name": "special"}}
    async with serve(store) as address:
        gates, _ = shadow_gates(tmp_path, address, [special, {"template": file}])
        gates.observe([updating(), updating("cart")])
        async with asyncio.timeout(5):
            while len(store.queries) < 2:
                await asyncio.sleep(0.02)
        await gates.aclose()
    services = sorted(query.partition('service="')[2].partition('"')[0] for query in store.queries)
    assert services == ["cart", "special"]


async def test_an_unexpected_error_is_counted_and_harms_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(record: logging.LogRecord) -> bool:
        if record.getMessage() == DECIDED:
            raise RuntimeError("broken log")
        return True

    monkeypatch.setattr(logging.getLogger("exporter.service.shadow"), "filters", [fails])
    caplog.set_level(logging.INFO)
    store = Store()
    store.release.set()
    async with serve(store) as address:
        gates, self_metrics = shadow_gates(tmp_path, address)
        gates.observe([updating()])
        async with asyncio.timeout(5):
            while not errors(self_metrics):
                await asyncio.sleep(0.02)
        assert errors(self_metrics) == {"unexpected": 1}
        gates.observe([None])  # type: ignore[list-item] # nothing that a tracker returns
        assert errors(self_metrics) == {"unexpected": 2}
        await gates.aclose()


async def test_a_decision_is_logged_with_its_update_and_verdict(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    store = Store()
    store.release.set()
    async with serve(store) as address:
        gates, _ = shadow_gates(tmp_path, address)
        gates.observe([updating()])
        async with asyncio.timeout(5):
            while not (decided := [record for record in caplog.records if record.message == DECIDED]):
                await asyncio.sleep(0.02)
        await gates.aclose()
    context = {"namespace": "shop", "name": "checkout", "gate": "errors", "hash": "6f9c", "verdict": "stopped"}
    assert [vars(record)["fields"].items() >= context.items() for record in decided] == [True]


async def test_a_long_response_is_an_error(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    store = Store(length=shadow.MAX_RESPONSE)
    store.release.set()
    async with serve(store) as address:
        gates, self_metrics = shadow_gates(tmp_path, address)
        gates.observe([updating()])
        async with asyncio.timeout(5):
            while "query" not in errors(self_metrics):
                await asyncio.sleep(0.02)
        await gates.aclose()
    assert "more than 1 MiB" in str([vars(record) for record in caplog.records])


async def test_a_gate_that_can_no_longer_be_read_is_an_error_and_the_others_go_on(tmp_path: Path) -> None:
    gone, file = tmp_path / "gone.yaml", write_gate(tmp_path)
    gone.write_text("kind: Rollout")
    gates, self_metrics = shadow_gates(tmp_path, gates=[{"template": str(gone)}, {"template": file}])
    assert errors(self_metrics) == {"template": 1}
    gates.observe([updating()])
    assert verdict(gates) == {"checkout": "undecided"}
    await gates.aclose()


def test_every_reason_is_documented() -> None:
    text = (manual.FOLDER / "gates.md").read_text()
    assert all(f"`{reason}`" in text for reason in REASONS)


# Settings -------------------------------------------------------------------------------------------------------------

BAD_CONDITION = template(failureCondition="result[0] >=")
OTHER_PROVIDER = template(provider={"datadog": {"query": "x"}})
SECOND = template() | {"metadata": {"name": "second"}}


@pytest.mark.parametrize(
    ("documents", "args", "message"),
    [
        ([], {}, ""),
        ([template()], {"service-name": "a", "nothing": "b"}, "the template has no argument nothing"),
        ([BAD_CONDITION], {}, "metric error-rate: "),
        ([OTHER_PROVIDER], {}, "metric error-rate uses datadog; only prometheus is evaluated here"),
        ([template(), SECOND], {}, "it has several gates: errors, second; write each into a file of its own"),
        ([{"kind": "Rollout"}], {}, "the file contains no AnalysisTemplate"),
    ],
)
def test_check_validates_the_templates(
    tmp_path: Path, documents: list[dict[str, Any]], args: dict[str, str], message: str
) -> None:
    config = tmp_path / "config.yaml"
    gate = {"template": write_gate(tmp_path, *documents), "args": args}
    config.write_text(yaml.safe_dump({"read": {"address": "http://store:9090"}, "gates": gate}))
    result = CliRunner().invoke(main, ["check", str(config)])
    assert result.exit_code == (2 if message else 0), result.output
    assert f"error: gates.template: {tmp_path}/gate.yaml: {message}" in result.output if message else True


@pytest.mark.parametrize(
    ("settings", "issue"),
    [
        ({"gates": {"rollouts": ["shop/*"]}}, "gates.template: is not set; write the file of an AnalysisTemplate"),
        ({"gates": {"template": "FILE", "rollouts": ["checkout"]}}, "gates.rollouts"),
        ({"gates": [{"template": "FILE"}, {"template": "/none/gate.yaml"}]}, "gates[1].template: /none/gate.yaml"),
        ({"gates": {"template": "FILE", "rolouts": []}}, 'unknown key "rolouts" in gates'),
        ({"gates": {"template": "FILE"}, "read": {}}, "gates: there is no store to query; set `read.address`"),
        ({"gates": {"template": "FILE"}, "series.derive": False}, "gates: updates are unknown without derived series"),
    ],
)
def test_settings_are_validated(tmp_path: Path, settings: dict[str, Any], issue: str) -> None:
    written = json.loads(json.dumps(settings).replace("FILE", write_gate(tmp_path)))
    with pytest.raises(ConfigError) as error:
        load(None, {}, {"read": {"address": "http://store:9090"}} | written)
    assert issue in str([str(each) for each in error.value.issues]).replace("'", '"').replace('\\"', '"')


def test_a_list_of_gates_replaces_that_of_the_file_and_an_empty_one_switches_them_off(tmp_path: Path) -> None:
    template_file, file = write_gate(tmp_path), tmp_path / "config.yaml"
    gates = [{"template": template_file, "args": {"a.b": "1"}}, {"template": template_file, "rollouts": ["a/*"]}]
    file.write_text(yaml.safe_dump({"read": {"address": "http://store:9090"}, "gates": gates}))
    loaded = load(file, {})
    assert [gate.rollouts for gate in loaded.settings.gates] == [(), ("a/*",)]
    assert loaded.settings.gates[0].args == {"a.b": "1"}
    assert load(file, {"ROLLOUTS_EXPORTER_GATES": "[]"}).settings.gates == ()
    single = load(file, {"ROLLOUTS_EXPORTER_GATES": json.dumps(gates[:1]), "ROLLOUTS_EXPORTER_GATES__ROLLOUTS": "b/*"})
    assert [gate.rollouts for gate in single.settings.gates] == [("b/*",)]
    with pytest.raises(ConfigError, match="there are several gates"):
        load(file, {"ROLLOUTS_EXPORTER_GATES__ROLLOUTS": "b/*"})
    for output in (loaded, single):
        again = tmp_path / "again.yaml"
        again.write_text(as_yaml(output))
        assert load(again, {}).settings == output.settings


def test_without_gates_none_is_loaded() -> None:
    assert load(None, {}).settings.gates == ()
    assert load(None, {}, {"gates": []}).settings.gates == ()
