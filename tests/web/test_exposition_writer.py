from __future__ import annotations

import math
import subprocess
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from exporter.metrics import SAMPLE_SUFFIXES, MetricFamily, MetricType, Series, family_from_samples
from exporter.self_metrics import OwnMetric, SelfMetrics
from exporter.web.exposition_writer import BLOCK_SAMPLES, format_value, render

if TYPE_CHECKING:
    from collections.abc import Iterable

ParsedFamilies = dict[tuple[str, str, str], dict[tuple[str, frozenset[tuple[str, str]]], str]]

TEXT = st.text(st.characters(codec="utf-8"), max_size=8)
LABELS = st.dictionaries(st.sampled_from(["namespace", "name", "phase", "_x9"]), TEXT.filter(bool))


def page(*families: MetricFamily) -> str:
    return b"".join(render(families)).decode()


def gauge(name: str, *samples: tuple[dict[str, str], float], text: str = "Text.") -> MetricFamily:
    pairs = [(Series(name, tuple(labels.items())), value) for labels, value in samples]
    return family_from_samples(name, MetricType.GAUGE, text, pairs)


@st.composite
def family_strategy(draw: st.DrawFn, name: str) -> MetricFamily:
    kind = draw(st.sampled_from(list(MetricType)))
    name += draw(st.sampled_from(["", "_total"])) if kind is MetricType.COUNTER else ""
    drawn = draw(st.lists(st.tuples(LABELS, st.floats()), min_size=1, max_size=6))
    unique = {tuple(sorted(labels.items())): value for labels, value in drawn}
    names = [f"{name}{suffix}" for suffix in SAMPLE_SUFFIXES[kind]]
    pairs = [(Series(sample_name, labels), value) for sample_name in names for labels, value in unique.items()]
    return family_from_samples(name, kind, draw(TEXT.map(str.strip)), pairs)


FAMILIES = st.tuples(family_strategy("m0"), family_strategy("m1:sub"), family_strategy("_m2"))


def expected(families: Iterable[MetricFamily]) -> ParsedFamilies:
    """Return families as the reference parser names them: it appends `_total` to every counter."""
    return {
        (_base_name(family), family.type.replace("untyped", "unknown"), family.help): {
            (_sample_name(family, series), frozenset(series.labels)): repr(value + 0.0)
            for series, value in zip(family.series, family.values, strict=True)
        }
        for family in families
    }


def _base_name(family: MetricFamily) -> str:
    return family.name.removesuffix("_total") if family.type is MetricType.COUNTER else family.name


def _sample_name(family: MetricFamily, series: Series) -> str:
    return f"{_base_name(family)}_total" if family.type is MetricType.COUNTER else series.name


def parse(text: str) -> ParsedFamilies:
    return {
        (family.name, family.type, family.documentation): {
            (sample.name, frozenset(sample.labels.items())): repr(sample.value + 0.0) for sample in family.samples
        }
        for family in text_string_to_metric_families(text)
    }


@pytest.mark.slow
@settings(max_examples=300, deadline=None)
@given(FAMILIES)
def test_the_reference_parser_reads_back_what_is_rendered(families: tuple[MetricFamily, ...]) -> None:
    assert parse(page(*families)) == expected(families)


@settings(max_examples=100, deadline=None)
@given(FAMILIES, st.integers(0, 6))
def test_families_of_one_name_are_rendered_as_one(families: tuple[MetricFamily, ...], cut: int) -> None:
    def part(family: MetricFamily, which: slice) -> MetricFamily:
        return MetricFamily(family.name, family.type, family.help, family.series[which], family.values[which])

    parts = [part(family, which) for which in (slice(cut), slice(cut, None)) for family in families]
    assert page(*parts) == page(*families)


def test_the_page_is_sorted_and_has_one_header_per_family() -> None:
    text = page(
        gauge("b", ({}, 2), text="Said second."),
        gauge("a", ({"x": "1"}, 1), text=""),
        gauge("b", ({"x": "y"}, 3), text="Said third."),
    )
    assert text == ('# TYPE a gauge\na{x="1"} 1\n# HELP b Said second.\n# TYPE b gauge\nb 2\nb{x="y"} 3\n')


def test_the_first_value_of_a_duplicate_series_is_rendered() -> None:
    text = page(gauge("a", ({"x": "1", "y": "2"}, 1), ({"y": "2", "x": "1"}, 2)), gauge("a", ({"y": "2", "x": "1"}, 3)))
    assert text.splitlines()[2:] == ['a{x="1",y="2"} 1']


def test_a_family_without_samples_leaves_no_header() -> None:
    assert page(gauge("a")) == ""


def test_a_counter_without_total_keeps_its_name() -> None:
    counter = family_from_samples(
        "rollout_reconcile_error", MetricType.COUNTER, "", [(Series("rollout_reconcile_error", ()), 4)]
    )
    assert page(counter) == "# TYPE rollout_reconcile_error counter\nrollout_reconcile_error 4\n"


def test_only_characters_that_need_it_are_escaped() -> None:
    text = page(gauge("a", ({"x": 'b\\c\n"d"\té', "y": "plain"}, 1), text='say\\ "it"\nnow'))
    assert text == '# HELP a say\\\\ "it"\\nnow\n# TYPE a gauge\na{x="b\\\\c\\n\\"d\\"\té",y="plain"} 1\n'


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1.0, "1"),
        (-0.0, "-0"),
        (0.25, "0.25"),
        (0.1 + 0.2, "0.30000000000000004"),
        (1_795_446_023.772, "1795446023.772"),
        (1e22, "1e+22"),
        (5e-324, "5e-324"),
        (math.nan, "NaN"),
        (-math.nan, "NaN"),
        (math.inf, "+Inf"),
        (-math.inf, "-Inf"),
    ],
)
def test_a_value_is_formatted_exactly_and_briefly(value: float, text: str) -> None:
    assert format_value(value) == text


@pytest.mark.slow
def test_a_large_family_comes_in_blocks_under_one_header() -> None:
    large = gauge("a", *(({"n": str(n)}, n) for n in range(2 * BLOCK_SAMPLES + 1)))
    blocks = list(render([large]))
    assert [block.count(b"\na{") + block.startswith(b"a{") for block in blocks] == [BLOCK_SAMPLES, BLOCK_SAMPLES, 1]
    assert b"".join(blocks).count(b"# TYPE") == 1


def test_promtool_accepts_the_own_and_derived_metrics(promtool: str) -> None:
    self_metrics = SelfMetrics("exporter-0", 1_795_446_000.0)
    self_metrics.add(OwnMetric.PARSE_ERRORS, "argo", "no value")
    self_metrics.add(OwnMetric.SCRAPES, "argo", "ok")
    self_metrics.add(OwnMetric.SAMPLES_DROPPED, "namespace")
    self_metrics.observe(OwnMetric.REQUEST_SECONDS, 0.2)
    observable = [metric for metric in OwnMetric if metric.value.observable]
    self_metrics.register_callback(lambda: {row: {"a": 1.0} if row.value.labels else 1.0 for row in observable})
    rollout = {"namespace": "shop", "name": "cart"}
    derived = [
        gauge("argo_rollouts_phase", ({**rollout, "phase": "Paused"}, 1), ({**rollout, "phase": "Error"}, 0)),
        gauge("argo_rollouts_phase_start_timestamp_seconds", (rollout, 1_795_446_000.5)),
        gauge("argo_rollouts_canary_fraction", (rollout, 0.2)),
        gauge("rollouts_exporter_target_up", ({"source": "argo", "instance": "10.0.0.1:8090"}, 1)),
    ]
    families = [*self_metrics.families(process=True), *derived]
    assert {metric.value.name for metric in OwnMetric} <= {family.name for family in families}
    run = [promtool, "check", "metrics"]
    done = subprocess.run(run, input=page(*families), capture_output=True, text=True, timeout=20, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
