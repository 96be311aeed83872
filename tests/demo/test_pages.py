"""The simulated pages beside real ones: same families, types, help and labels, and who shows what when."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from prometheus_client.parser import text_string_to_metric_families

from exporter.demo.simulator.cluster import SimulatedCluster
from exporter.demo.simulator.controllers import CLEANUP_SECONDS, TAKEOVER_SECONDS
from exporter.demo.simulator.exposition import FamilyHeader, SampleRow, format_number, render_family
from exporter.demo.simulator.objects import BlueGreenStrategy, CanaryStrategy, Pause, SetWeight, RolloutSpec

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    Reader = Callable[[str], str]

NOISE = ("go_", "apiserver_", "aggregator_", "cardinality_", "registered_", "hidden_", "disabled_", "controller_client")
"""Families of the Go runtime and of Kubernetes' registry, which the simulation leaves out."""
UNSHOWN = ("kube_pod_container_resource", "kube_pod_container_state", "kube_pod_container_status_terminated")


def busy() -> SimulatedCluster:
    """Make a cluster in mid-canary with everything that a page can show."""
    cluster = SimulatedCluster(3)
    steps = (SetWeight(20), Pause(), SetWeight(50), Pause())
    cluster.create(RolloutSpec("shop", "checkout", "registry.local/app:v1", 10, CanaryStrategy(steps)))
    cluster.create(RolloutSpec("pay", "ledger", "registry.local/ledger:v1", 3, CanaryStrategy(steps, "Nginx")))
    cluster.create(RolloutSpec("pay", "audit", "registry.local/audit:v1", 2, CanaryStrategy(steps)))
    cluster.create(RolloutSpec("shop", "web", "registry.local/web:v1", 2, BlueGreenStrategy()))
    cluster.advance(cluster.now + 10)
    for namespace, name in (("shop", "checkout"), ("pay", "ledger"), ("pay", "audit")):
        cluster.deploy(namespace, name, "registry.local/app:v2")
    cluster.advance(cluster.now + 5)
    cluster.abort("pay", "audit")
    cluster.advance(cluster.now + 0.5)
    return cluster


def lines(page: str, word: str) -> dict[str, str]:
    """Read the HELP or TYPE lines of a page by family, in its order."""
    start = f"# {word} "
    found = [line[len(start) :].partition(" ") for line in page.split("\n") if line.startswith(start)]
    return {name: rest for name, _, rest in found}


def labels(page: str) -> dict[str, set[tuple[str, ...]]]:
    """Read which label names, in which order, each sample name has."""
    found: dict[str, set[tuple[str, ...]]] = {}
    for line in page.split("\n"):
        if line and not line.startswith("#"):
            name, _, rest = line.partition("{")
            names = tuple(part.rpartition(",")[2] for part in rest.split('="')[:-1]) if rest else ()
            found.setdefault(name.split(" ")[0], set()).add(tuple(name.lstrip(",") for name in names))
    return found


def text(page: bytes | None) -> str:
    assert page is not None
    return page.decode()


def simulated() -> dict[str, str]:
    cluster = busy()
    return {
        "argo-a": text(cluster.argo_page("argo-a")),
        "argo-b": text(cluster.argo_page("argo-b")),
        "ksm": text(cluster.kube_state_metrics_page()),
        "ksm-plain": text(cluster.kube_state_metrics_page(allow_lists=False)),
        "ksm-state": text(cluster.state_page()),
    }


def without(names: Iterable[str], prefixes: tuple[str, ...]) -> list[str]:
    return [name for name in names if not name.startswith(prefixes)]


@pytest.mark.parametrize("name", ["argo-a", "argo-b", "ksm", "ksm-plain", "ksm-state"])
def test_a_page_has_the_families_types_and_help_of_the_real_one(name: str, real_page: Reader) -> None:
    page, real = simulated()[name], real_page(name)
    assert without(lines(page, "TYPE"), NOISE) == without(lines(real, "TYPE"), NOISE)
    for word in ("TYPE", "HELP"):
        assert lines(page, word).items() <= lines(real, word).items()


@pytest.mark.parametrize("name", ["argo-a", "argo-b", "ksm", "ksm-plain", "ksm-state"])
def test_samples_have_the_label_names_of_the_real_ones_in_their_order(name: str, real_page: Reader) -> None:
    page, real = labels(simulated()[name]), labels(real_page(name))
    assert without(page, UNSHOWN)
    for sample, orders in page.items():
        if sample in real and sample != "kube_pod_labels":
            assert orders <= real[sample], sample


@pytest.mark.parametrize("name", ["argo-a", "argo-b", "ksm", "ksm-plain", "ksm-state"])
def test_the_reference_parser_reads_every_page(name: str) -> None:
    page = simulated()[name]
    samples = [sample for family in text_string_to_metric_families(page) for sample in family.samples]
    assert len(samples) == sum(bool(line) and not line.startswith("#") for line in page.split("\n"))
    assert page.endswith("\n")


def test_the_samples_of_a_controllers_family_are_in_the_order_of_their_label_values() -> None:
    for family in text_string_to_metric_families(simulated()["argo-a"]):
        if family.name.startswith("rollout_") and family.type != "histogram":
            values = [list(sample.labels.values()) for sample in family.samples]
            assert values == sorted(values), family.name


def test_without_allow_lists_labels_and_annotations_have_headers_only() -> None:
    plain = labels(simulated()["ksm-plain"])
    listed = labels(simulated()["ksm"])
    assert {"kube_pod_labels", "kube_replicaset_annotations"} == listed.keys() - plain.keys()


def test_a_standby_shows_no_rollout_and_a_leader_shows_all() -> None:
    cluster = busy()
    assert text(cluster.argo_page("argo-a")).count("\nrollout_info{") == 4
    assert "rollout_" not in text(cluster.argo_page("argo-b")).replace("argo_rollouts_controller_info", "")


def test_during_a_failover_nobody_shows_rollouts_and_the_next_leader_counts_anew() -> None:
    cluster = busy()
    start = cluster.now
    cluster.failover()
    assert cluster.argo_page("argo-a") is None
    cluster.advance(start + TAKEOVER_SECONDS[0])
    assert "\nrollout_info{" not in text(cluster.argo_page("argo-a")) + text(cluster.argo_page("argo-b"))
    cluster.advance(start + TAKEOVER_SECONDS[1] + 1)
    page = text(cluster.argo_page("argo-b"))
    events = [line for line in page.split("\n") if line.startswith("rollout_events_total{")]
    assert len(events) == 4
    assert all('reason="RolloutAddedToInformer"' in line and line.endswith(" 1") for line in events)
    assert 'rollout_info{name="checkout",namespace="shop",phase="Paused",strategy="canary",traffic_router=""} 1' in page
    assert "\nrollout_info{" not in text(cluster.argo_page("argo-a"))


def test_a_new_leader_shows_its_rollouts_one_after_the_other() -> None:
    cluster = busy()
    cluster.failover()
    while not cluster.controllers.leader:
        cluster.advance(cluster.controllers.next_change())
    shown = []
    for _ in range(12):
        shown.append(text(cluster.argo_page("argo-b")).count("\nrollout_info{"))
        cluster.advance(cluster.now + 0.0007)
    assert shown == sorted(shown)
    assert set(shown) == {0, 1, 2, 3, 4}


def test_a_lone_controller_waits_for_its_own_lease() -> None:
    cluster = busy()
    for name in ("argo-b", "argo-a"):
        cluster.kill_controller(name)
    cluster.advance(cluster.now + 3)
    cluster.restart("argo-a")
    cluster.advance(cluster.now + 5)
    assert "\nrollout_info{" not in text(cluster.argo_page("argo-a"))
    cluster.advance(cluster.now + 20)
    assert "\nrollout_info{" in text(cluster.argo_page("argo-a"))


def test_a_deleted_rollout_is_gone_at_once_but_its_counters_linger() -> None:
    cluster = busy()
    cluster.delete("shop", "checkout")
    page = text(cluster.argo_page("argo-a"))
    assert 'rollout_info{name="checkout"' not in page
    assert 'rollout_events_total{name="checkout",namespace="shop",reason="RolloutDeleted",type="Normal"} 1' in page
    cluster.create(RolloutSpec("shop", "checkout", "registry.local/app:v1", 2))
    cluster.advance(cluster.now + CLEANUP_SECONDS - 1)
    assert 'rollout_events_total{name="checkout"' in text(cluster.argo_page("argo-a"))
    cluster.advance(cluster.now + 2)
    page = text(cluster.argo_page("argo-a"))
    assert 'rollout_info{name="checkout"' in page
    assert 'rollout_events_total{name="checkout"' not in page


def test_a_terminating_pod_is_still_running_and_has_a_deletion_time() -> None:
    cluster = busy()
    cluster.scale("shop", "web", 1)
    cluster.advance(cluster.now + 0.5)
    page = text(cluster.kube_state_metrics_page())
    names = [line.split('"')[3] for line in page.split("\n") if line.startswith("kube_pod_deletion_timestamp{")]
    assert any(name.startswith("web-") for name in names)
    for name in names:
        assert any(f'pod="{name}"' in line and 'phase="Running"} 1' in line for line in page.split("\n"))


def test_a_retry_leaves_an_abort_of_0_in_the_state() -> None:
    cluster = busy()
    about = 'customresource_version="v1alpha1",name="audit",namespace="pay"}'
    for value in (1, 0):
        rows = [line for line in text(cluster.state_page()).split("\n") if "_rollout_abort{" in line]
        assert [line.partition('kind="Rollout",')[2] for line in rows] == [f"{about} {value}"]
        cluster.retry("pay", "audit")
        cluster.advance(cluster.now + 1)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (0, "0"),
        (1.0, "1"),
        (0.05, "0.05"),
        (999999, "999999"),
        (1e6, "1e+06"),
        (1795446014.87, "1.79544601487e+09"),
        (1795446017, "1.795446017e+09"),
        (0.00022325399999999996, "0.00022325399999999996"),
        (0.0000087, "8.7e-06"),
        (1.8446744073709552e19, "1.8446744073709552e+19"),
        (True, "1"),
    ],
)
def test_numbers_are_written_as_go_writes_them(value: float, expected: str) -> None:
    assert format_number(value) == expected


def test_label_values_are_escaped() -> None:
    rendered = render_family(FamilyHeader("x", "gauge", "X."), [SampleRow((("a", 'q"b\\c\nd'),), 1)])
    assert rendered == '# HELP x X.\n# TYPE x gauge\nx{a="q\\"b\\\\c\\nd"} 1\n'
