"""`gate run` sends the queries of the controller, and ends as the controller does."""

from __future__ import annotations

import asyncio
import json
import time
from datetime import datetime
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import web

from exporter.commands.gate.load import GateSource
from exporter.commands.gate.run import run
from tests.gate.gates import SERVICE, TOKEN, article, gate, run_options
from tests.net.prometheus import Api, api, only_get, respond_with, vector

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.net.prometheus import Behaviour

GOOD, GAP, BAD = (vector(({}, value)) for value in (0.01, 0.07, 0.5))


def responses_in_turn(*bodies: str | int) -> Behaviour:
    """Respond with each body or HTTP status in turn; the last one repeats."""
    remaining: Iterator[str | int] = iter(bodies[:-1])

    async def reply(_: web.BaseRequest) -> web.StreamResponse:
        body = next(remaining, bodies[-1])
        if isinstance(body, int):
            return web.Response(status=body)
        return web.Response(body=body.encode(), headers={"Content-Type": "application/json"})

    return reply


async def run_gate(file: str, served: Api, capsys: pytest.CaptureFixture[str], **options: Any) -> tuple[int, Any]:
    """Run a gate with --json; return the exit code and the status."""
    code = await run(GateSource(file, arguments=options.pop("arguments", ())), run_options(as_json=True, **options))
    out, err = capsys.readouterr()
    assert TOKEN not in out + err
    del served
    return code, json.loads(out)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("answers", "code", "phase", "counts"),
    [
        ((GOOD,), 0, "Successful", {"successful": 8, "count": 8}),
        ((BAD, BAD, BAD, GOOD), 0, "Successful", {"failed": 3, "successful": 5, "count": 8}),
        ((GOOD, BAD), 1, "Failed", {"failed": 4, "successful": 1, "count": 5}),
        ((GOOD, GAP), 3, "Inconclusive", {"inconclusive": 1, "successful": 1, "count": 2}),
        ((vector(),), 2, "Error", {"error": 5, "consecutiveError": 5}),
        ((vector(({}, float("nan"))),), 3, "Inconclusive", {"inconclusive": 1, "count": 1}),
        ((500, 500, 500, 500, GOOD), 0, "Successful", {"error": 4, "successful": 8, "count": 8}),
    ],
)
async def test_gate_of_the_article_with_good_bad_and_missing_data(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    answers: tuple[str, ...],
    code: int,
    phase: str,
    counts: dict[str, int],
) -> None:
    async with api(responses_in_turn(*answers)) as served:
        exit_code, status = await run_gate(article(tmp_path, served.address), served, capsys, arguments=SERVICE)
    result = status["metricResults"][0]
    assert (exit_code, status["phase"]) == (code, phase)
    assert {key: result[key] for key in counts} == counts


async def test_query_is_a_posted_form_with_unchanged_headers(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async with api(responses_in_turn(GAP)) as served:
        await run_gate(article(tmp_path, served.address), served, capsys, arguments=SERVICE)
    (request,) = served.requests
    assert (request.method, request.path) == ("POST", "/api/v1/query")
    assert request.headers["Content-Type"] == "application/x-www-form-urlencoded"
    assert request.headers["Authorization"] == f"Basic {TOKEN}"
    assert request.form["query"].startswith('sum(rate(http_requests_total{service="checkout", status=~"5.."}[5m]))\n/')
    assert set(request.form) == {"query", "time"}


async def test_queries_are_for_the_current_time_at_any_speed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async with api(respond_with(GOOD)) as served:
        _, status = await run_gate(article(tmp_path, served.address), served, capsys, arguments=SERVICE)
    assert all(abs(float(request.form["time"]) - time.time()) < 30 for request in served.requests)
    took = (datetime.fromisoformat(status[end]).timestamp() for end in ("startedAt", "completedAt"))
    assert -next(took) + next(took) >= 7 * 120


async def test_query_falls_back_to_get(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    async with api(only_get(respond_with(GOOD))) as served:
        code, _ = await run_gate(gate(tmp_path, served.address, "up"), served, capsys)
    assert code == 0
    assert [request.method for request in served.requests] == ["POST", "GET"]


@pytest.mark.parametrize(
    ("body", "status", "message"),
    [
        ("{}", 401, "client_error: client error: 401"),
        ("{}", 503, "server_error: server error: 503"),
        ('{"status":"error","errorType":"bad_data","error":"parse error"}', 400, "bad_data: parse error"),
        ("<html>", 200, "responds with a web page"),
        ('{"status":"success","data":{"resultType":"string","result":[1,"x"]}}', 200, "unexpected value type"),
    ],
)
async def test_query_error_has_the_message_of_the_controller(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], body: str, status: int, message: str
) -> None:
    async with api(respond_with(body, status)) as served:
        file = gate(tmp_path, served.address, "up", consecutiveErrorLimit=0)
        code, run_status = await run_gate(file, served, capsys)
    assert code == 2
    assert message in run_status["metricResults"][0]["message"]


async def test_line_break_in_a_secret_is_reported_before_sending(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async with api(respond_with(GOOD)) as served:
        file = article(tmp_path, served.address)
        secret = tmp_path / "secret"
        secret.write_text("Basic bmV2ZXI6c2hvd24=\n")
        source = GateSource(file, arguments=SERVICE, argument_files=(f"last9-auth={secret}",))
        code = await run(source, run_options(explain=True))
    out, _ = capsys.readouterr()
    assert (code, served.requests) == (2, [])
    assert 'net/http: invalid header field value for "Authorization"' in out
    assert "create the Secret with printf" in out
    assert "bmV2ZXI6c2hvd24=" not in out


async def test_secret_in_an_error_body_is_redacted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    async def echo(request: web.BaseRequest) -> web.StreamResponse:
        error = {"status": "error", "errorType": "bad_data", "error": request.headers["Authorization"]}
        return web.json_response(error, status=400)

    async with api(echo) as served:
        file = article(tmp_path, served.address)
        wishes: tuple[dict[str, Any], ...] = ({"as_json": True, "explain": True}, {"explain": True}, {})
        for options in wishes:
            assert await run(GateSource(file, arguments=SERVICE), run_options(**options)) == 2
    out, err = capsys.readouterr()
    assert TOKEN not in out + err
    assert "never-shown" not in out + err
    assert "bad_data: ***" in out


async def test_user_in_the_address_is_sent_and_never_printed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async with api(respond_with("{}", 401)) as served:
        address = served.address.replace("://", "://someone:never-shown@")
        code = await run(GateSource(gate(tmp_path, address, "up", consecutiveErrorLimit=0)), run_options(explain=True))
    out, err = capsys.readouterr()
    assert code == 2
    assert served.requests[0].headers["Authorization"] == "Basic c29tZW9uZTpuZXZlci1zaG93bg=="
    assert "never-shown" not in out + err


@pytest.mark.slow
async def test_query_times_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    async def slow(_: web.BaseRequest) -> web.StreamResponse:
        await asyncio.sleep(5)
        return web.Response()

    async with api(slow) as served:
        file = gate(tmp_path, served.address, "up", consecutiveErrorLimit=0, prometheus={"timeout": 1})
        code, status = await run_gate(file, served, capsys)
    assert code == 2
    assert "did not respond within 1 s" in status["metricResults"][0]["message"]


@pytest.mark.slow
async def test_endless_gate_is_terminated_after_max_duration(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async with api(respond_with(GOOD)) as served:
        file = gate(tmp_path, served.address, "up", interval="1m", successCondition="result[0] < 1")
        code, status = await run_gate(file, served, capsys, max_duration=150.0, speed=100.0)
    assert (code, status["phase"], status["message"]) == (0, "Successful", "Run Terminated")
    assert status["metricResults"][0]["count"] == 3


async def test_replay_queries_each_past_time_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    start = 1_700_000_000.0
    async with api(respond_with(GOOD)) as served:
        file = gate(tmp_path, served.address, "up", interval="1m", count=3, initialDelay="30s")
        code = await run(GateSource(file), run_options(start=start, end=start + 120, step=60.0))
    out, _ = capsys.readouterr()
    assert code == 0
    assert [float(request.form["time"]) - start for request in served.requests] == [30, 90, 150, 210, 270]
    assert out.splitlines() == [
        "2023-11-14 22:13:20Z Successful (m 3 of 3)",
        "2023-11-14 22:14:20Z Successful (m 3 of 3)",
        "2023-11-14 22:15:20Z Successful (m 3 of 3)",
        "3 runs: 3 Successful (median 2.5 min)",
    ]


async def test_range_query_evaluates_all_values(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    values = [[1_700_000_000, "0.01"], [1_700_000_015, "0.2"]]
    data = {"resultType": "matrix", "result": [{"metric": {}, "values": values}]}
    ranged = {"rangeQuery": {"start": 'now() - duration("5m")', "end": "now()", "step": "15s"}}
    async with api(respond_with(json.dumps({"status": "success", "data": data}))) as served:
        file = gate(tmp_path, served.address, "up", prometheus=ranged, successCondition="all(result, # < 0.05)")
        code, status = await run_gate(file, served, capsys, start=1_700_000_100.0)
    (request,) = served.requests
    assert request.path == "/api/v1/query_range"
    assert request.form == {"query": "up", "start": "1699999800", "end": "1700000100", "step": "15"}
    assert (code, status["metricResults"][0]["measurements"][0]["value"]) == (1, "[0.01,0.2]")


async def test_older_controller_drops_unsupported_fields(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ranged = {"rangeQuery": {"start": "now()", "end": "now()", "step": "15s"}}
    async with api(respond_with(GOOD)) as served:
        await run_gate(gate(tmp_path, served.address, "up", prometheus=ranged), served, capsys, version="1.7.2")
    assert served.requests[0].path == "/api/v1/query"


async def test_explanation_shows_value_sub_expressions_and_reason(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async with api(responses_in_turn(GOOD, GOOD, GAP)) as served:
        await run(GateSource(article(tmp_path, served.address), arguments=SERVICE), run_options(explain=True))
    lines = [line[21:] if line.startswith("20") else line for line in capsys.readouterr().out.splitlines()]
    assert lines == [
        "error-rate [0.01] Successful",
        "error-rate [0.01] Successful",
        "error-rate [0.07] Inconclusive",
        "error-rate: [0.01] → Successful",
        "  successCondition: result[0] < 0.05",
        "    result           = [0.01]",
        "    result[0]        = 0.01",
        "    result[0] < 0.05 = true",
        "  failureCondition: result[0] >= 0.10",
        "    result            = [0.01]",
        "    result[0]         = 0.01",
        "    result[0] >= 0.10 = false",
        "  the success condition is true and the failure condition is not",
        "  … the same 1 more time",
        "error-rate: [0.07] → Inconclusive",
        "  successCondition: result[0] < 0.05",
        "    result           = [0.07]",
        "    result[0]        = 0.07",
        "    result[0] < 0.05 = false",
        "  failureCondition: result[0] >= 0.10",
        "    result            = [0.07]",
        "    result[0]         = 0.07",
        "    result[0] >= 0.10 = false",
        "  neither condition is true: the value is in the gap between them",
        "error-rate: Inconclusive, 2 of 3 successful, 0 failed, 1 inconclusive, 0 errors",
        'Inconclusive: Metric "error-rate" assessed Inconclusive due to inconclusive (1) > inconclusiveLimit (0)',
    ]


async def gate_of_redirects(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], status: int, location: str = "/moved/api/v1/query"
) -> tuple[int, Any, Api]:
    """Run a gate whose address redirects to where a Prometheus answers, or refuses a request without a query."""

    async def reply(request: web.BaseRequest) -> web.StreamResponse:
        if request.path == "/api/v1/query":
            return web.Response(status=status, headers={"Location": location})
        if dict(await request.post()):
            return web.Response(body=GOOD.encode(), headers={"Content-Type": "application/json"})
        error = 'invalid parameter "query": unknown position: parse error: no expression found in input'
        return web.json_response({"status": "error", "errorType": "bad_data", "error": error}, status=400)

    async with api(reply) as served:
        headers = {"headers": [{"key": "Authorization", "value": f"Basic {TOKEN}"}]}
        file = gate(tmp_path, served.address, "up", consecutiveErrorLimit=0, prometheus=headers)
        code, run_status = await run_gate(file, served, capsys)
    return code, run_status, served


@pytest.mark.parametrize("status", [307, 308])
async def test_permanent_and_temporary_redirects_send_the_form_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], status: int
) -> None:
    code, _, served = await gate_of_redirects(tmp_path, capsys, status)
    assert code == 0
    first, second = served.requests
    assert (second.method, second.path, second.form) == ("POST", "/moved/api/v1/query", first.form)
    assert second.headers["Authorization"] == f"Basic {TOKEN}"


@pytest.mark.parametrize("status", [301, 302, 303])
async def test_older_redirects_lose_the_form_with_the_message_of_the_controller(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], status: int
) -> None:
    code, run_status, served = await gate_of_redirects(tmp_path, capsys, status)
    assert code == 2
    assert [(request.method, request.form != {}) for request in served.requests] == [("POST", True), ("GET", False)]
    assert 'bad_data: invalid parameter "query"' in run_status["metricResults"][0]["message"]


async def test_redirects_without_an_end_stop_as_in_the_controller(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, run_status, served = await gate_of_redirects(tmp_path, capsys, 307, "/api/v1/query")
    assert (code, len(served.requests)) == (2, 10)
    message = f'Post "{served.address}/api/v1/query": stopped after 10 redirects'
    assert message in run_status["metricResults"][0]["message"]


async def test_a_redirect_without_location_is_a_bad_response(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, run_status, _ = await gate_of_redirects(tmp_path, capsys, 302, "")
    assert code == 2
    assert "bad_response: bad response code 302" in run_status["metricResults"][0]["message"]


async def test_a_redirect_takes_no_credential_to_another_host(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, run_status, served = await gate_of_redirects(tmp_path, capsys, 307, "http://localhost:9/api/v1/query")
    assert (code, len(served.requests)) == (2, 1)
    assert "set provider.prometheus.address to the final address" in run_status["metricResults"][0]["message"]


@pytest.mark.parametrize("size", [9_000, 60_000])
async def test_long_response_headers_are_read(tmp_path: Path, capsys: pytest.CaptureFixture[str], size: int) -> None:
    async with api(respond_with(GOOD, Cookies="x" * size)) as served:
        code, _ = await run_gate(gate(tmp_path, served.address, "up"), served, capsys)
    assert code == 0
