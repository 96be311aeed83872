"""The settings model: defaults, immutability and derived values."""

from __future__ import annotations

from dataclasses import FrozenInstanceError

import pytest

from exporter.config import Settings
from exporter.config.outputs import Endpoint, OtlpSection
from exporter.config.pass_through import EXPLICIT_ONLY, PassThroughSelection, parse_pass_through
from exporter.config.values import MIB, SettingError
from exporter.metrics import Source


def selection(choice: object) -> PassThroughSelection:
    return parse_pass_through(choice)


class TestDefaults:
    def test_scrapes_both_components_at_the_addresses_of_their_charts(self) -> None:
        settings = Settings()
        assert [(kind, source.targets, source.path) for kind, source in settings.sources()] == [
            (Source.ARGO, ("argo-rollouts-metrics.argo-rollouts.svc:8090",), "/metrics"),
            (
                Source.KUBE_STATE_METRICS,
                ("kube-state-metrics.kube-system.svc:8080",),
                "/metrics?resources=pods,replicasets",
            ),
        ]
        assert [(source.interval, source.timeout) for _, source in settings.sources()] == [(15, 10), (15, 10)]
        assert settings.tick_seconds == 15

    def test_pushes_nothing_and_serves_metrics(self) -> None:
        settings = Settings()
        assert settings.otlp.endpoint is None
        assert (settings.otlp.url, settings.otlp.grpc_target) == ("", ("", False))
        assert settings.web.address == (None, 9464)

    def test_limits_responses(self) -> None:
        settings = Settings()
        limits = [settings.argo[0].limits, settings.kube_state_metrics.limits, settings.rollout_state.limits]
        assert [limit.body for limit in limits] == [64 * MIB, 512 * MIB, 64 * MIB]
        assert {(limit.samples, limit.addresses) for limit in limits} == {(1_000_000, 64)}

    def test_identity_is_only_the_service_name(self) -> None:
        assert Settings().identity() == {"service.name": "rollouts-exporter"}


def test_a_sidecar_scrapes_the_controller_in_its_pod() -> None:
    assert Settings(mode="sidecar").argo[0].targets == ("127.0.0.1:8090",)
    settings = Settings.parse({"mode": "sidecar", "argo": {"targets": ["here:1"]}})
    assert settings.argo[0].targets == ("here:1",)


def test_setting_one_limit_of_kube_state_metrics_keeps_its_others() -> None:
    limits = Settings.parse({"kube_state_metrics": {"limits": {"samples": 5}}}).kube_state_metrics.limits
    assert (limits.samples, limits.body) == (5, 512 * MIB)


def test_a_short_interval_shortens_the_default_timeout() -> None:
    assert Settings.parse({"argo": {"interval": "5s"}}).argo[0].timeout == 5


def test_settings_are_frozen() -> None:
    with pytest.raises(FrozenInstanceError):
        Settings().mode = "sidecar"  # type: ignore[misc]


class TestIdentity:
    def test_is_in_a_fixed_order(self) -> None:
        first = Settings.parse({"attributes": {"k8s.cluster.name": "a", "deployment.environment": "b"}})
        second = Settings.parse({"attributes": {"deployment.environment": "b", "k8s.cluster.name": "a"}})
        assert list(first.identity()) == list(second.identity())
        assert list(first.identity()) == [
            "deployment.environment",
            "deployment.environment.name",
            "k8s.cluster.name",
            "service.name",
        ]

    def test_omits_an_attribute_with_the_value_none(self) -> None:
        settings = Settings.parse({"attributes": {"k8s.cluster.name": "none", "service.name": "x"}})
        assert settings.identity() == {"service.name": "x"}

    def test_rejects_two_keys_that_become_the_same_label(self) -> None:
        with pytest.raises(SettingError, match=r"a\.b and a_b become the same label"):
            Settings.parse({"attributes": {"a.b": "1", "a_b": "2"}})


class TestPassThrough:
    @pytest.mark.parametrize(
        ("choice", "family", "expected"),
        [
            ("article", "rollout_reconcile", True),
            ("article", "rollout_phase", True),
            ("article", "rollout_info_replicas_desired", True),
            ("article", "experiment_info", False),
            ("minimal", "rollout_info", True),
            ("minimal", "rollout_reconcile", False),
            ("minimal", "rollout_phase", False),
            ("all", "experiment_info", True),
            ("all", "notification_send_error", True),
            ("all", "go_goroutines", False),
            ("all", EXPLICIT_ONLY, False),
            ("none", "rollout_info", False),
            (["go_.*"], "go_goroutines", True),
            (["go_.*"], "cargo_x", False),
            ([".*"], EXPLICIT_ONLY, False),
            ([EXPLICIT_ONLY], EXPLICIT_ONLY, True),
            ("go_.*,process_.*", "process_start_time_seconds", True),
            ('["go_.{1,20}"]', "go_goroutines", True),
        ],
    )
    def test_matches_complete_names_only(self, choice: object, family: str, *, expected: bool) -> None:
        assert selection(choice).matches(family) is expected

    def test_is_formatted_as_it_was_written(self) -> None:
        assert selection("all").as_setting() == "all"
        assert selection(["go_.*"]).as_setting() == ["go_.*"]


class TestNamespaces:
    def test_all_are_allowed_by_default(self) -> None:
        assert Settings().namespaces.allows("anything")

    def test_exclude_overrides_include(self) -> None:
        chosen = Settings.parse({"namespaces": {"include": ["shop*"], "exclude": ["shop-test"]}}).namespaces
        assert [chosen.allows(name) for name in ("shop", "shop-eu", "shop-test", "other")] == [True, True, False, False]


def test_a_traffic_router_can_be_declared_by_glob() -> None:
    lifecycle = Settings.parse({"lifecycle": {"traffic_router": ["shop/*", "*/web"]}}).lifecycle
    rollouts = (("shop", "a"), ("x", "web"), ("x", "a"))
    assert [lifecycle.has_traffic_router(*rollout) for rollout in rollouts] == [True, True, False]


def test_role_values_add_to_the_defaults() -> None:
    roles = Settings.parse({"lifecycle": {"role_values": {"blue": "Stable"}}}).lifecycle.role_values
    assert roles == {"canary": "canary", "stable": "stable", "preview": "preview", "active": "stable", "blue": "stable"}


@pytest.mark.parametrize(
    ("text", "exact", "url"),
    [
        ("http://h:4318", False, "http://h:4318/v1/metrics"),
        ("http://h:4318/", False, "http://h:4318/v1/metrics"),
        ("https://h/base", False, "https://h/base/v1/metrics"),
        ("https://h/base//", False, "https://h/base/v1/metrics"),
        ("https://h/v1/metrics", False, "https://h/v1/metrics"),
        ("https://h/opentelemetry/v1/metrics/", False, "https://h/opentelemetry/v1/metrics"),
        ("https://h/base?x=1", False, "https://h/base/v1/metrics?x=1"),
        ("https://h/base", True, "https://h/base"),
        ("https://h/base/", True, "https://h/base/"),
        ("https://h", True, "https://h/"),
    ],
)
def test_the_path_is_appended_once_to_a_base_and_never_to_an_exact_url(text: str, *, exact: bool, url: str) -> None:
    """Rules E01 and E02."""
    assert OtlpSection(endpoint=Endpoint(text, exact=exact)).url == url


@pytest.mark.parametrize(
    ("text", "insecure", "target"),
    [
        ("http://h:4317", False, ("h:4317", False)),
        ("https://h:4317", True, ("h:4317", True)),
        ("h:4317", False, ("h:4317", True)),
        ("h:4317", True, ("h:4317", False)),
        ("https://otlp.last9.io", False, ("otlp.last9.io:443", True)),
        ("http://h", False, ("h:80", False)),
        ("[::1]:4317", True, ("[::1]:4317", False)),
        ("dns:///h:4317", True, ("h:4317", False)),
        ("dns:///h:4317", False, ("h:4317", True)),
        ("dns:h:4317", True, ("h:4317", False)),
        ("DNS:///h", False, ("h:443", True)),
        ("dns:///[::1]:4317", True, ("[::1]:4317", False)),
        ("dns://1.1.1.1/h:4317", True, ("dns://1.1.1.1/h:4317", False)),
    ],
)
def test_for_grpc_a_scheme_overrides_insecure_and_ports_have_defaults(
    text: str, target: tuple[str, bool], *, insecure: bool
) -> None:
    """Rules E03 and E04."""
    assert OtlpSection(endpoint=Endpoint(text), protocol="grpc", insecure=insecure).grpc_target == target


@pytest.mark.parametrize("insecure", [True, False])
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_for_http_the_scheme_alone_decides_on_tls(scheme: str, *, insecure: bool) -> None:
    """Rule E04."""
    endpoint = Endpoint(f"{scheme}://h:4318")
    assert OtlpSection(endpoint=endpoint, insecure=insecure).url == f"{scheme}://h:4318/v1/metrics"


@pytest.mark.parametrize(
    ("text", "address"),
    [(":9464", (None, 9464)), ("9464", (None, 9464)), ("127.0.0.1:0", ("127.0.0.1", 0)), ("[::1]:80", ("::1", 80))],
)
def test_a_listen_address_may_omit_the_host(text: str, address: tuple[str | None, int]) -> None:
    assert Settings.parse({"web": {"listen": text}}).web.address == address
