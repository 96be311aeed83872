"""Labels of pods that claim a role are used only where they behave as ephemeral metadata does."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

import pytest

from exporter.metrics import Source
from exporter.rollouts.tracker import RolloutTracker
from exporter.scrape.response import ScrapeRequest
from exporter.service.wiring import tracking_policy
from tests.recorded import ARTICLE
from tests.rollouts.pages import PageReplicaSet, PageRollout, controller_page, parse_page, series_values

if TYPE_CHECKING:
    from collections.abc import Mapping

POLICY: Final = tracking_policy(ARTICLE)
PAUSED: Final = PageRollout("Paused", (4, 1, 4, 0))
SETS: Final = (PageReplicaSet("old", 1, 3), PageReplicaSet("new", 2, 1, created_at=2.0))


def roles_and_reasons(
    labels: Mapping[str, str], *, with_revisions: bool
) -> tuple[dict[tuple[str, ...], float], set[tuple[str, ...]]]:
    """Return pods by role, and the reasons of unknown values, for pods with role labels."""
    lines = [line for replica_set in SETS for line in replica_set.lines()]
    lines += [
        f'kube_pod_labels{{namespace="shop",pod="cart-{pod}",uid="{pod}",label_role="{role}"}} 1'
        for pod, role in labels.items()
    ]
    if not with_revisions:
        lines = [line for line in lines if not line.startswith("kube_replicaset_annotations")]
    pods = parse_page(ScrapeRequest(Source.KUBE_STATE_METRICS, "ksm", 15), *lines)
    families = RolloutTracker(POLICY).process(15, [controller_page(15, PAUSED), pods]).families
    counts = {role: count for role, count in series_values(families, "argo_rollouts_pods").items() if count}
    return counts, set(series_values(families, "argo_rollouts_unknown"))


BELIEVABLE: Final = {"old-0": "stable", "old-1": "stable", "old-2": "stable", "new-0": "canary"}


def test_labels_give_the_roles_where_nothing_else_does() -> None:
    counts, reasons = roles_and_reasons(BELIEVABLE, with_revisions=False)
    assert counts == {("stable",): 3, ("canary",): 1}
    assert ("role_label",) not in reasons


@pytest.mark.parametrize(
    "labels",
    [
        {**BELIEVABLE, "old-1": "canary"},
        {pod: role for pod, role in BELIEVABLE.items() if pod != "old-1"},
        dict.fromkeys(BELIEVABLE, "stable"),
    ],
    ids=["two roles of one revision", "a pod of the revision without", "one role of two revisions"],
)
def test_labels_that_contradict_each_other_are_not_believed(labels: Mapping[str, str]) -> None:
    counts, reasons = roles_and_reasons(labels, with_revisions=False)
    assert counts == {("stable",): 3, ("canary",): 1}, "by the sizes of the ReplicaSets"
    assert ("role_label",) in reasons


def test_labels_never_override_revisions() -> None:
    swapped = {"old-0": "canary", "old-1": "canary", "old-2": "canary", "new-0": "stable"}
    counts, reasons = roles_and_reasons(swapped, with_revisions=True)
    assert counts == {("stable",): 3, ("canary",): 1}
    assert ("role_label",) in reasons


def test_labels_of_a_page_from_before_a_promotion_are_not_the_roles_after_it() -> None:
    tracker = RolloutTracker(POLICY)
    lines = [line for replica_set in SETS for line in replica_set.lines() if "annotations" not in line]
    lines += [
        f'kube_pod_labels{{namespace="shop",pod="cart-{pod}",uid="{pod}",label_role="{role}"}} 1'
        for pod, role in BELIEVABLE.items()
    ]
    pods = parse_page(ScrapeRequest(Source.KUBE_STATE_METRICS, "ksm", 15), *lines)
    tracker.process(15, [controller_page(15, replace(PAUSED, strategy="blueGreen")), pods])
    promoted = PageRollout("Completed", (4, 4, 4, 3), {"RolloutCompleted": 1}, strategy="blueGreen")
    families = tracker.process(30, [controller_page(30, promoted)]).families
    counts = {role: count for role, count in series_values(families, "argo_rollouts_pods").items() if count}
    assert counts == {("old",): 3, ("stable",): 1}
    assert ("role_label",) not in series_values(families, "argo_rollouts_unknown")
