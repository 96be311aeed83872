"""The messages about transitions: paired, about what was seen alone, the same whenever they are made."""

from __future__ import annotations

import json
import subprocess
from collections import defaultdict
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from exporter.config.notify import ChangeEventsSection, WebhookSection
from exporter.config.settings import Settings
from exporter.notify.destinations.change_events import EventNames, change_events
from exporter.notify.destinations.grafana import update_annotations
from exporter.notify.destinations.webhook import cloud_event, signed, templated
from exporter.rollouts.events.model import ReportedTransition, TransitionType
from exporter.rollouts.tracker import RolloutTracker
from exporter.service.wiring import tracking_policy
from tests.notify.golden import GOLDEN_FOLDER, NAMES, event_bodies, markers
from tests.recorded import EXPLAINED_NAMES
from tests.rollouts.stored import StoredRows, transitions_of_restarts

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from tests.recorded import Recordings

STARTED = ReportedTransition(
    1_800_000_000.25, ("shop", "cart"), TransitionType.UPDATE_STARTED, 'It "started"', attempt=(1_800_000_000.25, 0)
)


@pytest.mark.parametrize("name", EXPLAINED_NAMES)
def test_the_events_of_a_recording_are_as_in_its_golden_file(explained_recordings: Recordings, name: str) -> None:
    """After a change that is right: python -m tests.notify.golden --write."""
    assert markers(explained_recordings, name) == (GOLDEN_FOLDER / f"{name}.txt").read_text()


@pytest.mark.parametrize("name", EXPLAINED_NAMES)
def test_each_deployment_starts_once_and_stops_at_most_once(explained_recordings: Recordings, name: str) -> None:
    states: dict[str, list[str]] = defaultdict(list)
    for body in event_bodies(explained_recordings, name):
        event = json.loads(body)
        if event["event_name"] == "deployment":
            states[event["attributes"]["deployment_id"]].append(event["event_state"])
        else:
            assert states[event["attributes"]["deployment_id"]], "a mark of a deployment that has not started"
    assert states
    assert all(pair in (["start"], ["start", "stop"]) for pair in states.values())


@pytest.mark.slow
@pytest.mark.parametrize("name", ["analysis-1.10.2", "superseded-1.9.3", "storm-34-1.9.3"])
def test_a_restart_at_any_frame_makes_the_same_bytes(explained_recordings: Recordings, name: str) -> None:
    transitions = transitions_of_restarts(explained_recordings, name)
    bodies = [body for each in transitions for body in change_events(each, NAMES, marks=True)]
    assert bodies == list(event_bodies(explained_recordings, name))


@pytest.mark.parametrize("name", EXPLAINED_NAMES)
def test_a_rollout_first_seen_in_mid_life_has_no_event_before_its_next_update(
    explained_recordings: Recordings, name: str
) -> None:
    ticks = explained_recordings.ticks(name, "full")
    for first in range(5, len(ticks), 9):
        tracker, started = RolloutTracker(explained_recordings.policy), set()
        for tick in ticks[first:]:
            tracker.process(tick.timestamp, tick.results)
            for transition in tracker.status.transitions:
                for body in change_events(transition, NAMES, marks=True):
                    attributes = json.loads(body)["attributes"]
                    if json.loads(body)["event_state"] == "start":
                        started.add(attributes["deployment_id"])
                    assert attributes["deployment_id"] in started
                    assert transition.attempt is not None
                    assert transition.attempt[0] > ticks[first].timestamp


def event_of(transition: ReportedTransition, **section: Any) -> dict[str, Any]:
    names = EventNames("prod-1", "production", ChangeEventsSection(**section))
    (body,) = change_events(transition, names, marks=False)
    document: dict[str, Any] = json.loads(body)
    return document


def test_service_and_environment_come_from_the_table_then_the_label_then_the_name() -> None:
    labelled = replace(STARTED, labels={"label_app_kubernetes_io_name": "basket", "label_stage": "test"})
    attributes = event_of(STARTED)["attributes"]
    assert (attributes["service"], attributes["service_name"]) == ("cart", "cart")
    assert (attributes["env"], attributes["deployment_environment"]) == ("production", "production")
    labels = {"service_label": "app.kubernetes.io/name", "environment_label": "stage"}
    assert event_of(labelled, **labels)["attributes"]["service"] == "basket"
    assert event_of(labelled, **labels)["attributes"]["env"] == "test"
    table = {"services": {"shop/*": "shop-api"}, "environments": {"*/cart": "staging"}}
    assert event_of(labelled, **labels, **table)["attributes"]["service"] == "shop-api"
    assert event_of(labelled, **labels, **table)["attributes"]["env"] == "staging"


def test_the_signature_is_what_openssl_computes(tmp_path: Path) -> None:
    body = json.dumps(cloud_event(STARTED, "prod-1")).encode()
    (tmp_path / "body").write_bytes(body)
    command = ["openssl", "dgst", "-sha256", "-hmac", "a key", "-hex", str(tmp_path / "body")]
    output = subprocess.run(command, capture_output=True, check=True, text=True).stdout
    assert output.split()[-1] == signed(body, "a key")


def test_a_cloud_event_has_the_required_attributes_and_a_stable_unique_id() -> None:
    event = cloud_event(STARTED, "prod-1")
    assert event["specversion"] == "1.0"
    assert event["type"] == "rollouts-exporter.update_started"
    assert (event["source"], event["subject"]) == ("/rollouts-exporter/prod-1", "shop/cart")
    assert event["time"] == "2027-01-15T08:00:00.250Z"
    assert event["id"] == cloud_event(STARTED, "prod-1")["id"] != cloud_event(STARTED, "prod-2")["id"]


def test_a_template_stays_json_whatever_a_sentence_holds() -> None:
    text = templated(STARTED, "prod-1", '{"text": "$rollout: $sentence"}')
    assert json.loads(text) == {"text": 'shop/cart: It "started"'}


@pytest.mark.parametrize("template", ['{"text": "$unknown"}', "no json", '{"text": "$"}'])
def test_a_template_that_cannot_be_filled_in_is_an_error(template: str) -> None:
    with pytest.raises(ValueError, match="template"):
        WebhookSection.parse({"url": "https://example.com/hook", "template": template})


def test_an_annotation_spans_the_update_at_its_end() -> None:
    ended = ReportedTransition(
        1_800_000_060.0, ("shop", "cart"), TransitionType.ABORTED, "Aborted", attempt=(1_800_000_000.25, 0)
    )
    (body,) = update_annotations(ended, ("rollouts",))
    assert json.loads(body) == {
        "time": 1_800_000_000_250,
        "timeEnd": 1_800_000_060_000,
        "tags": ["rollouts", "shop", "cart", "aborted"],
        "text": "shop/cart: Aborted",
    }
    assert Settings().grafana.address is None


def deployments(transitions: Iterable[ReportedTransition]) -> list[tuple[str, str]]:
    """Return identifier and state of the events at starts and stops."""
    events = [json.loads(body) for each in transitions for body in change_events(each, NAMES, marks=False)]
    return [(event["attributes"]["deployment_id"], event["event_state"]) for event in events]


@pytest.mark.parametrize("name", ["leader-failover", "leader-failover-v1.6.6"])
def test_an_update_that_outlives_its_leader_and_the_exporter_keeps_its_deployment_id(
    recordings: Recordings, name: str
) -> None:
    stored = StoredRows()
    transitions: list[ReportedTransition] = []
    for tick in recordings.ticks(name, "argo-only"):
        tracker = RolloutTracker(recordings.policy, stored.restart())
        tracker.process(tick.timestamp, tick.results)
        stored.commit(tracker.state)
        transitions += tracker.status.transitions
    types = [each.type for each in transitions]
    began, ended = types.index(TransitionType.UPDATE_STARTED), types.index(TransitionType.PROMOTED)
    assert TransitionType.LEADER_CHANGED in types[began:ended]
    (start_id, start), (stop_id, stop) = deployments(transitions)
    assert (start, stop) == ("start", "stop")
    assert start_id == stop_id


@pytest.mark.parametrize("name", ["leader-failover", "leader-failover-v1.6.6"])
def test_with_sidecars_an_update_that_outlives_its_leader_has_no_stop(recordings: Recordings, name: str) -> None:
    """Each sidecar has a state of its own; that beside the new leader has not seen the update begin."""
    policy, states = tracking_policy(Settings(mode="sidecar")), []
    for target in ("argo-a", "argo-b"):
        tracker = RolloutTracker(policy)
        for tick in recordings.ticks(name, "argo-only"):
            tracker.process(tick.timestamp, [result for result in tick.results if result.target == target])
            states += [state for _, state in deployments(tracker.status.transitions)]
    assert states == ["start"]
