from __future__ import annotations

import gzip
from typing import TYPE_CHECKING

import pytest
from aiohttp import ClientSession, ServerDisconnectedError

from exporter.demo.servers import PATH, serve_cluster
from exporter.demo.simulator.cluster import SimulatedCluster
from exporter.demo.simulator.objects import CanaryStrategy, RolloutSpec, SetWeight
from exporter.metrics import Source

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

TEXT = "text/plain; version=0.0.4; charset=utf-8"


@pytest.fixture
async def session() -> AsyncIterator[ClientSession]:
    async with ClientSession(auto_decompress=False) as session:
        yield session


@pytest.fixture
def cluster() -> SimulatedCluster:
    cluster = SimulatedCluster(1)
    cluster.create(RolloutSpec("shop", "checkout", "app:v1", 3, CanaryStrategy((SetWeight(50),))))
    cluster.advance(cluster.now + 10)
    return cluster


def no_time_passes() -> None:
    """Do not advance the cluster."""


async def get(session: ClientSession, address: str, query: str = "", **headers: str) -> tuple[int, str, str, bytes]:
    """Get a page; return status, content type, content encoding and body."""
    async with session.get(f"http://{address}{PATH}{query}", headers=headers) as response:
        encoding = response.headers.get("Content-Encoding", "")
        return response.status, response.headers["Content-Type"], encoding, await response.read()


async def test_each_component_has_its_own_port(cluster: SimulatedCluster, session: ClientSession) -> None:
    async with serve_cluster(cluster, no_time_passes) as addresses:
        argo = TEXT + "; escaping=values"
        for address, name in zip(addresses[Source.ARGO], ("argo-a", "argo-b"), strict=True):
            page = cluster.argo_page(name)
            assert page
            assert await get(session, address, **{"Accept-Encoding": "identity"}) == (200, argo, "", page)
        assert await get(session, addresses[Source.KUBE_STATE_METRICS][0]) == (
            200,
            TEXT,
            "",
            cluster.kube_state_metrics_page(),
        )
        assert await get(session, addresses[Source.ROLLOUT_STATE][0]) == (200, TEXT, "", cluster.state_page())


async def test_controllers_compress_on_request_and_kube_state_metrics_never(
    cluster: SimulatedCluster, session: ClientSession
) -> None:
    async with serve_cluster(cluster, no_time_passes) as addresses:
        *_, encoding, body = await get(session, addresses[Source.ARGO][0], **{"Accept-Encoding": "gzip"})
        assert (encoding, gzip.decompress(body)) == ("gzip", cluster.argo_page("argo-a"))
        *_, encoding, body = await get(session, addresses[Source.KUBE_STATE_METRICS][0], **{"Accept-Encoding": "gzip"})
        assert (encoding, body) == ("", cluster.kube_state_metrics_page())


async def test_kube_state_metrics_serves_the_requested_resources(
    cluster: SimulatedCluster, session: ClientSession
) -> None:
    async with serve_cluster(cluster, no_time_passes, allow_lists=False) as addresses:
        full_page = await get(session, addresses[Source.KUBE_STATE_METRICS][0], "?resources=pods,replicasets")
        assert full_page[-1] == cluster.kube_state_metrics_page(allow_lists=False)
        replica_sets = await get(session, addresses[Source.KUBE_STATE_METRICS][0], "?resources=replicasets")
        assert replica_sets[-1].startswith(b"# HELP kube_replicaset_created")
        assert (await get(session, addresses[Source.KUBE_STATE_METRICS][0], "?resources=nothing"))[-1] == b""
        assert (await get(session, addresses[Source.ROLLOUT_STATE][0], "?resources=pods"))[-1] == b""


async def test_each_request_advances_the_cluster(cluster: SimulatedCluster, session: ClientSession) -> None:
    times = iter([cluster.now + 1, cluster.now + 30])
    async with serve_cluster(cluster, lambda: cluster.advance(next(times))) as addresses:
        previous = await get(session, addresses[Source.ROLLOUT_STATE][0])
        cluster.deploy("shop", "checkout", "app:v2")
        assert await get(session, addresses[Source.ROLLOUT_STATE][0]) != previous


async def test_a_controller_that_is_down_drops_the_connection(
    cluster: SimulatedCluster, session: ClientSession
) -> None:
    cluster.kill_controller("argo-a")
    async with serve_cluster(cluster, no_time_passes) as addresses:
        with pytest.raises(ServerDisconnectedError):
            await get(session, addresses[Source.ARGO][0])
        assert (await get(session, addresses[Source.ARGO][1]))[0] == 200


async def test_other_paths_are_not_found(cluster: SimulatedCluster, session: ClientSession) -> None:
    async with (
        serve_cluster(cluster, no_time_passes) as addresses,
        session.get(f"http://{addresses[Source.ARGO][0]}/") as response,
    ):
        assert response.status == 404
