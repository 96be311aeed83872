"""Two pages that show one family with different types (T06, T40)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from exporter.config import load
from exporter.metrics import Source
from exporter.otlp.encode.encoder import Encoder
from exporter.rollouts.tracker import RolloutTracker
from exporter.scrape.response import ScrapeRequest
from exporter.service.wiring import identity, parser_factory, tracking_policy
from exporter.web.exposition_writer import render
from tests.otlp.helpers import attributes, metrics, points

if TYPE_CHECKING:
    from exporter.metrics import ScrapeResult

NOW = 1_795_446_000.0
SETTINGS = load(None, {"ROLLOUTS_EXPORTER_SERIES__PASS_THROUGH": "all"}).settings
LINES = {
    "gauge": 'rollout_x{a="b"} 1\nrollout_x{a="c"} 1\n',
    "untyped": 'rollout_x{a="b"} 2\n',
    "counter": 'rollout_x{a="b"} 3\n',
    "histogram": 'rollout_x_bucket{a="b",le="+Inf"} 1\nrollout_x_sum{a="b"} 1\nrollout_x_count{a="b"} 1\n',
}


def pages(now: float, *kinds: str) -> list[ScrapeResult]:
    """Return a leader's page for each type, each of its own installation."""
    results = []
    for number, kind in enumerate(kinds):
        parser = PARSERS(ScrapeRequest(Source.ARGO, f"{number}:8090", now, str(number)))
        parser.start(200, {})
        info = f'rollout_info{{name="a{number}",namespace="n",phase="Paused"}} 1\n'
        parser.feed(f"{info}# TYPE rollout_x {kind}\n{LINES[kind]}".encode())
        results.append(parser.finish(None, 0.1))
    return results


PARSERS = parser_factory(SETTINGS)


@pytest.mark.parametrize("second", ["untyped", "counter", "histogram"])
def test_a_family_has_the_type_of_the_first_page_and_the_rest_is_dropped_and_counted(second: str) -> None:
    tracker, encoder = RolloutTracker(tracking_policy(SETTINGS)), Encoder(identity(SETTINGS))
    for number in range(3):
        now = NOW + 15 * number
        snapshot = tracker.process(now, pages(now, "gauge", second))
        assert tracker.status.type_conflicts == LINES[second].count("\n")
        (request,) = encoder.requests(snapshot)
        (metric,) = [metric for metric in metrics(request) if metric.name == "rollout_x"]
        assert [attributes(point)["a"] for point in points(metric)] == ["b", "c"]
        assert [point.as_double for point in points(metric)] == [1, 1]
    page = b"".join(render(snapshot.families)).decode()
    assert page.count("# TYPE rollout_x ") == page.count('rollout_x{a="b"}') == 1
    tracker.process(NOW + 60, pages(NOW + 60, "gauge", "gauge"))
    assert tracker.status.type_conflicts == 0
