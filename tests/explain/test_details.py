"""Pages of the chart's custom-resource state, of both configurations, are read, and absent parts stay absent."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest
import yaml

from exporter.metrics import Source
from exporter.rollouts.details import CanaryStep, RolloutDetails
from exporter.rollouts.inputs.go_steps import parse_duration, parse_steps
from exporter.rollouts.inputs.rollout_state import REQUIRED_FAMILIES, RolloutStatusReader
from exporter.rollouts.nested_rows import from_document, to_document
from exporter.scrape.response import ScrapeRequest
from tests.recorded import EXPLAINED_NAMES
from tests.rollouts.pages import PageStatus, parse_page, status_page

if TYPE_CHECKING:
    from exporter.rollouts.model import RolloutStatus
    from tests.recorded import Recordings

CHART: Final = Path(__file__).parent.parent.parent / "charts" / "rollouts-exporter" / "sidecar" / "rollout-state.yaml"
CART = ("shop", "cart")
LABELS = 'namespace="shop",name="cart"'
RUN = 'namespace="shop",name="cart-abc-2-1"'


def read(*lines: str) -> RolloutStatus:
    """Return the status of shop/cart on a page of these lines."""
    page = parse_page(
        ScrapeRequest(Source.ROLLOUT_STATE, "state", 1.0), *(f"kube_customresource_{line}" for line in lines)
    )
    return RolloutStatusReader().read([page], 1.0)[CART]


@pytest.mark.parametrize(
    ("text", "kinds"),
    [
        ("[map[setWeight:20] map[pause:map[]]]", ["setWeight", "pause"]),
        ("[map[setWeight:20] map[setWeight:20]]", ["setWeight", "setWeight"]),
        (
            "[map[analysis:map[args:[map[name:a value:x y: z] map[name:b]] templates:[map[templateName:t]]]]]",
            ["analysis"],
        ),
        ("[map[plugin:map[config:map[text:two words] name:argoproj/e2e]]]", ["plugin"]),
        ("[]", None),
        ("", None),
        # Brackets in texts.
        ("[map[analysis:map[args:[map[value:[x]]]] map[pause:map[]]]", None),
        ("[map[analysis:map[args:[map[value:[x]]]] map[plugin:map[config:map[x:y]]]]]", None),
        ("[map[pause:map[]]", None),
    ],
)
def test_steps_are_read_from_the_text_of_a_list_unless_it_is_ambiguous(text: str, kinds: list[str] | None) -> None:
    steps = parse_steps(text)
    assert (steps and [step.kind for step in steps]) == kinds


def test_steps_have_the_duration_of_a_pause_and_the_route_that_they_make_or_remove() -> None:
    text = (
        "[map[pause:map[duration:1h30m]] map[pause:map[duration:10]] map[pause:map[]]"
        " map[setHeaderRoute:map[match:[map[headerName:tester headerValue:map[exact:name:yes]]] name:testers]]"
        " map[setHeaderRoute:map[name:testers]] map[setMirrorRoute:map[name:copy percentage:10]]]"
    )
    assert parse_steps(text) == (
        CanaryStep("pause", 5400.0),
        CanaryStep("pause", 10.0),
        CanaryStep("pause"),
        CanaryStep("setHeaderRoute", route="testers", makes_route=True),
        CanaryStep("setHeaderRoute", route="testers"),
        CanaryStep("setMirrorRoute", route="copy", makes_route=True),
    )
    assert [parse_duration(text) for text in ("1.5s", "2d", "", "-1s")] == [1.5, None, None, None]


def test_a_page_of_the_first_configuration_has_no_details() -> None:
    statuses = RolloutStatusReader().read([status_page(1.0, PageStatus("a", "b"))], 1.0)
    assert statuses[CART].details is None


def test_absent_labels_are_absent_parts() -> None:
    details = read(f'rollout_status_info{{{LABELS},revision="1"}} 1').details
    assert details == RolloutDetails(revision="1")


def test_numbers_and_flags_of_resource_state_metrics_are_read() -> None:
    kind = 'group="argoproj.io",version="v1alpha1",kind="Rollout"'
    status = read(
        f'rollout_status_info{{{kind},{LABELS},revision="2.000000",current_hash="abc",stable_hash="old"}} 1.000000',
        f'rollout_spec_info{{{kind},{LABELS},paused="true",progress_deadline_seconds="7.000000"}} 1.000000',
        f"rollout_current_step_index{{{kind},{LABELS}}} 4.000000",
        f'analysis_run_status_info{{{RUN},owner_kind="Rollout",owner="cart",phase="Failed",step="1.000000"}} 1.000000',
        f'analysis_run_result_info{{{RUN},metric="errors",phase="Failed",failed="2.000000",last_value="[0.5]"}} 1',
    )
    details = status.details
    assert details is not None
    assert (details.revision, details.plan.is_paused, details.plan.progress_deadline) == ("2", True, 7.0)
    assert status.step_index == 4
    (run,) = details.runs
    assert run.step == 1
    assert run.bad_metric is not None
    assert (run.bad_metric.failed, run.bad_metric.last_value) == (2, "[0.5]")


def test_the_run_of_an_experiment_belongs_to_the_rollout_of_the_experiment() -> None:
    experiment = 'namespace="shop",name="cart-abc-2-0"'
    details = read(
        f'rollout_status_info{{{LABELS},revision="2"}} 1',
        f'experiment_status_info{{{experiment},owner_kind="Rollout",owner="cart",phase="Failed",revision="2"}} 1',
        f'analysis_run_status_info{{{RUN},owner_kind="Experiment",owner="cart-abc-2-0",phase="Failed"}} 1',
    ).details
    assert details is not None
    assert [(run.name, run.experiment) for run in details.runs] == [("cart-abc-2-1", "cart-abc-2-0")]


def test_the_chart_exports_every_family_that_is_read() -> None:
    resources = yaml.safe_load(CHART.read_text())["customResourceState"]["config"]["spec"]["resources"]
    exported = {f"kube_customresource_{metric['name']}" for resource in resources for metric in resource["metrics"]}
    # Labels are in a comment of the file, since few need them.
    assert exported | {"kube_customresource_rollout_labels"} >= REQUIRED_FAMILIES


@pytest.mark.slow
@pytest.mark.parametrize("name", EXPLAINED_NAMES)
def test_following_pages_gives_what_a_new_reader_reads_and_rows_preserve_it(
    explained_recordings: Recordings, name: str
) -> None:
    following = RolloutStatusReader()
    for tick in explained_recordings.ticks(name, "full"):
        results = [result for result in tick.results if result.source is Source.ROLLOUT_STATE]
        statuses = following.read(results, tick.timestamp)
        assert statuses == RolloutStatusReader().read(results, tick.timestamp)
        for status in statuses.values():
            assert from_document(RolloutDetails, to_document(status.details)) == status.details
