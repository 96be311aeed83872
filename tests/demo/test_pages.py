"""Simulated pages have the families, types, HELP and labels of real ones, and change as those do."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from prometheus_client.parser import text_string_to_metric_families

from exporter.demo.simulator.cluster import SimulatedCluster
from exporter.demo.simulator.controllers import CLEANUP_SECONDS, TAKEOVER_SECONDS
from exporter.demo.simulator.exposition import FamilyHeader, SampleRow, format_number, render_family
from exporter.demo.simulator.objects import BlueGreenStrategy, CanaryStrategy, Pause, RolloutSpec, SetWeight

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    PageReader = Callable[[str], str]

OMITTED_PREFIXES = (
    "go_",
    "apiserver_",
    "aggregator_",
    "cardinality_",
    "registered_",
    "hidden_",
    "disabled_",
    "controller_client",
)
"""Families of the Go runtime and of Kubernetes' registry, which the simulation omits."""
OPTIONAL_PREFIXES = ("kube_pod_container_resource", "kube_pod_container_state", "kube_pod_container_status_terminated")


def busy_cluster() -> SimulatedCluster:
    """Return a cluster in mid-canary with everything that a page can show."""
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


def header_lines(page: str, word: str) -> dict[str, str]:
    """Return the HELP or TYPE lines of a page by family, in its order."""
    start = f"# {word} "
    by_name = [line[len(start) :].partition(" ") for line in page.split("\n") if line.startswith(start)]
    return {name: rest for name, _, rest in by_name}


def label_names(page: str) -> dict[str, set[tuple[str, ...]]]:
    """Return the label names, in their order, of each sample name."""
    by_name: dict[str, set[tuple[str, ...]]] = {}
    for line in page.split("\n"):
        if line and not line.startswith("#"):
            name, _, rest = line.partition("{")
            names = tuple(part.rpartition(",")[2] for part in rest.split('="')[:-1]) if rest else ()
            by_name.setdefault(name.split(" ")[0], set()).add(tuple(name.lstrip(",") for name in names))
    return by_name


def text(page: bytes | None) -> str:
    assert page is not None
    return page.decode()


def simulated_pages() -> dict[str, str]:
    cluster = busy_cluster()
    return {
        "argo-a": text(cluster.argo_page("argo-a")),
        "argo-b": text(cluster.argo_page("argo-b")),
        "ksm": text(cluster.kube_state_metrics_page()),
        "ksm-plain": text(cluster.kube_state_metrics_page(allow_lists=False)),
        "ksm-state": text(cluster.state_page()),
    }


def without_prefixes(names: Iterable[str], prefixes: tuple[str, ...]) -> list[str]:
    return [name for name in names if not name.startswith(prefixes)]


@pytest.mark.parametrize("name", ["argo-a", "argo-b", "ksm", "ksm-plain", "ksm-state"])
def test_a_page_has_the_families_types_and_help_of_the_real_one(name: str, real_page: PageReader) -> None:
    page, real = simulated_pages()[name], real_page(name)
    assert without_prefixes(header_lines(page, "TYPE"), OMITTED_PREFIXES) == without_prefixes(
        header_lines(real, "TYPE"), OMITTED_PREFIXES
    )
    for word in ("TYPE", "HELP"):
        assert header_lines(page, word).items() <= header_lines(real, word).items()


@pytest.mark.parametrize("name", ["argo-a", "argo-b", "ksm", "ksm-plain", "ksm-state"])
def test_samples_have_the_label_names_of_the_real_ones_in_their_order(name: str, real_page: PageReader) -> None:
    page, real = label_names(simulated_pages()[name]), label_names(real_page(name))
    assert without_prefixes(page, OPTIONAL_PREFIXES)
    for sample, orders in page.items():
        if sample in real and sample != "kube_pod_labels":
            assert orders <= real[sample], sample


@pytest.mark.parametrize("name", ["argo-a", "argo-b", "ksm", "ksm-plain", "ksm-state"])
def test_the_reference_parser_reads_every_page(name: str) -> None:
    page = simulated_pages()[name]
    samples = [sample for family in text_string_to_metric_families(page) for sample in family.samples]
    assert len(samples) == sum(bool(line) and not line.startswith("#") for line in page.split("\n"))
    assert page.endswith("\n")


def test_the_samples_of_a_controllers_family_are_in_the_order_of_their_label_values() -> None:
    for family in text_string_to_metric_families(simulated_pages()["argo-a"]):
        if family.name.startswith("rollout_") and family.type != "histogram":
            values = [list(sample.labels.values()) for sample in family.samples]
            assert values == sorted(values), family.name


def test_without_allow_lists_labels_and_annotations_have_headers_only() -> None:
    plain = label_names(simulated_pages()["ksm-plain"])
    listed = label_names(simulated_pages()["ksm"])
    assert {"kube_pod_labels", "kube_replicaset_annotations"} == listed.keys() - plain.keys()


@pytest.mark.parametrize("family", ["workqueue_queue_duration_seconds", "workqueue_work_duration_seconds"])
@pytest.mark.parametrize("is_real", [True, False])
def test_a_work_queue_has_a_duration_only_if_it_has_worked(
    family: str, real_page: PageReader, *, is_real: bool
) -> None:
    values = {}
    for page in ("argo-a", "argo-b"):
        text_of_page = real_page(page) if is_real else simulated_pages()[page]
        families = {parsed.name: parsed for parsed in text_string_to_metric_families(text_of_page)}
        for sample in families[family].samples:
            values[page, sample.labels["name"], sample.name.removeprefix(family)] = sample.value
    durations = {(page, queue): values[page, queue, "_sum"] for page, queue, _ in values}
    worked = {key for key in durations if values[*key, "_count"]}
    assert worked
    assert {key for key, total in durations.items() if total > 0} == worked


def test_a_standby_shows_no_rollouts_and_a_leader_all() -> None:
    cluster = busy_cluster()
    assert text(cluster.argo_page("argo-a")).count("\nrollout_info{") == 4
    assert "rollout_" not in text(cluster.argo_page("argo-b")).replace("argo_rollouts_controller_info", "")


def test_during_a_failover_no_controller_shows_rollouts_and_the_next_leader_counts_from_0() -> None:
    cluster = busy_cluster()
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
    cluster = busy_cluster()
    cluster.failover()
    while not cluster.controllers.leader:
        cluster.advance(cluster.controllers.next_change())
    counts = []
    for _ in range(12):
        counts.append(text(cluster.argo_page("argo-b")).count("\nrollout_info{"))
        cluster.advance(cluster.now + 0.0007)
    assert counts == sorted(counts)
    assert set(counts) == {0, 1, 2, 3, 4}


def test_a_lone_controller_waits_for_its_own_lease() -> None:
    cluster = busy_cluster()
    for name in ("argo-b", "argo-a"):
        cluster.kill_controller(name)
    cluster.advance(cluster.now + 3)
    cluster.restart("argo-a")
    cluster.advance(cluster.now + 5)
    assert "\nrollout_info{" not in text(cluster.argo_page("argo-a"))
    cluster.advance(cluster.now + 20)
    assert "\nrollout_info{" in text(cluster.argo_page("argo-a"))


def test_a_deleted_rollout_is_gone_at_once_but_its_counters_stay_for_a_while() -> None:
    cluster = busy_cluster()
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


def test_a_terminating_pod_is_still_running_and_has_a_deletion_timestamp() -> None:
    cluster = busy_cluster()
    cluster.scale("shop", "web", 1)
    cluster.advance(cluster.now + 0.5)
    page = text(cluster.kube_state_metrics_page())
    names = [line.split('"')[3] for line in page.split("\n") if line.startswith("kube_pod_deletion_timestamp{")]
    assert any(name.startswith("web-") for name in names)
    for name in names:
        assert any(f'pod="{name}"' in line and 'phase="Running"} 1' in line for line in page.split("\n"))


def test_a_retry_leaves_abort_0_in_the_rollout_state() -> None:
    cluster = busy_cluster()
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
def test_numbers_are_formatted_as_by_go(value: float, expected: str) -> None:
    assert format_number(value) == expected


def test_label_values_are_escaped() -> None:
    rendered = render_family(FamilyHeader("x", "gauge", "X."), [SampleRow((("a", 'q"b\\c\nd'),), 1)])
    assert rendered == '# HELP x X.\n# TYPE x gauge\nx{a="q\\"b\\\\c\\nd"} 1\n'
