"""What each value of the chart changes in the manifests."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
import yaml

from tests.chart.helm import CHART, HelmError, documents, exporter_deployment, find_manifest, render
from tests.chart.schemas import manifest_errors
from tests.chart.test_manifests import pods

pytestmark = pytest.mark.usefixtures("helm")

TOKEN_FILE = "/var/run/secrets/kubernetes.io/serviceaccount/token"
RULES = {
    rule["alert"]: rule
    for group in yaml.safe_load((CHART / "rules" / "alerts.yaml").read_text())["groups"]
    for rule in group["rules"]
}


def release_of(values: dict[str, Any], *arguments: str) -> list[dict[str, Any]]:
    """Return the valid manifests of a release with these values."""
    sets = [part for name, value in values.items() for part in ("--set-json", f"{name}={json.dumps(value)}")]
    release = documents(render(*sets, *arguments))
    assert [error for manifest in release for error in manifest_errors(manifest)] == []
    return release


def exporter_pod(release: list[dict[str, Any]]) -> dict[str, Any]:
    pod: dict[str, Any] = exporter_deployment(release)["spec"]["template"]["spec"]
    return pod


@pytest.mark.parametrize(
    ("values", "account", "is_created"),
    [
        ({}, "shown-rollouts-exporter", True),
        ({"name": "reader", "annotations": {"example.org/role": "r"}}, "reader", True),
        ({"create": False}, "default", False),
        ({"create": False, "name": "reader"}, "reader", False),
    ],
)
def test_pods_of_the_exporter_use_the_account(values: dict[str, Any], account: str, *, is_created: bool) -> None:
    release = release_of({"serviceAccount": values})
    assert {pod["serviceAccountName"] for pod in pods(release)} == {account}
    created = [item for item in release if item["kind"] == "ServiceAccount"]
    assert [item["metadata"]["name"] for item in created] == [account] * is_created
    assert all(item["metadata"].get("annotations") == values.get("annotations") for item in created)


@pytest.mark.parametrize(
    "section", [{"bearer_token_file": TOKEN_FILE}, [{"name": "a", "bearer_token_file": TOKEN_FILE}]]
)
def test_token_is_mounted_for_a_setting_that_reads_it(section: Any) -> None:
    release = release_of({"config": {"argo": section}, "serviceAccount": {"token": {"audience": "metrics"}}})
    for pod in pods(release):
        assert pod["automountServiceAccountToken"] is False
        (mount,) = (
            item for item in pod["containers"][0]["volumeMounts"] if TOKEN_FILE.startswith(item["mountPath"] + "/")
        )
        (volume,) = (item for item in pod["volumes"] if item["name"] == mount["name"])
        token, authority = volume["projected"]["sources"]
        assert token["serviceAccountToken"] == {"path": "token", "expirationSeconds": 3600, "audience": "metrics"}
        assert authority["configMap"]["name"] == "kube-root-ca.crt"


def test_no_token_is_mounted_for_a_file_of_another_volume() -> None:
    release = release_of({"config": {"argo": {"bearer_token_file": "/etc/token/token"}}})
    assert [volume["name"] for pod in pods(release) for volume in pod["volumes"] if "projected" in volume] == []


@pytest.mark.parametrize(
    ("adapt", "platform", "has_ids"),
    [
        ("auto", (), True),
        ("auto", ("--api-versions", "security.openshift.io/v1"), False),
        ("force", (), False),
        ("disabled", ("--api-versions", "security.openshift.io/v1"), True),
    ],
)
def test_openshift_assigns_the_ids_of_users(adapt: str, platform: tuple[str, ...], *, has_ids: bool) -> None:
    release = release_of({"adaptSecurityContext": adapt, "rolloutState.create": True}, *platform)
    assert len(list(pods(release))) == 3
    for pod in pods(release):
        ids = {"runAsUser", "runAsGroup", "fsGroup"}
        assert set(pod["securityContext"]) & ids == (ids if has_ids else set())
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}


def alerts_of(values: dict[str, Any]) -> dict[str, dict[str, Any]]:
    release = release_of({"prometheusRule": {"enabled": True, **values}})
    groups = find_manifest(release, "PrometheusRule", "-alerts")["spec"]["groups"]
    assert all(group["rules"] for group in groups)
    return {rule["alert"]: rule for group in groups for rule in group["rules"]}


def test_an_alert_is_disabled_and_the_others_remain() -> None:
    assert alerts_of({"alerts": {"RolloutAborted": {"enabled": False}}}) == {
        name: rule for name, rule in RULES.items() if name != "RolloutAborted"
    }


def test_a_group_without_alerts_is_left_out() -> None:
    rules = {"enabled": True, "alerts": {name: {"enabled": False} for name in RULES}}
    kinds = [
        item["metadata"]["name"] for item in release_of({"prometheusRule": rules}) if item["kind"] == "PrometheusRule"
    ]
    assert kinds == ["shown-rollouts-exporter-delivery"]


def test_an_alert_gets_another_duration_labels_and_annotations() -> None:
    change = {"for": "2h", "labels": {"severity": "critical", "page": "yes"}, "annotations": {"summary": "Stuck."}}
    alerts = alerts_of(
        {"alertLabels": {"team": "t", "severity": "info"}, "alerts": {"RolloutStuckProgressing": change}}
    )
    changed, other = alerts["RolloutStuckProgressing"], alerts["RolloutAborted"]
    assert (changed["for"], changed["annotations"]["summary"]) == ("2h", "Stuck.")
    assert changed["labels"] == {"severity": "critical", "page": "yes", "team": "t"}
    assert changed["annotations"]["runbook"] == RULES["RolloutStuckProgressing"]["annotations"]["runbook"]
    assert other["labels"] == {"severity": "info", "team": "t"}


@pytest.mark.parametrize(
    ("alert", "threshold", "count"),
    [
        ("RolloutStuckPaused", 3600, 1),
        ("RolloutsExporterQueueFilling", 0.8, 1),
        ("RolloutsExporterLosingPoints", 1000, 2),
        ("ArgoRolloutsReconcileErrors", 50, 3),
    ],
)
def test_a_threshold_replaces_each_number_that_the_alert_compares_with(
    alert: str, threshold: float, count: int
) -> None:
    before, after = RULES[alert]["expr"], alerts_of({"alerts": {alert: {"threshold": threshold}}})[alert]["expr"]
    assert after.count(f"> {threshold}\n") == count
    assert re.sub(r"> [0-9.]+\n", "", before) == re.sub(r"> [0-9.]+\n", "", after)


def test_an_expression_is_replaced() -> None:
    assert alerts_of({"alerts": {"RolloutAborted": {"expr": "up == 0"}}})["RolloutAborted"]["expr"] == "up == 0"


def test_no_text_of_an_alert_names_what_a_value_changes() -> None:
    texts = {name: " ".join(rule["annotations"].values()) for name, rule in RULES.items()}
    assert [name for name, text in texts.items() if re.search(r"more than (a|[0-9]+) (minute|hour|day)", text)] == []


def test_monitors_get_authorization_timeout_and_relabelings() -> None:
    endpoint = {
        "scrapeTimeout": "5s",
        "authorization": {"credentials": {"name": "scrape", "key": "token"}},
        "basicAuth": {"username": {"name": "scrape", "key": "user"}},
        "relabelings": [{"targetLabel": "cluster", "replacement": "c1"}],
        "metricRelabelings": [{"action": "drop", "regex": "x", "sourceLabels": ["__name__"]}],
    }
    for kind, key in (("ServiceMonitor", "endpoints"), ("PodMonitor", "podMetricsEndpoints")):
        values = {**endpoint, "enabled": True, "annotations": {"example.org/a": "b"}}
        monitor = find_manifest(release_of({kind[0].lower() + kind[1:]: values}), kind)
        assert endpoint.items() <= monitor["spec"][key][0].items()
        assert monitor["metadata"]["annotations"] == {"example.org/a": "b"}


def test_page_is_routed_from_outside_to_the_port_of_the_service() -> None:
    release = release_of(
        {
            "service.port": 80,
            "ingress": {"enabled": True, "className": "nginx", "hosts": ["a.example", "b.example"]},
            "httpRoute": {"enabled": True, "parentRefs": [{"name": "gateway"}], "hostnames": ["a.example"]},
        }
    )
    service = find_manifest(release, "Service", "-rollouts-exporter")
    (port,) = service["spec"]["ports"]
    assert (port["name"], port["port"]) == ("http", 80)
    ingress = find_manifest(release, "Ingress")["spec"]
    assert ingress["ingressClassName"] == "nginx"
    assert [rule["host"] for rule in ingress["rules"]] == ["a.example", "b.example"]
    backends = [path["backend"]["service"] for rule in ingress["rules"] for path in rule["http"]["paths"]]
    assert backends == [{"name": service["metadata"]["name"], "port": {"name": "http"}}] * 2
    route = find_manifest(release, "HTTPRoute")["spec"]
    assert route["rules"] == [{"backendRefs": [{"name": service["metadata"]["name"], "port": 80}]}]
    assert (route["hostnames"], route["parentRefs"]) == (["a.example"], [{"name": "gateway"}])


def test_type_and_ip_families_of_the_service() -> None:
    values = {
        "type": "NodePort",
        "nodePort": 30464,
        "ipFamilyPolicy": "PreferDualStack",
        "ipFamilies": ["IPv6", "IPv4"],
        "labels": {"example.org/a": "b"},
    }
    service = find_manifest(release_of({"service": values}), "Service", "-rollouts-exporter")
    assert (service["spec"]["type"], service["spec"]["ports"][0]["nodePort"]) == ("NodePort", 30464)
    assert (service["spec"]["ipFamilyPolicy"], service["spec"]["ipFamilies"]) == ("PreferDualStack", ["IPv6", "IPv4"])
    assert service["metadata"]["labels"]["example.org/a"] == "b"


def test_ports_of_egress_replace_that_of_the_endpoint() -> None:
    last9 = {"otlpEndpoint": "https://collector.example:4318", "cluster": {"name": "c1"}}

    def open_ports(policy: dict[str, Any]) -> set[int]:
        release = release_of({"last9": last9, "networkPolicy": {"enabled": True, **policy}})
        rules = find_manifest(release, "NetworkPolicy", "-rollouts-exporter")["spec"]["egress"]
        return {port["port"] for rule in rules if "to" not in rule for port in rule["ports"]}

    assert open_ports({}) == {53, 5353, 4318}
    assert open_ports({"egressPorts": [4319, 443], "dnsPorts": [53]}) == {53, 4319, 443}


def test_values_of_the_pod_reach_it() -> None:
    probe = {"httpGet": {"path": "/healthz", "port": "http"}, "failureThreshold": 30}
    values = {
        "startupProbe": probe,
        "hostAliases": [{"ip": "10.0.0.1", "hostnames": ["otlp.example"]}],
        "runtimeClassName": "gvisor",
        "initContainers": [{"name": "before", "image": "before:1"}],
        "deploymentAnnotations": {"example.org/a": "b"},
        "config": {"web": {"tls": {"cert_file": "/etc/web/tls.crt", "key_file": "/etc/web/tls.key"}}},
    }
    release = release_of(values)
    pod = exporter_pod(release)
    assert {key: pod[key] for key in ("hostAliases", "runtimeClassName", "initContainers")} == {
        key: values[key] for key in ("hostAliases", "runtimeClassName", "initContainers")
    }
    started = pod["containers"][0]["startupProbe"]
    assert started == {**probe, "httpGet": {"path": "/healthz", "port": "http", "scheme": "HTTPS"}}
    assert exporter_deployment(release)["metadata"]["annotations"] == {"example.org/a": "b"}


REFUSED: tuple[tuple[str, str], ...] = (
    ("last9.otlpEndpoint=https://otlp.last9.io", "last9.cluster.name is required to push"),
    ("last9.existingSecret=a,last9.writeToken=b", "are both set: keep one of them"),
    ("config.otlp.headers.Authorization=Basic x", "config.otlp.headers.Authorization would be stored in a"),
    ("config.argo.basic_auth.password=x", "config.argo.basic_auth.password would be stored in a"),
    ("config.argo.headers.authorization=x", "config.argo.headers.authorization would be stored in a"),
    ("config.mode=sidecar", "sidecar/argo-rollouts.yaml"),
    ("config.web.listen=:80", "set service.port for another port"),
    ("argoRollouts.createService=false", "set argoRollouts.targets"),
    ("rolloutState.create=true,kubeStateMetrics.enabled=true", "kubeStateMetrics.enabled is true"),
    ("serviceMonitor.enabled=true,podMonitor.enabled=true", "would be stored twice"),
    ("serviceMonitor.enabled=true,service.create=false", "set service.create, or enable podMonitor"),
    ("ingress.enabled=true", "ingress.hosts is required"),
    ("ingress.enabled=true,ingress.hosts={a},service.create=false", "service.create is false"),
    ("httpRoute.enabled=true", "httpRoute.parentRefs is required"),
    (
        "verify.enabled=true,last9.otlpEndpoint=https://o,last9.cluster.name=c",
        "set verify.address to the Read URL",
    ),
    ("verify.enabled=true,verify.address=https://r", "set last9.otlpEndpoint"),
    ("gates.enabled=true", "gates.address is required: the Read URL"),
    ("gates.enabled=true,gates.address=https://r", "gates.namespaces is required"),
    (
        "gates.enabled=true,gates.address=https://r,gates.namespaces={a},gates.templates.nope.enabled=false",
        "there is no such gate; there are ",
    ),
    (
        "gates.enabled=true,gates.address=https://r,gates.namespaces={a},gates.templates.error-rate.args.x=1",
        "the gate has no such arg; it has service-",
    ),
    (
        "prometheusRule.enabled=true,prometheusRule.alerts.Nope.enabled=false",
        "there is no such alert; there are Rollout",
    ),
    (
        "prometheusRule.enabled=true,prometheusRule.alerts.RolloutDegraded.threshold=2",
        "this alert compares with no number",
    ),
)


def file_of(setting: str) -> dict[str, Any]:
    """Return the values of a --set argument."""
    values: dict[str, Any] = {}
    for name, text in re.findall(r"([^=,]+)=(\{[^}]*\}|[^,]*)", setting):
        *parents, key = name.split(".")
        section = values
        for parent in parents:
            section = section.setdefault(parent, {})
        section[key] = yaml.safe_load(f"[{text[1:-1]}]") if text.startswith("{") else _scalar(text)
    return values


def _scalar(text: str) -> object:
    return text if ":" in text else yaml.safe_load(text)


@pytest.mark.slow
@pytest.mark.parametrize(("setting", "reason"), REFUSED)
def test_a_refusal_ends_in_values_that_are_accepted(setting: str, reason: str, tmp_path: Any) -> None:
    values, pasted = tmp_path / "values.yaml", tmp_path / "pasted.yaml"
    values.write_text(yaml.safe_dump(file_of(setting)))
    with pytest.raises(HelmError) as raised:
        render("-f", str(values))
    message, _, rest = str(raised.value).partition("Paste into your values:")
    assert reason in message
    pasted.write_text(rest.partition("Use --debug")[0])
    assert documents(render("-f", str(values), "-f", str(pasted)))


def test_every_refusal_has_values_to_paste() -> None:
    templates = {path.name: path.read_text() for path in (CHART / "templates").rglob("*") if path.is_file()}
    fails = {name: len(re.findall(r"\bfail\b", text)) for name, text in templates.items() if "fail " in text}
    assert fails["_helpers.tpl"] == len(re.findall(r"{{- fail \(", templates["_helpers.tpl"])) == 1
    assert [name for name, text in templates.items() if "{{- fail" in text] == ["_helpers.tpl"]
