"""Errors of `gate run`, each with a hint."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from exporter.cli import main
from exporter.commands.gate.load import GateError, GateSource
from exporter.commands.gate.run import run
from tests.gate.gates import SERVICE, article, gate, run_options
from tests.net.prometheus import api, respond_with, vector

if TYPE_CHECKING:
    from pathlib import Path


async def test_unusable_gate_is_an_error_with_a_hint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = article(tmp_path, "http://127.0.0.1:9")
    with pytest.raises(GateError, match=r"args\.service-name was not resolved; set it with --arg service-name=…"):
        await run(GateSource(file), run_options())
    with pytest.raises(GateError, match="the template has no argument x; it has: service-name, last9-auth"):
        await run(GateSource(file, arguments=("x=1",)), run_options())
    (tmp_path / "gate.yaml").write_text((tmp_path / "gate.yaml").read_text().partition("---")[0])
    with pytest.raises(GateError, match="set it with --arg-file last9-auth=FILE, GATE_ARG_LAST9_AUTH or --cred"):
        await run(GateSource(file, arguments=SERVICE), run_options())
    monkeypatch.setenv("GATE_ARG_SERVICE_NAME", "checkout")
    monkeypatch.setenv("GATE_ARG_LAST9_AUTH", "Basic abcdefgh")
    assert await run(GateSource(file), run_options(as_json=True)) == 2, "nothing listens at the address"
    with pytest.raises(GateError, match="--until and --every need each other, and --at"):
        await run(GateSource(file), run_options(end=2.0, step=1.0))


async def test_unsupported_condition_is_an_error(tmp_path: Path) -> None:
    async with api(respond_with(vector(({}, 0.01)))) as served:
        file = gate(tmp_path, served.address, "up", successCondition="toJSON(result) == ''")
        with pytest.raises(GateError, match=r"only the controller can evaluate this gate: .*toJSON"):
            await run(GateSource(file), run_options())


async def test_argument_from_the_rollout_must_be_set(tmp_path: Path) -> None:
    file = tmp_path / "gate.yaml"
    args = [{"name": "hash", "valueFrom": {"fieldRef": {"fieldPath": "metadata.labels['x']"}}}]
    file.write_text(json.dumps({"kind": "AnalysisTemplate", "spec": {"args": args, "metrics": []}}))
    with pytest.raises(GateError, match="argument hash comes from the Rollout; set it with --arg hash=VALUE"):
        await run(GateSource(str(file)), run_options())


async def test_run_without_arguments_ends_in_error_as_in_the_cluster(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "run.json"
    metric = {"name": "m", "provider": {"prometheus": {"address": "http://127.0.0.1:9", "query": "up"}}}
    file.write_text(json.dumps({"kind": "AnalysisRun", "spec": {"args": [{"name": "x"}], "metrics": [metric]}}))
    assert await run(GateSource(str(file)), run_options()) == 2
    assert 'Unable to resolve metric arguments: argument "x" was not supplied' in capsys.readouterr().out


async def test_unsupported_dry_run_rule_is_an_error(tmp_path: Path) -> None:
    file = tmp_path / "gate.yaml"
    metric = {"name": "m", "provider": {"prometheus": {"address": "http://127.0.0.1:9", "query": "up"}}}
    spec = {"metrics": [metric], "dryRun": [{"metricName": "(?i)M"}]}
    file.write_text(json.dumps({"kind": "AnalysisTemplate", "spec": spec}))
    with pytest.raises(GateError, match="the regular expression"):
        await run(GateSource(str(file)), run_options())


def test_errors_are_one_line_and_exit_with_2(tmp_path: Path) -> None:
    for arguments, message in (
        ([str(tmp_path / "none.yaml")], "cannot be read"),
        ([article(tmp_path, "http://a"), "--controller", "2.0"], "takes 1.6 and newer"),
        ([article(tmp_path, "http://a"), "--at", "yesterday"], "write 2026-11-24T10:00:00Z"),
    ):
        result = CliRunner().invoke(main, ["gate", "run", *arguments])
        assert result.exit_code == 2
        assert message in result.output
