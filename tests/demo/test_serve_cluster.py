from __future__ import annotations

import gzip
from typing import TYPE_CHECKING

import pytest
from aiohttp import ClientSession, ServerDisconnectedError

from exporter.demo.servers import PATH, serve_cluster
from exporter.demo.simulator.cluster import SimulatedCluster
from exporter.demo.simulator.objects import CanaryStrategy, RolloutSpec, SetWeight

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


def stay() -> None:
    """Let no time pass."""


async def get(session: ClientSession, address: str, query: str = "", **headers: str) -> tuple[int, str, str, bytes]:
    """Ask for a page: status, content type, content encoding, body."""
    async with session.get(f"http://{address}{PATH}{query}", headers=headers) as response:
        encoding = response.headers.get("Content-Encoding", "")
        return response.status, response.headers["Content-Type"], encoding, await response.read()


async def test_each_component_answers_on_a_port_of_its_own(cluster: SimulatedCluster, session: ClientSession) -> None:
    async with serve_cluster(cluster, stay) as at:
        argo = TEXT + "; escaping=values"
        for address, name in zip(at.argo, ("argo-a", "argo-b"), strict=True):
            page = cluster.argo_page(name)
            assert page
            assert await get(session, address, **{"Accept-Encoding": "identity"}) == (200, argo, "", page)
        assert await get(session, at.kube_state_metrics) == (200, TEXT, "", cluster.kube_state_metrics_page())
        assert await get(session, at.rollout_state) == (200, TEXT, "", cluster.state_page())


async def test_controllers_compress_when_asked_and_kube_state_metrics_never_does(
    cluster: SimulatedCluster, session: ClientSession
) -> None:
    async with serve_cluster(cluster, stay) as at:
        *_, encoding, body = await get(session, at.argo[0], **{"Accept-Encoding": "gzip"})
        assert (encoding, gzip.decompress(body)) == ("gzip", cluster.argo_page("argo-a"))
        *_, encoding, body = await get(session, at.kube_state_metrics, **{"Accept-Encoding": "gzip"})
        assert (encoding, body) == ("", cluster.kube_state_metrics_page())


async def test_kube_state_metrics_gives_the_resources_that_are_asked_for(
    cluster: SimulatedCluster, session: ClientSession
) -> None:
    async with serve_cluster(cluster, stay, allow_lists=False) as at:
        whole = await get(session, at.kube_state_metrics, "?resources=pods,replicasets")
        assert whole[-1] == cluster.kube_state_metrics_page(allow_lists=False)
        sets = await get(session, at.kube_state_metrics, "?resources=replicasets")
        assert sets[-1].startswith(b"# HELP kube_replicaset_created")
        assert (await get(session, at.kube_state_metrics, "?resources=nothing"))[-1] == b""
        assert (await get(session, at.rollout_state, "?resources=pods"))[-1] == b""


async def test_time_moves_with_each_question(cluster: SimulatedCluster, session: ClientSession) -> None:
    moments = iter([cluster.now + 1, cluster.now + 30])
    async with serve_cluster(cluster, lambda: cluster.advance(next(moments))) as at:
        before = await get(session, at.rollout_state)
        cluster.deploy("shop", "checkout", "app:v2")
        assert await get(session, at.rollout_state) != before


async def test_a_controller_that_is_down_drops_the_connection(cluster: SimulatedCluster, session: ClientSession) -> None:
    cluster.kill_controller("argo-a")
    async with serve_cluster(cluster, stay) as at:
        with pytest.raises(ServerDisconnectedError):
            await get(session, at.argo[0])
        assert (await get(session, at.argo[1]))[0] == 200


async def test_nothing_else_is_there(cluster: SimulatedCluster, session: ClientSession) -> None:
    async with serve_cluster(cluster, stay) as at, session.get(f"http://{at.argo[0]}/") as response:
        assert response.status == 404
