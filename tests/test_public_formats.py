"""Formats that others read, byte for byte: files on disk, JSON for programs, command-line options, words in labels.

    python -m tests.test_public_formats

writes golden/formats/ again. A difference there breaks state on disk, recordings or scripts of users. Each format has
builders of its own: after a renaming these change, the golden files do not.
"""

from __future__ import annotations

import json
import re
import tempfile
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click
import pytest
from click.testing import CliRunner

from exporter.cli import main
from exporter.commands.gate import render
from exporter.commands.gate.load import GateError
from exporter.commands.record import FRAMES_FILE, RecordedFrame, RecordedPage, RecordedResponse, Recorder, read_frames
from exporter.gate.analysis_run import AnalysisPhase
from exporter.gate.lint.findings import Finding, Severity
from exporter.gate.lint.findings import format_json as lint_json
from exporter.gate.lint.rules import RULES
from exporter.gate.render.answers import NoData, Signal
from exporter.metrics import MetricType, SampleBatch, Series, Source
from exporter.otlp.delivery.accounting import DeliveryState
from exporter.rollouts.inference.fraction import ESTIMATE_METHODS
from exporter.rollouts.inference.transitions import UPDATE_RESULTS
from exporter.rollouts.inputs.leadership import ControllerRole
from exporter.rollouts.model import (
    CanaryFraction,
    ControllerProcess,
    ControllerView,
    Observation,
    PhaseHistory,
    Pod,
    PodRole,
    ReplicaCounts,
    RevisionHashes,
    Rollout,
    RolloutState,
    Update,
    UpdateState,
    Workload,
)
from exporter.rollouts.model import Transition as Event
from exporter.rollouts.output.durations import HistogramState
from exporter.rollouts.output.renderer import InfoSeries
from exporter.rollouts.persistence import StateRowEncoder, decode_rows
from exporter.rollouts.tracker import TrackerState
from exporter.self_metrics import DEFINITIONS
from exporter.service import views
from exporter.storage.schema import MIGRATIONS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

GOLDEN: Final = Path(__file__).parent / "golden" / "formats"


# Rows of the state ----------------------------------------------------------------------------------------------------


def full_life() -> RolloutState:
    """Return a life in which no field has its default."""
    return RolloutState(
        first_seen=1000.5,
        phases=PhaseHistory("Progressing", 1300.25, {"Paused": 2, "Progressing": 3}, ("Paused", 1200.0)),
        process=ControllerProcess("10.0.0.1:8090", 900.0, "blue"),
        event_counts={"RolloutUpdated": 4.0, "RolloutCompleted": 3.0},
        update_state=UpdateState.UPDATING,
        evidence="ReplicaSet revisions",
        update=Update("canary", 1250.0),
        hashes=RevisionHashes("6f9c", "5d8b", 1249.0),
        has_router=True,
        strategy="canary",
        had_revision=False,
        last_event_at=1251.0,
        ahead_of_counters=True,
        result_counts={Event.PROMOTED: 3, Event.ROLLED_BACK: 1},
        last_durations={Event.PROMOTED: 61.5},
        paused_seconds=12.75,
        runs={"checkout-6f9c-4-1": "Running"},
        finished_run_counts={"Successful": 2},
    )


def default_life() -> RolloutState:
    """Return a life of default values, written out: a row leaves them out, so they are part of the format."""
    return RolloutState(
        first_seen=1000.5,
        phases=PhaseHistory("Completed", 1000.5, {}, None),
        process=ControllerProcess("10.0.0.1:8090", 900.0, "default"),
        event_counts={},
        update_state=UpdateState.UNKNOWN,
        evidence="first sight",
        update=None,
        hashes=RevisionHashes("", "", 0.0),
        has_router=False,
        strategy="",
        had_revision=True,
        last_event_at=0.0,
        ahead_of_counters=False,
        result_counts={},
        last_durations={},
        paused_seconds=0.0,
        runs={},
        finished_run_counts={},
    )


def partly_life() -> RolloutState:
    """Return a life whose parts have defaults inside."""
    return RolloutState(
        first_seen=0.0,
        phases=PhaseHistory("", 0.0, {"Paused": 1}),
        process=ControllerProcess("", 0.0),
        event_counts={},
        update_state=UpdateState.ABORTED,
        update=Update("blueGreen", None),
        hashes=RevisionHashes(stable="5d8b"),
    )


def full_state() -> TrackerState:
    """Return a state in which no field has its default."""
    info = Series("argo_rollouts_info", (("namespace", "shop"), ("name", "cart")))
    return TrackerState(
        updated_at=1300.25,
        rollout_states={
            ("shop", "checkout"): full_life(),
            ("shop", "cart"): default_life(),
            ("shop", "blog"): partly_life(),
        },
        last_seen={("shop", "checkout"): 1300.25, ("shop", "cart"): 1285.0, ("shop", "blog"): 1300.25},
        leaders=frozenset(
            {ControllerProcess("10.0.0.1:8090", 900.0, "blue"), ControllerProcess("10.0.0.2:8090", 901.0)}
        ),
        info_series=InfoSeries(
            {"argo_rollouts_info": [SampleBatch([info], [1.0])]},
            frozenset({("argo_rollouts_pod_info", (("namespace", "shop"), ("pod", "checkout-ü")))}),
        ),
        replaced_info_series={("argo_rollouts_fraction", (("namespace", "shop"), ("name", "gone"))): 1400.0},
        duration_histograms={("shop", "promoted"): HistogramState((0, 0, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0), 184.5)},
    )


def default_state() -> TrackerState:
    """Return the state of an exporter that has scraped nothing."""
    return TrackerState()


STATES: Final = {"state-full.txt": full_state, "state-default.txt": default_state}


def rows(state: TrackerState) -> str:
    """Return the rows of a state, each on its line after its key; they are short, so none is compressed."""
    return "".join(f"{key} {(row or b'').decode()}\n" for key, row in StateRowEncoder().changes(state).items())


def rows_of(text: str) -> dict[str, bytes]:
    """Undo `rows`."""
    return {key: row.encode() for key, _, row in (line.partition(" ") for line in text.splitlines())}


@pytest.mark.parametrize("name", STATES)
def test_the_rows_of_a_state_are_read(name: str) -> None:
    assert decode_rows(rows_of((GOLDEN / name).read_text())) == (STATES[name](), [])


@pytest.mark.parametrize(
    ("key", "other"),
    [
        ('"born"', '"made"'),
        ('"phases"', '"stages"'),
        ('"evidence"', '"proof"'),
        ('"since":1250.0', '"from":1250.0'),
        ('"held"', '"was"'),
        ('"newest"', '"latest"'),
        ('"installation"', '"group"'),
        ('"standing":"updating"', '"standing":"moving"'),
    ],
)
def test_a_row_with_another_key_is_damaged(key: str, other: str) -> None:
    stored = rows_of((GOLDEN / "state-full.txt").read_text())
    row = stored["rollout/shop/checkout"]
    assert key.encode() in row
    changed = row.replace(key.encode(), other.encode())
    assert decode_rows(stored | {"rollout/shop/checkout": changed})[1] == ["rollout/shop/checkout"]


# The database ---------------------------------------------------------------------------------------------------------


def schema() -> str:
    """Return the statements that lead from each schema version to the next: a released one never changes."""
    return "".join(f"-- {version}\n" + ";\n".join(step) + ";\n" for version, step in enumerate(MIGRATIONS, 1))


# `gate lint --format json` --------------------------------------------------------------------------------------------


def lint_report() -> str:
    """Return the report of two findings."""
    findings = (
        Finding("gate.yaml", 12, "gap", Severity.WARNING, "0.07 is neither good nor bad", "write 0.05 in both"),
        Finding("gate.yaml", 20, "empty", Severity.ERROR, "„no data“ fails", "add len(result) == 0"),
    )
    return "\n".join(lint_json(findings, 3)) + "\n"


# Recordings -----------------------------------------------------------------------------------------------------------


def recorded_pages() -> tuple[RecordedResponse, ...]:
    """Return what the recorder takes: an answer, an answer without a body, a failure."""
    return (
        RecordedResponse(
            RecordedPage(Source.ARGO, "10.0.0.1:8090", 200, {"Content-Type": "text/plain"}, installation="blue"),
            zlib.compress(b"rollout_info 1\n", wbits=31),
            b"digest",
        ),
        RecordedResponse(RecordedPage(Source.KUBE_STATE_METRICS, "10.0.0.3:8080", 204), b"", b""),
        RecordedResponse(
            RecordedPage(Source.ROLLOUT_STATE, "10.0.0.4:8080", error="refused: nobody listens"), b"", b""
        ),
    )


def expected_frame(folder: Path) -> RecordedFrame:
    """Return the result of parsing these pages."""
    first, second, third = (recorded.page for recorded in recorded_pages())
    file = folder / "pages" / "0000" / "10.0.0.1-8090.prom.gz"
    with_body = RecordedPage(
        source=first.source,
        target=first.target,
        status=first.status,
        headers=first.headers,
        file=file,
        error=first.error,
        installation=first.installation,
    )
    return RecordedFrame(timestamp=1300.25, pages=(with_body, second, third))


def recording() -> str:
    """Return the lines that a recorder writes."""
    with tempfile.TemporaryDirectory() as folder:
        Recorder(Path(folder)).add(1300.25, recorded_pages())
        return (Path(folder) / FRAMES_FILE).read_text()


def test_a_recording_is_read(tmp_path: Path) -> None:
    Recorder(tmp_path).add(1300.25, recorded_pages())
    (tmp_path / FRAMES_FILE).write_bytes((GOLDEN / "recording.jsonl").read_bytes())
    (read,) = read_frames(tmp_path / FRAMES_FILE)
    assert read == expected_frame(tmp_path)
    assert read.pages[0].body() == b"rollout_info 1\n"


# The command line -----------------------------------------------------------------------------------------------------


def options(command: click.Command, name: str, parent: click.Context | None = None) -> Iterator[str]:
    """Yield a command's usage and its options, then those of its subcommands.

    The help option is left out: click caches it with the names of the first context that asks for it.
    """
    context = click.Context(command, info_name=name, parent=parent)
    yield " ".join([context.command_path, *command.collect_usage_pieces(context)])
    for option in command.get_params(context):
        if isinstance(option, click.Option) and "--help" not in option.opts:
            value = "" if option.is_flag else f" {option.make_metavar(context)}"
            yield f"    {', '.join([*option.opts, *option.secondary_opts])}{value}"
    if isinstance(command, click.Group):
        for subcommand in sorted(command.commands):
            yield from options(command.commands[subcommand], subcommand, context)


def command_line() -> str:
    """Return every command with its options."""
    return "\n".join(options(main, "rollouts-exporter")) + "\n"


ANSWERS: Final[Mapping[str, Any]] = {
    "signal": "latency",
    "service": "checkout",
    "namespace": "shop",
    "address": "https://store.example/prometheus",
    "cluster-id": "c1",
    "organization": "acme",
    "query": "",
    "success": 0.2,
    "failure": 0.1,
    "higher-is-better": True,
    "no-data": "fail",
    "interval": 60,
    "count": 9,
    "failures": 1,
    "inconclusives": 2,
    "window": 90,
    "scrape-interval": 15,
    "read-delay": 20,
    "weight": 11,
    "next-weight": 26,
    "cluster-scope": True,
    "name": "latency-gate",
    "rollout": "checkout-web",
    "secret-name": "read",
    "secret-key": "header",
    "controller": "1.8.3",
    "metric": "request_seconds_bucket",
    "service-label": "app",
    "pod-label": "k8s_pod_name",
    "errors": 'code=~"5.."',
    "environment": "staging",
    "quantile": 0.9,
}
"""A different value for each answer, by its option."""
COMMENT: Final = re.compile(r"^ *# \S.*\n|^#  +# .*\n|  # .*$", re.MULTILINE)
"""A comment in a gate, but not the part that goes into the Rollout."""


def answers_read(answers: Mapping[str, Any]) -> dict[str, Any]:
    """Return what `gate render` makes of answers, by option."""
    read = render.complete_answers(answers, None)
    return {
        "signal": read.signal.value,
        "service": read.service,
        "namespace": read.namespace,
        "address": read.address,
        "cluster-id": read.cluster_id,
        "organization": read.organization,
        "query": read.query,
        "success": read.success,
        "failure": read.failure,
        "higher-is-better": read.higher_is_better,
        "no-data": read.no_data.value,
        "interval": read.interval,
        "count": read.count,
        "failures": read.failures,
        "inconclusives": read.inconclusives,
        "window": read.window,
        "scrape-interval": read.scrape_interval,
        "read-delay": read.read_delay,
        "weight": read.weight,
        "next-weight": read.next_weight,
        "cluster-scope": read.cluster_scope,
        "name": read.name,
        "rollout": read.rollout,
        "secret-name": read.secret_name,
        "secret-key": read.secret_key,
        "controller": read.controller,
        "metric": read.metric,
        "service-label": read.service_label,
        "pod-label": read.pod_label,
        "errors": read.errors,
        "environment": read.environment,
        "quantile": read.quantile,
    }


@pytest.mark.parametrize("blank", ["-", "_"])
def test_a_file_of_answers_is_read_by_option_names(tmp_path: Path, blank: str) -> None:
    file = tmp_path / "answers.yaml"
    file.write_text(json.dumps({name.replace("-", blank): value for name, value in ANSWERS.items()}))
    assert answers_read(render.read_answers(file)) == ANSWERS
    promql = {**ANSWERS, "signal": "promql", "query": "sum(rate(x[1m]))"}
    file.write_text(json.dumps({name.replace("-", blank): value for name, value in promql.items()}))
    assert answers_read(render.read_answers(file)) == promql


def rendered_gate() -> str:
    """Return what `gate render` prints with every option given, without its comments."""
    texts = {name: f"{value}s" if name in {"interval", "window"} else value for name, value in ANSWERS.items()}
    arguments = [f"--{name}" if value is True else f"--{name}={value}" for name, value in texts.items()]
    arguments = [text for text in arguments if not text.startswith(("--read-delay", "--scrape-interval"))]
    done = CliRunner().invoke(main, ["gate", "render", *arguments, "--read-delay=20s", "--scrape-interval=15s"])
    assert done.exit_code == 0, done.output
    return COMMENT.sub("", done.stdout)


def test_an_invalid_answer_is_named_by_its_option() -> None:
    for name, value in {"next-weight": 200, "secret-key": "a b", "no-data": "stop"}.items():
        with pytest.raises(GateError, match=f"^--{name}: "):
            answers_read({key.replace("-", "_"): answer for key, answer in {**ANSWERS, name: value}.items()})
    with pytest.raises(GateError, match=r"^--colour-scheme: Extra inputs"):
        answers_read({"colour_scheme": 1, **{key.replace("-", "_"): answer for key, answer in ANSWERS.items()}})


# /api/rollouts --------------------------------------------------------------------------------------------------------


def full_rollout() -> Rollout:
    """Return a rollout with a value in every field."""
    pod = Pod("checkout-6f9c-x", "u1", "n1", "checkout-6f9c", "6f9c", ready=True, experiment=False)
    reading = ControllerView(full_life().process, "canary", "Nginx", "Progressing", ReplicaCounts(5.0, 1.0, 4.0, 2.0))
    return Rollout(
        key=("shop", "checkout"),
        state=full_life(),
        observation=Observation(reading, Workload(pods=(pod,))),
        pod_roles=((pod, PodRole.CANARY), (pod, PodRole.STABLE), (pod, PodRole.STABLE)),
        fraction=CanaryFraction(0.2, "weight", "a router sets the traffic", dict.fromkeys(ESTIMATE_METHODS, 0.25)),
        unknown_reasons=("pods", "roles"),
    )


def unseen_rollout() -> Rollout:
    """Return a rollout that no source shows."""
    return Rollout(("shop", "cart"), default_life(), Observation(), unknown_reasons=("not_shown",))


def api_rollouts() -> str:
    """Return the rollouts as /api/rollouts writes them."""
    rollouts = [
        views.rollout_json(full_rollout(), 1300.25, 1310.0),
        views.rollout_json(unseen_rollout(), 1285.0, 1310.0),
    ]
    return "".join(json.dumps(rollout, allow_nan=False) + "\n" for rollout in rollouts)


# Words in labels and values -------------------------------------------------------------------------------------------


def words() -> str:
    """Return the words of each fixed set that occurs in labels, files or output."""
    sets: dict[str, list[str]] = {
        "delivery state": [str(word) for word in DeliveryState],
        "gate signal": [str(word) for word in Signal],
        "gate no data": [str(word) for word in NoData],
        "gate phase": [str(word) for word in AnalysisPhase],
        "lint severity": [str(word) for word in Severity],
        "lint rule": [rule.name for rule in RULES],
        "metric type": [str(word) for word in MetricType],
        "own metric": [f"{row.name}{{{','.join(row.labels)}}}" for row in DEFINITIONS],
        "pod role": [str(word) for word in PodRole],
        "rollout standing": [str(word) for word in UpdateState],
        "source": [str(word) for word in Source],
        "target verdict": [str(word) for word in ControllerRole],
        "fraction method": list(ESTIMATE_METHODS),
        "update result": [str(word) for word in UPDATE_RESULTS],
    }
    return "".join(f"{name}: {' '.join(values)}\n" for name, values in sets.items())


# Byte for byte --------------------------------------------------------------------------------------------------------

WRITTEN: Final[Mapping[str, Callable[[], str | bytes]]] = {
    "state-full.txt": lambda: rows(full_state()),
    "state-default.txt": lambda: rows(default_state()),
    "schema.sql": schema,
    "lint.json": lint_report,
    "recording.jsonl": recording,
    "command-line.txt": command_line,
    "gate.yaml": rendered_gate,
    "rollouts.jsonl": api_rollouts,
    "words.txt": words,
}


def written(name: str) -> bytes:
    """Return the current output in every format."""
    content = WRITTEN[name]()
    return content.encode() if isinstance(content, str) else content


@pytest.mark.parametrize("name", WRITTEN)
def test_written_formats_are_unchanged_to_the_byte(name: str) -> None:
    assert written(name) == (GOLDEN / name).read_bytes()


def test_no_golden_file_is_left_over() -> None:
    assert {file.name for file in GOLDEN.iterdir()} == set(WRITTEN)


if __name__ == "__main__":
    for each in WRITTEN:
        (GOLDEN / each).write_bytes(written(each))
