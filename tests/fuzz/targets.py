"""What is fuzzed: for each target a corpus, the words of its format, and the laws that hold for any input."""

from __future__ import annotations

import asyncio
import json
import math
import tempfile
from collections import Counter
from contextlib import chdir, suppress
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from click.testing import CliRunner
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

from exporter.cli import main
from exporter.commands.errors import USER_ERRORS
from exporter.commands.explain import explain_lines
from exporter.commands.list import list_lines
from exporter.commands.record import FRAMES_FILE, RecordingError
from exporter.commands.replay import replay_frames, snapshot_json
from exporter.commands.rollout_source import RolloutsPage
from exporter.config import ConfigError, Settings, as_yaml, load, schema
from exporter.gate import promql
from exporter.gate.controller import DEFAULT_VERSION, parse_version
from exporter.gate.explanation import explanation_json, explanation_lines
from exporter.gate.expr import SCALAR, VECTOR, ConditionError, Engine, EngineFailure, check, evaluate, parse
from exporter.gate.kubernetes import ManifestFile
from exporter.gate.lint.findings import FORMATS
from exporter.gate.lint.inputs import LintContext, read_input
from exporter.gate.lint.rules import apply_rules
from exporter.gate.load import read_objects, resolve_spec
from exporter.gate.simulation import AnswerSequence, RunContext, simulate
from exporter.gate.template import TemplateError
from exporter.metrics import Failure, MetricsSnapshot, MetricType, Source
from exporter.net.prometheus_response import Hints, QueryContext, parse_query, parse_response
from exporter.net.response import HttpResponse
from exporter.otlp.encode.encoder import Encoder
from exporter.otlp.encode.protobuf import Identity
from exporter.otlp.result import MAX_RETRY_AFTER, Accepted, Blocked, Permanent, Retryable
from exporter.otlp.transport.grpc_status import GrpcResponse, classify_grpc
from exporter.otlp.transport.http_status import classify_http
from exporter.rollouts.explain.explain import explain
from exporter.rollouts.inputs.controller import ControllerPageReader
from exporter.rollouts.output.catalogue import DERIVED_FAMILIES
from exporter.rollouts.tracker import RolloutTracker
from exporter.scrape.cache import ScrapeCache
from exporter.scrape.parser import ExpositionError, ExpositionParser
from exporter.scrape.response import ScrapeRequest
from exporter.service import views
from exporter.service.app import App
from exporter.service.pages.fleet import rollout_card
from exporter.service.pages.rollout import revision_lines, series_lines, step_lines
from exporter.service.wiring import parser_factory, tracking_policy
from exporter.web import exposition_writer
from tests.gate.recorded import lines
from tests.recorded import ARTICLE
from tests.scrape.parsing import always_selected, family_values, parse_page, real_page

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from random import Random

    from exporter.metrics import MetricFamily, ScrapeResult
    from exporter.scrape.parser import Exposition

TESTS: Final = Path(__file__).parent.parent
PAST: Final = Path(__file__).parent / "past"
"""Inputs that once broke a law, by target."""
WORDS: Final = (Path(__file__).parent / "words.txt").read_text()
_PART: Final = b"\x1e"
"""Between the parts of an input that has several: a character that no format uses."""
_WINDOW: Final = 40
"""Lines of a real page in one input."""


class LawError(Exception):
    """An input that breaks a law."""


def law(holds: bool, text: str) -> None:  # noqa: FBT001 - as an assert
    """Raise LawError if a law does not hold. Not an assert, since a target may catch that of the code."""
    if not holds:
        raise LawError(text)


@dataclass(frozen=True, slots=True)
class Target:
    """Something that reads inputs: `check` raises if one breaks a law; it has to end within `seconds`."""

    name: str
    corpus: Callable[[], Sequence[bytes]]
    words: Callable[[], Sequence[bytes]]
    check: Callable[[bytes, Random], None]
    seconds: float = 5.0


def words(name: str) -> list[bytes]:
    """Return the words of a format: a section of words.txt, with the escapes of Python."""
    section = WORDS.partition(f"## {name}\n")[2].partition("\n## ")[0]
    return [word.encode("ascii").decode("unicode_escape").encode("latin-1") for word in section.split()]


def past_inputs(name: str) -> list[bytes]:
    """Return the inputs of past faults of a target."""
    return [file.read_bytes() for file in sorted((PAST / name).glob("*"))]


# Pages


def _windows(page: bytes) -> list[bytes]:
    """Cut a page into inputs of some lines; each begins with a comment, so that its families have types."""
    page_lines = page.split(b"\n")
    starts = [index for index, line in enumerate(page_lines) if line.startswith(b"# HELP")]
    step = max(1, len(starts) // 40)
    return [b"\n".join(page_lines[start : start + _WINDOW]) + b"\n" for start in starts[::step]]


@cache
def page_corpus() -> tuple[bytes, ...]:
    """Return pieces of real pages, and small pages of what is rare in them."""
    real = [
        window
        for file in sorted((TESTS / "scrape" / "pages").glob("*.gz"))
        for window in _windows(real_page(file.stem))
    ]
    rare = (
        b'# TYPE h histogram\nh_bucket{le="1"} 1\nh_bucket{le="+Inf"} 2\nh_sum 3\nh_count 2\n',
        b'# TYPE s summary\ns{quantile="0.5"} NaN\ns_sum 1\ns_count 2\n',
        b'# TYPE a gauge\na{b="\\\\\\n\\""} 1\n# TYPE a counter\na{b="x"} 2\n',
        b"a 1\r\nb 2\r\n",
        b'rollout_info{name="a",namespace="n",phase="A"} 1\nrollout_info{name="a",namespace="n",phase="B"} 1\n',
    )
    return (*real, *rare)


def _parse(page: bytes, cache: ScrapeCache, cuts: Sequence[int] = ()) -> Exposition | str:
    """Return a parsed page, or the reason for which it is unusable."""
    try:
        return parse_page(page, cuts, cache)
    except ExpositionError as error:
        return error.reason


def _comparable(outcome: Exposition | str) -> object:
    return (
        outcome if isinstance(outcome, str) else (family_values(outcome), dict(outcome.parse_errors), outcome.samples)
    )


def check_parser(content: bytes, random: Random) -> None:
    """A page gives the same families in any pieces and after any page; what is rendered of it is parsed to the same."""
    before, _, page = content.rpartition(_PART)
    outcome = _parse(page, ScrapeCache())
    cuts = [random.randrange(len(page) + 1) for _ in range(random.randint(1, 5))]
    law(_comparable(_parse(page, ScrapeCache(), cuts)) == _comparable(outcome), f"pieces differ: {cuts}")
    cache = ScrapeCache()
    parser = ExpositionParser(cache, always_selected, 0)
    with suppress(ExpositionError):
        parser.feed(before or page[: len(page) // 2])
        cache.store("t", parser.finish().families)
    following = ExpositionParser(cache, always_selected, 0, cache.previous_families("t"))
    try:
        following.feed(page)
        incremental: Exposition | str = following.finish()
    except ExpositionError as error:
        incremental = error.reason
    law(_comparable(incremental) == _comparable(outcome), "a page after another differs from the same page alone")
    if not isinstance(outcome, str):
        samples = sum(map(len, outcome.families.values())) + outcome.parse_errors.get("duplicate_series", 0)
        law(samples == outcome.samples, "the samples are not those of the families, and the repeated ones")
        _check_rendering(list(outcome.families.values()))


def _check_rendering(families: list[MetricFamily]) -> None:
    rendered = b"".join(exposition_writer.render(families))
    parsed = parse_page(rendered)
    law(not parsed.parse_errors, f"what is rendered cannot be parsed: {dict(parsed.parse_errors)}")
    law(b"".join(exposition_writer.render(parsed.families.values())) == rendered, "rendered twice, a page differs")


def _results(content: bytes) -> Iterator[list[ScrapeResult]]:
    """Yield the results of each tick: the parts of an input are pages of a controller and of kube-state-metrics."""
    factory = parser_factory(ARTICLE)
    parts = content.split(_PART)[:12]
    for number, part in enumerate(parts):
        results = []
        for source, target in ((Source.ARGO, "10.0.0.1:8090"), (Source.KUBE_STATE_METRICS, "10.0.0.2:8080")):
            parser = factory(ScrapeRequest(source, target, 1000.0 + 15 * number))
            parser.start(200, {})
            parser.feed(part)
            results.append(parser.finish(None, 0.01))
        yield results


def check_rollouts(content: bytes, random: Random) -> None:
    """No page ends a tick with an exception, and views do not depend on the pages before."""
    tracker, reader = RolloutTracker(tracking_policy(ARTICLE)), ControllerPageReader()
    for number, results in enumerate(_results(content)):
        if results[0].failure is None:
            law(reader.read(results[0]) == ControllerPageReader().read(results[0]), "views depend on pages before")
        snapshot = tracker.process(1000.0 + 15 * number + random.random(), results)
        series = Counter((family.name, str(item)) for family in snapshot.families for item in family.series)
        law(max(series.values(), default=1) == 1, f"a series is exported twice: {series.most_common(1)}")
        page = RolloutsPage(1000.0, has_leader=True, rollouts=list(views.rollouts_json(tracker.status, 1000.0)))
        law(len(list(list_lines(page, None))) == 1 + len(page.rollouts), "a rollout is not one line")
        for rollout in tracker.status.rollouts:
            details = views.rollout_details_json(tracker.status, rollout.key, 1000.0)
            document = json.loads(json.dumps(details, allow_nan=False))
            law(bool(list(explain_lines(document))), "nothing is explained")
            explanation = explain(rollout, 1000.0)
            law(rollout_card(rollout, explanation, 0.0, 1000.0).sentence != "", "a card has no sentence")
            series_lines(rollout, DERIVED_FAMILIES)
            revision_lines(rollout)
            step_lines(rollout, explanation, (), 1000.0)
        b"".join(exposition_writer.render(snapshot.families))


def check_encoder(content: bytes, random: Random) -> None:
    """Every number is encoded or counted as skipped, and a cached encoding is that from scratch."""
    identity = Identity((("cluster", "c"),), (("cluster", "c"),))
    limits = (random.choice((1, 3, 5000)), random.choice((2_000, 4_000_000)))
    cached = Encoder(identity, *limits)
    cache = ScrapeCache()
    previous: tuple[MetricFamily, ...] = ()
    for number, part in enumerate(content.split(_PART)[:4]):
        outcome = _parse(part, cache)
        families = () if isinstance(outcome, str) else tuple(outcome.families.values())
        stale = tuple(family for family in previous if random.random() < 0.5)
        snapshot, previous = MetricsSnapshot(1000.0 + number, families, stale), families
        before = cached.skipped.copy()
        bodies = _bodies(cached, snapshot, limits)
        fresh = Encoder(identity, *limits)
        law(bodies == _bodies(fresh, snapshot, limits), "cached requests differ from those from scratch")
        law(cached.skipped - before == +fresh.skipped, f"skipped differ: {cached.skipped - before} != {fresh.skipped}")
        _check_books(Encoder(identity), [family for family in families if family.type not in _GROUPED])


_GROUPED: Final = {MetricType.HISTOGRAM, MetricType.SUMMARY}


def _bodies(encoder: Encoder, snapshot: MetricsSnapshot, limits: tuple[int, int]) -> list[bytes]:
    requests = list(encoder.requests(snapshot))
    for request in requests:
        message = ExportMetricsServiceRequest.FromString(request.body)
        scope = message.resource_metrics[0].scope_metrics[0]
        points = sum(len(getattr(metric, metric.WhichOneof("data") or "").data_points) for metric in scope.metrics)
        law(points == request.point_count, "the count of points is wrong")
        law(request.point_count <= limits[0] and len(request.body) <= limits[1], "a request exceeds its limits")
    return [request.body for request in requests]


def _check_books(encoder: Encoder, numbers: list[MetricFamily]) -> None:
    encoded = sum(request.point_count for request in encoder.requests(MetricsSnapshot(1000.0, tuple(numbers))))
    law(encoded + encoder.skipped.total() == sum(map(len, numbers)), f"books: {encoded} + {encoder.skipped}")


# Gates


@cache
def condition_corpus() -> tuple[bytes, ...]:
    """Return conditions that real engines evaluated."""
    return tuple(row["condition"].encode() for row in list(lines("conditions"))[::7])


def check_conditions(content: bytes, random: Random) -> None:
    """A condition is true, false, a failure of the engine, or a ConditionError with a position in its text."""
    text = content.decode("utf-8", "replace")
    result = random.choice(([], [0.5], [math.nan], [1.0, -0.0, math.inf], 0.5, math.nan))
    for engine in Engine:
        try:
            condition = parse(text, engine)
        except ConditionError as error:
            law(
                bool(error.message) and 0 <= error.position <= len(text),
                f"an error at {error.position}: {error.message}",
            )
            continue
        for result_type in (VECTOR, SCALAR):
            with suppress(ConditionError):
                check(condition, result_type)
        with suppress(ConditionError):
            law(isinstance(evaluate(condition, result), bool | EngineFailure), "neither true nor false nor a failure")
        if random.random() < 0.05:
            _check_simulation(text)


def _check_simulation(condition: str) -> None:
    provider = {"prometheus": {"address": "http://h", "query": "q"}}
    metric = {"name": "m", "successCondition": condition, "provider": provider}
    document = {"kind": "AnalysisTemplate", "metadata": {"name": "a"}, "spec": {"metrics": [metric]}}
    answers = AnswerSequence({"q": [[0.5]]})
    with suppress(TemplateError, ConditionError):
        (template,) = read_objects(json.dumps(document)).templates
        context = RunContext(parse_version(DEFAULT_VERSION), 1.7e9, 60.0, None)
        for measurement in simulate(resolve_spec(template, (template,), {}), answers.next, context).traces:
            json.dumps(explanation_json(measurement))
            "\n".join(explanation_lines(measurement)).encode()


@cache
def query_corpus() -> tuple[bytes, ...]:
    """Return the queries of the gates of the linter's tests."""
    queries = []
    for text in manifest_corpus():
        with suppress(TemplateError, ValueError):
            templates = read_objects(text.decode()).templates
            queries += [m.prometheus.query.encode() for t in templates for m in t.spec.metrics if m.prometheus]
    return tuple(queries) or (b"sum(rate(a[5m]))/sum(rate(b[5m]))",)


def check_promql(content: bytes, _: Random) -> None:
    """A text is a query, of which all is predicted, or a PromQLError."""
    try:
        query = promql.parse(content.decode("utf-8", "replace"))
    except promql.PromQLError as error:
        law(bool(str(error)), "an error without a text")
        return
    node = query.expression
    for predict in (
        promql.result_type,
        promql.single_series_labels,
        promql.may_be_empty,
        promql.may_be_nan,
        promql.is_share,
        promql.loses_le_label,
    ):
        predict(node)
    list(promql.ranges(node))


@cache
def manifest_corpus() -> tuple[bytes, ...]:
    """Return the manifests of the linter's tests."""
    return tuple(file.read_bytes() for file in sorted((TESTS / "gate" / "lint").rglob("*.yaml")))


def check_lint(content: bytes, random: Random) -> None:
    """Any text has findings, printed in each format, and is a template or a TemplateError to `gate run`."""
    text = content.decode("utf-8", "replace")
    context = LintContext(parse_version(random.choice(("1.8.3", DEFAULT_VERSION, "1.10.0-rc1"))))
    lint_input = read_input((ManifestFile("gate.yaml", text, is_explicit=True),), context)
    findings = apply_rules(lint_input)
    for finding in findings:
        law(finding.line >= 1, f"a finding at line {finding.line}")
    for layout in FORMATS.values():
        "\n".join(layout(findings, len(lint_input.gates))).encode()
    with suppress(TemplateError):
        read_objects(text)


# Configuration


@cache
def config_corpus() -> tuple[bytes, ...]:
    """Return configuration files: those of the tests, and the defaults."""
    invalid = (TESTS / "config" / "invalid_files.txt").read_text().split("###\n")[1:]
    valid = (
        as_yaml(load(None, {})),
        "argo: [{targets: [a:1]}, {name: b, targets: [http://b:1/x?token=y], interval: 30s}]\nlog: {level: debug}",
        "otlp: {endpoint: 'https://h/x', headers: {a: b}}\nattributes: {cluster: c}\nweb: {listen: ':0'}",
    )
    return tuple(text.encode() for text in (*invalid, *valid))


def config_words() -> list[bytes]:
    """Return the keys of all settings and hostile values."""
    keys = [f"{path[-1]}: ".encode() for path, _ in schema.iter_fields(Settings)]
    sections = [".".join(map(str, path)).encode() for path, _ in schema.iter_fields(Settings)]
    values = (
        b"/dev/null",
        b'"\\0"',
        b'"\\ud800"',
        b"1ns",
        b"9999d",
        b"http://",
        b"unix:/x",
        b"[a:1, a:1]",
        b"{a: b}",
        b"&a",
        b"*a",
        b"!!int",
        b"''",
        b"grpc",
    )
    return [*keys, *sections, *values]


def check_config(content: bytes, random: Random) -> None:
    """A file loads, and is printed as a file that loads, or it is a ConfigError; what loads also starts."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / random.choice(("x.yaml", "x.yaml", "x.env"))
        file.write_bytes(content)
        try:
            loaded = load(file, {})
        except ConfigError as error:
            law(bool(error.issues), "an error without an issue")
            return
        printed = Path(folder) / "printed.yaml"
        printed.write_text(as_yaml(loaded))
        load(printed, {})
        if random.random() < 0.1 and str(loaded.settings.storage.directory or folder).startswith(folder):
            with chdir(folder):
                _start_and_stop(loaded)


def _start_and_stop(loaded: Any) -> None:
    async def run() -> None:
        stop = asyncio.Event()
        stop.set()
        await App(loaded, "fuzz").run(stop)

    with suppress(*USER_ERRORS):
        asyncio.run(run())


# Answers of servers


def _answer(status: int, headers: str, body: str) -> bytes:
    return f"{status}\n{headers}\n\n{body}".encode()


def answer_corpus() -> list[bytes]:
    """Return answers of stores and of what stands before them: status, headers, body."""
    vector = '"resultType":"vector","result":[{"metric":{"a":"b"},"value":[1,"2"]}]'
    success = f'{{"status":"success","data":{{{vector}}},"warnings":["w"]}}'
    matrix = '{"status":"success","data":{"resultType":"matrix","result":[{"metric":{},"values":[[1,"NaN"]]}]}}'
    return [
        _answer(200, "content-type: application/x-protobuf", ""),
        _answer(
            200, "content-type: application/json", '{"partialSuccess":{"rejectedDataPoints":"5","errorMessage":"x"}}'
        ),
        b"200\ncontent-type: application/x-protobuf\n\n\x0a\x06\x08\x05\x12\x02ab",
        _answer(200, "content-type: text/html", "<html><script>x</script>login</html>"),
        _answer(429, "retry-after: 864000", "slow down"),
        _answer(503, "retry-after: Wed, 21 Oct 2026 07:28:00 GMT", ""),
        _answer(302, "location: http://u:p@h:x/[", ""),
        _answer(400, "content-type: application/json", success.replace("success", "error")),
        _answer(200, "content-type: application/json", success),
        _answer(200, "content-type: application/json", matrix),
    ]


_CODES: Final = ("OK", "RESOURCE_EXHAUSTED", "UNAVAILABLE", "INVALID_ARGUMENT", "UNAUTHENTICATED", "NEW_CODE")
_RESULTS: Final = (Accepted, Retryable, Blocked, Permanent)


def check_answers(content: bytes, random: Random) -> None:
    """Each answer has a result; what is accepted and rejected are the points that were sent, and waits are bounded."""
    head, _, body = content.partition(b"\n\n")
    first, *rows = head.decode("utf-8", "replace").split("\n")
    status = int(first) if first.isascii() and first.isdigit() and len(first) < 4 else 200
    headers = {name.strip().lower(): value.strip() for name, _, value in (row.partition(":") for row in rows)}
    response = HttpResponse(status, headers, body)
    points = random.choice((0, 1, 1000))
    code = random.choice(_CODES)
    grpc = GrpcResponse(code, body, headers.get("location", ""), body)
    for outcome in (classify_http(response, points, 1.7e9), classify_grpc(grpc, points)):
        law(isinstance(outcome, _RESULTS), f"no result: {outcome!r}")
        if isinstance(outcome, Accepted):
            law(
                outcome.accepted + outcome.rejected == points and min(outcome.accepted, outcome.rejected) >= 0,
                repr(outcome),
            )
        if isinstance(outcome, Retryable):
            law(0 < (outcome.retry_after or 1) <= MAX_RETRY_AFTER, repr(outcome))
        outcome.message.encode()
    document = parse_response(response, QueryContext("http://h:1/api/v1/query", has_credential=True, hints=Hints()))
    if isinstance(document, Failure):
        law(document.message.isprintable(), repr(document.message))
    else:
        with suppress(ValueError):
            parse_query(document)


# Recordings


def recording_corpus() -> list[bytes]:
    """Return lines of frames; the page that they name is the text after the first part."""
    page = b'rollout_info{name="a",namespace="n",phase="Paused"} 1\nworkqueue_adds_total 1\n'
    entry = {
        "source": "argo",
        "target": "a:1",
        "status": 200,
        "headers": {"Content-Type": "text/plain"},
        "file": "a.prom",
    }
    failed = {"source": "kube_state_metrics", "target": "k:1", "status": None, "error": "refused"}
    frames = [
        json.dumps({"at": timestamp, "pages": [entry, {**entry, "file": "a.prom.gz"}, failed]}) for timestamp in (1, 16)
    ]
    return ["\n".join(frames[:count]).encode() + _PART + page for count in (1, 2)]


def check_recording(content: bytes, random: Random) -> None:
    """A recording is replayed, and each frame is a line of JSON, or it is a RecordingError."""
    frames, _, page = content.partition(_PART)
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / FRAMES_FILE).write_bytes(frames)
        (Path(folder) / "a.prom").write_bytes(page)
        (Path(folder) / "a.prom.gz").write_bytes(page)
        with suppress(RecordingError):
            for frame, snapshot, _ in replay_frames(Path(folder) / FRAMES_FILE, ARTICLE):
                json.loads(snapshot_json(frame.timestamp, snapshot, passthrough=random.random() < 0.5).encode())
                list(Encoder(Identity((), ())).requests(snapshot))


# Commands

_OFFLINE: Final = {"check", "config", "series", "replay", "gate", "spool", "--version"}
_ONLINE: Final = {"run", "drain", "--estimate"}
_COMMANDS: Final = (
    "check FILE", "config -h", "--set log.level=debug config", "-c FILE check", "-s web.listen=:1 config", "series",
    "gate lint FILE", "gate lint --format json --strict --controller 1.8.3 FILE", "gate lint --format github FILE",
    "gate lint --scrape-interval 15s --read-delay 0 FILE", "gate simulate FILE --answers FILE --for 5m --explain",
    "gate simulate --cases FILE", "gate simulate FILE --answers FILE --arg a=b --arg-file c=FILE --json",
    "gate render --signal error-rate --service a --namespace n --address http://h --interval 1m --count 5",
    "gate render --answers FILE --credential-file FILE --part secret", "replay FILE", "replay FILE --format otlp-json",
    "replay FILE --format prom --passthrough", "spool ls", "spool verify",
)  # fmt: skip
_FILES: Final = (
    b"log: {level: debug}\n",
    b'{"q": [[0.5], {"scalar": 1}, 500, {"error": "x"}, {"matrix": [[1, 2]]}]}',
    b"signal: error-rate\nservice: checkout\nnamespace: shop\naddress: http://h:9090\n",
    b"user:token\n",
    b'{"name": "a", "spec": {"metrics": []}, "answers": {}}\n',
)


def command_corpus() -> list[bytes]:
    """Return command lines, one argument a line, and after an empty line the content of FILE."""
    files = (*_FILES, recording_corpus()[0].partition(_PART)[0], *manifest_corpus()[::20])
    heads = ["\n".join(command.split()).encode() for command in _COMMANDS]
    return [head + b"\n\n" + content for head in heads for content in files]


def check_commands(content: bytes, _random: Random) -> None:
    """A command without a network ends with an exit status, whatever its options and its file are."""
    head, _, body = content.partition(b"\n\n")
    # No argument of a process holds NUL.
    arguments = head.replace(b"\0", b"").decode("utf-8", "surrogateescape").split("\n")
    if _OFFLINE.isdisjoint(arguments) or not _ONLINE.isdisjoint(arguments):
        return
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "file.yaml"
        file.write_bytes(body)
        arguments = [argument.replace("FILE", str(file)) for argument in arguments]
        with chdir(folder):
            result = CliRunner().invoke(main, arguments, env={"GATE_ARG_A": "b"})
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception


TARGETS: Final = (
    Target("parser", page_corpus, partial(words, "pages"), check_parser),
    Target("rollouts", page_corpus, partial(words, "pages"), check_rollouts),
    Target("encoder", page_corpus, partial(words, "pages"), check_encoder),
    Target("conditions", condition_corpus, partial(words, "conditions"), check_conditions),
    Target("promql", query_corpus, partial(words, "promql"), check_promql),
    Target("lint", manifest_corpus, partial(words, "lint"), check_lint),
    Target("config", config_corpus, config_words, check_config, seconds=10.0),
    Target("answers", answer_corpus, partial(words, "answers"), check_answers),
    Target("commands", command_corpus, lambda: [*words("commands"), *config_words()], check_commands),
    Target("recording", recording_corpus, lambda: [*words("recording"), *words("pages")], check_recording),
)
"""In a new row the corpus is what real programs write, and `check` never catches more than the API's own errors."""
