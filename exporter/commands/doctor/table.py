"""The table of checks, in the order of the report; its ids are public. The manual page has a row for each."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

from exporter.commands.doctor.checks import delivery, local, sources, targets
from exporter.commands.doctor.model import GROUPS, Check, DoctorFinding, Examination
from exporter.net.credential_shape import FAULTS

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

_HEADLESS: Final = """scrape every controller pod by a headless Service:
apiVersion: v1
kind: Service
metadata: {{name: argo-rollouts-all, namespace: argo-rollouts}}
spec:
  clusterIP: None
  publishNotReadyAddresses: true
  selector: {{app.kubernetes.io/name: argo-rollouts, app.kubernetes.io/component: rollouts-controller}}
  ports: [{{name: metrics, port: 8090}}]
and set argo.targets: argo-rollouts-all.argo-rollouts.svc:8090 (a controller of the plain manifests has no component \
label: leave it out)"""
_ANNOTATIONS: Final = (
    "start kube-state-metrics with --metric-annotations-allowlist=replicasets=[rollout.argoproj.io/revision]; "
    'in its Helm chart metricAnnotationsAllowList: ["replicasets=[rollout.argoproj.io/revision]"]'
)
_LABELS: Final = (
    "start kube-state-metrics with --metric-labels-allowlist=pods=[{keys}]; "
    'in its Helm chart metricLabelsAllowlist: ["pods=[{keys}]"]'
)
_STATE: Final = (
    "helm upgrade --install kube-state-metrics-rollouts prometheus-community/kube-state-metrics -n argo-rollouts "
    "-f charts/rollouts-exporter/sidecar/rollout-state.yaml"
)
_AS: Final = "-A --as=system:serviceaccount:argo-rollouts:kube-state-metrics-rollouts"
_CAN_LIST: Final = "kubectl auth can-i list"
_CREDENTIAL: Final = "a fault of the Authorization header: it {text}"

_setting = partial(Check, group="settings")
_target = partial(Check, group="targets", level="error")
_controller = partial(Check, group="controllers", level="error")
_kube = partial(Check, group="kube-state-metrics", level="warning")
_state = partial(Check, group="rollout-state", level="warning")
_otlp = partial(Check, group="otlp", level="error")
_storage = partial(Check, group="storage", level="error")

CHECKS: Final[tuple[Check, ...]] = (
    _setting(
        id="setting", level="error", meaning="a setting is invalid", remedy="{hint}", find=local.errors,
    ),
    _setting(
        id="setting-doubtful", level="warning", meaning="a setting is valid, and likely a mistake", remedy="{hint}",
        find=local.warnings,
    ),
    _setting(
        id="header-line-break", level="error", meaning="a header has a line break in it", find=local.broken_header,
        remedy="write it on one line: printf %s 'USER:PASSWORD' | base64 -w0",
    ),
    _setting(
        id="placeholder", level="error", meaning="a setting has a placeholder such as ${{CLUSTER}}", remedy="{hint}",
        find=local.issues("placeholder"),
    ),
    _setting(
        id="remote-write-endpoint", level="error", meaning="otlp.endpoint is a URL of Prometheus remote write",
        remedy="{hint}", find=local.issues("remote_write_endpoint"),
    ),
    _setting(
        id="shared-target", level="warning", meaning="a target is under two sources or installations", remedy="{hint}",
        find=local.issues("shared_target"),
    ),
    _setting(
        id="otel-config-file", level="warning", find=local.issues("otel_config_file"),
        meaning="part of OTEL_CONFIG_FILE, or a variable beside it, is ignored", remedy="{hint}",
    ),
    _setting(
        id="attribute-collision", level="warning", find=local.colliding_attributes,
        meaning="an attribute becomes a label that series or stores have already",
        remedy="rename it, for example to deployment.{key}",
    ),
    _setting(
        id="interval-too-long", level="warning", find=local.long_interval,
        meaning="a source is scraped more rarely than the chart's alerts and dashboards need",
        remedy="set {setting}.interval: 15s; at most 150s, half of the 5 minutes that alerts look back",
    ),
    _target(
        id="address-unresolved", meaning="a name does not resolve, or has no address", find=targets.failed("dns"),
        remedy="kubectl get service,endpointslices -A | grep {name}; then set {setting}.targets to "
        "SERVICE.NAMESPACE.svc:{port}",
    ),
    _target(
        id="address-limit", meaning="a name has more addresses than are scraped", find=targets.failed("addresses"),
        level="warning", remedy="{hint}",
    ),
    _target(
        id="address-shared", meaning="one address (a ClusterIP) stands for several controllers", remedy=_HEADLESS,
        find=targets.shared_address,
    ),
    _target(
        id="address-dashboard", meaning="the address is that of the dashboard of Argo Rollouts", remedy=_HEADLESS,
        find=targets.dashboard,
    ),
    _target(
        id="target-refused", meaning="the target refuses connections", find=targets.failed("refused"),
        remedy="check that the pod runs and listens on this port: kubectl get pods -A -o wide | grep '{host} '; "
        "else correct the port in {setting}.targets",
    ),
    _target(
        id="target-unreachable", meaning="the target cannot be reached", find=targets.failed("unreachable", "failed"),
        remedy="{hint}: kubectl get networkpolicy -A",
    ),
    _target(
        id="target-timeout", meaning="the target does not respond in time", find=targets.failed("timeout"),
        remedy="{hint}; if the page is small, look for a network policy that drops packets: "
        "kubectl get networkpolicy -A",
    ),
    _target(
        id="target-connection", meaning="the connection breaks, or what comes is not HTTP", remedy="{hint}",
        find=targets.failed("reset", "not_http"),
    ),
    _target(
        id="target-tls", meaning="the TLS handshake with the target fails", find=targets.failed("tls"),
        remedy="{hint}",
    ),
    _target(
        id="target-credential", meaning="the credential or certificate of a source cannot be read", remedy="{hint}",
        find=targets.failed("credentials"),
    ),
    _target(
        id="target-unauthorized", meaning="the target responds 401", remedy="{hint}",
        find=targets.failed("http_status", statuses={401}),
    ),
    _target(
        id="target-forbidden", meaning="the target responds 403", find=targets.failed("http_status", statuses={403}),
        remedy="{hint}: kubectl create clusterrolebinding rollouts-exporter-metrics --clusterrole=system:monitoring "
        "--serviceaccount=NAMESPACE:SERVICE_ACCOUNT",
    ),
    _target(
        id="target-status", meaning="the target responds with another error", remedy="{hint}",
        find=targets.failed("http_status", without_statuses={401, 403}),
    ),
    _target(
        id="target-redirect", meaning="the target redirects, which is not followed", remedy="{hint}",
        find=targets.failed("redirect"),
    ),
    _target(
        id="target-web-page", meaning="the target responds with a web page", find=targets.web_page,
        remedy="it is another server, or a proxy with a login: set {setting}.targets and {setting}.path to the "
        "component's own metrics (controllers: port 8090, kube-state-metrics: 8080, path /metrics)",
    ),
    _target(
        id="target-format", meaning="the page is not Prometheus text format, or is cut short", remedy="{hint}",
        find=targets.failed("content_type", "encoding", "malformed", "cut_short", "not_exposition"),
    ),
    _target(
        id="target-limit", meaning="the page is larger than a limit", remedy="{hint}",
        find=targets.failed("body_limit", "sample_limit", "family_limit"),
    ),
    _target(
        id="target-malformed-lines", level="warning", meaning="some lines of a page cannot be parsed",
        find=targets.malformed_lines,
        remedy="look for what changes the page in between: curl -s http://{target}/metrics; their series are missing",
    ),
    _target(
        id="target-other-component", meaning="the page is of another component than the source is for",
        remedy="set {setting}.targets to the right port: controllers 8090, kube-state-metrics 8080 (8081 is about "
        "itself)",
        find=targets.other_component,
    ),
    _controller(
        id="controller-duplicate-metric", find=targets.duplicate_metric,
        meaning="an object repeats the name of a metric, which breaks the controller's complete page (500)",
        remedy="give the metrics of each object different names: {commands}",
    ),
    _controller(
        id="controller-only-standbys", meaning="no scraped controller leads", find=targets.only_standbys,
        remedy="kubectl get lease -A | grep argo-rollouts shows the leader, whose address is missing in argo.targets "
        f"(without a Rollout in the cluster all controllers look like standbys); {_HEADLESS}",
    ),
    _controller(
        id="controller-version", meaning="a controller is too old for a metric that is needed",
        remedy="update Argo Rollouts to 1.6 or later", find=targets.old_controller,
    ),
    _kube(
        id="ksm-annotations", meaning="kube-state-metrics has no allow-list of annotations: roles of pods during a "
        "rollback are unknown", remedy=_ANNOTATIONS, find=sources.missing_annotations,
    ),
    _kube(
        id="ksm-annotation-key", meaning="the allow-list of annotations is without the revision of rollouts",
        remedy=f"add the key; {_ANNOTATIONS}", find=sources.missing_annotation_key,
    ),
    _kube(
        id="ksm-labels", meaning="kube-state-metrics has no allow-list of labels of pods: labels of ephemeral metadata "
        "are not used", remedy=_LABELS, find=sources.missing_labels,
    ),
    _kube(
        id="ksm-label-key", meaning="the allow-list of labels is without those of rollouts",
        remedy=f"add the keys; {_LABELS}", find=sources.missing_label_key,
    ),
    _kube(
        id="ksm-resources", level="error", meaning="kube-state-metrics does not show pods or ReplicaSets",
        remedy="start it with --resources=pods,replicasets (in its Helm chart collectors: [pods, replicasets]), and "
        "grant its ClusterRole list and watch on {resources}",
        find=sources.missing_resources,
    ),
    _kube(
        id="ksm-shard", level="error", meaning="not all shards of kube-state-metrics are scraped",
        find=sources.missing_shards,
        remedy="kubectl get pods -A -l app.kubernetes.io/name=kube-state-metrics shows the shards; scrape all of them "
        "by a headless Service (clusterIP: None), and set kube_state_metrics.targets to its name",
    ),
    _kube(
        id="ksm-starting", meaning="kube-state-metrics has just started, and its page filled during the look",
        remedy="nothing, unless it restarts often: kubectl get pods -A -l app.kubernetes.io/name=kube-state-metrics",
        find=sources.starting,
    ),
    _kube(
        id="ksm-version", meaning="kube-state-metrics before 2.18 sends all resources, whatever was asked for",
        remedy="update it to 2.18 or later, or run one with --resources=pods,replicasets alone",
        find=sources.ignored_filter,
    ),
    _state(
        id="state-rbac", level="error", find=sources.unlisted_state,
        meaning="rollout state shows no rollout, though the controllers do, so that the CRD is there: RBAC or the "
        "configuration is missing",
        remedy=f"{_CAN_LIST} rollouts.argoproj.io {_AS}; "
        f"{_CAN_LIST} customresourcedefinitions.apiextensions.k8s.io {_AS}; then install it again: {_STATE}",
    ),
    _state(
        id="state-empty", level="error", find=sources.empty_state,
        meaning="neither rollout state nor a controller shows a rollout: the CRD is missing, or RBAC for both",
        remedy="kubectl get crd rollouts.argoproj.io; if it is there: "
        f"{_CAN_LIST} rollouts.argoproj.io {_AS}; then install it again: {_STATE}",
    ),
    _state(
        id="state-analysis-runs", meaning="rollout state shows no AnalysisRuns: RBAC for them is missing",
        remedy=f"{_CAN_LIST} analysisruns.argoproj.io {_AS}; then install it again: {_STATE}",
        find=sources.partial_state,
    ),
    _state(
        id="state-first-version", meaning="rollout state has the chart's first configuration: no messages, steps and "
        "analyses", remedy=f"install it again with this version's values: {_STATE}", find=sources.first_state,
    ),
    _state(
        id="state-version", level="error", meaning="rollout state is of a kube-state-metrics before 2.8",
        remedy=f"update it: {_STATE}", find=sources.old_state,
    ),
    Check(
        id="sources-disagree", group="rollouts", level="warning", find=sources.disagreement,
        meaning="one source shows rollouts that another does not, twice within seconds",
        remedy="scrape the component that has them: compare the namespaces of {setting} and {other} (--namespaces, "
        "--namespaced, RBAC), and add missing controllers or shards to {setting}.targets",
    ),
    *(
        _otlp(
            id=f"credential-{name.replace('_', '-')}", find=local.issues(f"credential_{name}"), remedy="{hint}",
            meaning=_CREDENTIAL.format(text=fault.text),
        )
        for name, fault in FAULTS.items()
    ),
    _otlp(
        id="credential-scheme", meaning=_CREDENTIAL.format(text="is not `Basic `, which Last9 requires"),
        remedy="{hint}", find=local.issues("credential_scheme"),
    ),
    _otlp(
        id="otlp-no-credential", meaning="the endpoint requires a credential, and none is set",
        remedy="set LAST9_AUTH_HEADER, or write the complete value of the header into otlp.authorization_file",
        find=delivery.no_credential,
    ),
    _otlp(
        id="otlp-unauthorized", meaning="the endpoint refuses the credential", find=delivery.endpoint("unauthorized"),
        remedy="copy the credential again (Last9: Integrations > OpenTelemetry; not a read token, nor that of remote "
        "write), and see that it is of this endpoint's organisation and region",
    ),
    _otlp(
        id="otlp-unsent", meaning="a file of otlp.* cannot be read, so nothing can be sent", remedy="{hint}",
        find=delivery.endpoint("unsent"),
    ),
    _otlp(
        id="otlp-unresolved", meaning="the name of the endpoint does not resolve", find=delivery.endpoint("unresolved"),
        remedy="correct the host in otlp.endpoint: nslookup {host}",
    ),
    _otlp(
        id="otlp-unreachable", meaning="the endpoint cannot be reached", find=delivery.endpoint("unreachable"),
        remedy="allow egress to {host}:{port} (kubectl get networkpolicy -A; security groups), or set HTTPS_PROXY; "
        "try: nc -vz {host} {port}",
    ),
    _otlp(
        id="otlp-timeout", meaning="the endpoint does not respond in time", find=delivery.endpoint("timeout"),
        remedy="allow egress to {host}:{port} (kubectl get networkpolicy -A; security groups), or raise otlp.timeout",
    ),
    _otlp(
        id="otlp-proxy", meaning="a proxy is in the way of the endpoint", find=delivery.endpoint("proxy"),
        remedy="exclude the endpoint from the proxy (NO_PROXY={host}), or allow it in the proxy {proxy}, with its "
        "user and password in HTTPS_PROXY",
    ),
    _otlp(
        id="otlp-tls-name", meaning="the endpoint's certificate is for another name", remedy="set otlp.tls.server_name "
        "to a name in the certificate: openssl s_client -connect {host}:{port} </dev/null | "
        "openssl x509 -noout -ext subjectAltName",
        find=delivery.endpoint("tls_name"),
    ),
    _otlp(
        id="otlp-tls", meaning="the endpoint's certificate is not trusted, or the handshake fails",
        remedy="set otlp.tls.ca_file to the authority that issued it: openssl s_client -showcerts -connect "
        "{host}:{port} </dev/null",
        find=delivery.endpoint("tls"),
    ),
    _otlp(
        id="otlp-scheme", meaning="https:// to a port without TLS, or the reverse",
        remedy="set otlp.endpoint: {address}", find=delivery.endpoint("scheme"),
    ),
    _otlp(
        id="otlp-grpc-port", meaning="OTLP over HTTP goes to a port that speaks gRPC",
        remedy="set otlp.protocol: grpc and otlp.endpoint: {address}, or use the port for HTTP (mostly 4318)",
        find=delivery.endpoint("grpc_port"),
    ),
    _otlp(
        id="otlp-http-port", meaning="OTLP over gRPC goes to a port that speaks HTTP",
        remedy="set otlp.protocol: http/protobuf and otlp.endpoint: {address}, or use the port for gRPC (mostly 4317)",
        find=delivery.endpoint("http_port"),
    ),
    _otlp(
        id="otlp-doubled-path", meaning="the endpoint already has the path of a signal, so /v1/metrics is in it twice",
        remedy="set otlp.endpoint: {base}", find=delivery.endpoint("doubled_path"),
    ),
    _otlp(
        id="otlp-not-found", meaning="nothing takes points at this path", find=delivery.endpoint("not_found"),
        remedy="set otlp.endpoint to the base URL of the store: Last9 https://otlp.last9.io, VictoriaMetrics "
        "http://HOST:8428/opentelemetry, Prometheus http://HOST:9090/api/v1/otlp",
    ),
    _otlp(
        id="otlp-web-page", meaning="the endpoint responds with a web page, so nothing is stored",
        remedy="{host} is another server, or a proxy with a login is in between: correct otlp.endpoint, or exclude "
        "the host from the login",
        find=delivery.endpoint("web_page"),
    ),
    _otlp(
        id="otlp-refused", meaning="the endpoint refuses requests for another reason", remedy="see {hint}",
        find=delivery.endpoint("refused"),
    ),
    Check(
        id="clock-skew", group="clock", level="warning", find=delivery.clock_skew,
        meaning="the clock of this machine differs from a server's by more than 30 s",
        remedy="timedatectl set-ntp true (on the node), or correct the server's clock; ages and durations are wrong "
        "by the difference, and stores refuse points from the future",
    ),
    _storage(
        id="storage-impossible", meaning="storage.directory can never be a directory", remedy="{hint}",
        find=local.issues("impossible_directory"),
    ),
    _storage(
        id="storage-unwritable", meaning="storage.directory cannot be written", find=local.unwritable,
        remedy="{hint}; for a volume of Kubernetes set securityContext.fsGroup: 65532, else: chown USER {directory}",
    ),
    _storage(
        id="storage-nearly-full", level="warning", meaning="storage.directory has less room than storage may take",
        remedy="df -h {directory}; free some, enlarge the volume, or lower storage.max_bytes", find=local.nearly_full,
    ),
    _storage(
        id="storage-locked", meaning="another process has storage.directory", find=local.locked,
        remedy="give each exporter a directory of its own, or stop the other: ps -p {pid}",
    ),
    _storage(
        id="storage-network", level="warning", meaning="storage.directory is on a network file system",
        remedy="use a local disk or a block volume (ReadWriteOnce): locks and shared memory of SQLite do not work "
        "reliably there", find=local.network_disk,
    ),
)  # fmt: skip # a table


def selected(names: Collection[str]) -> tuple[Check, ...]:
    """Return the checks with these ids or groups, all without one. Raises ValueError for an unknown name."""
    known_names = {check.id for check in CHECKS} | set(GROUPS)
    if unknown := sorted(set(names) - known_names):
        raise ValueError(f"{unknown[0]} is neither a group ({', '.join(GROUPS)}) nor the id of a check")
    return tuple(check for check in CHECKS if not names or check.id in names or check.group in names)


def diagnose(examination: Examination, checks: Iterable[Check] = CHECKS) -> Iterator[DoctorFinding]:
    """Yield the findings of an examination, in the order of the checks."""
    for check in checks:
        for symptom in check.find(examination):
            remedy = check.remedy.format_map(symptom.values)
            yield DoctorFinding(check.id, check.group, check.level, symptom.subject, symptom.evidence, remedy)
