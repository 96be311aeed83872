"""Made-up values of all pages: a fleet with trouble, and one without."""

from __future__ import annotations

from dataclasses import replace

from exporter.web.model import (
    AnalysisLine,
    CommandLine,
    ConfigurationPage,
    DeliveryBrief,
    DeliveryPage,
    EstimateLine,
    FactLine,
    FleetCounts,
    FleetPage,
    FleetQuery,
    GatesPage,
    MeasuredMetric,
    Notice,
    PageHead,
    PageLink,
    PhaseBand,
    PodLine,
    PointBooks,
    QueueFigures,
    RevisionLine,
    RolePods,
    RolloutCard,
    RolloutPage,
    SettingLine,
    ShadowGateCard,
    ShadowGateRun,
    SharePoint,
    StepLine,
    StepMark,
    TargetCard,
    TargetsPage,
    Timeline,
    TimelineMark,
    TrafficShare,
    Urgency,
)

NOW = 1_790_000_000.0
COUNTS = FleetCounts(
    48,
    {Urgency.PERSON: 2, Urgency.FAILED: 1, Urgency.UPDATING: 2, Urgency.UNKNOWN: 1, Urgency.REST: 42},
    targets=3,
)
DELIVERING = DeliveryBrief("delivering", "https://otlp.last9.io/v1/metrics", last_success_age=3.0, queued=0)
REFUSED = DeliveryBrief(
    "holding", "https://otlp.last9.io/v1/metrics", "401 Unauthorized: check otlp.headers", 5_400.0, 1_234_567
)
HEAD = PageHead("2.1.0", "exporter-0", 273_600.0, NOW, NOW - 3, counts=COUNTS, delivery=DELIVERING, has_gates=True)
TROUBLE = replace(HEAD, counts=replace(COUNTS, targets_down=1), delivery=REFUSED)

PAUSED = RolloutCard(
    "shop",
    "checkout",
    Urgency.PERSON,
    "canary",
    "Paused",
    2_520.0,
    "Paused for 42 min at step 3 of 8: waiting for a person.",
    "Check revision 14 (checkout:v1.8.2 → checkout:v1.9.0); `kubectl argo rollouts promote checkout -n shop` goes on, "
    "`kubectl argo rollouts abort checkout -n shop` gives up.",
    StepMark(2, 8, "pause"),
    TrafficShare(0.25, 0.2, "weight"),
    "checkout:v1.8.2",
    "checkout:v1.9.0",
    (RolePods("stable", 8, 8), RolePods("canary", 2, 2)),
    "promoted",
    172_800.0,
)
INCONCLUSIVE = RolloutCard(
    "payments",
    "ledger-writer",
    Urgency.PERSON,
    "canary",
    "Paused",
    460.0,
    "Paused for 7 min at step 2 of 4: waiting for a person, since analysis ledger-writer-6d5-2 was inconclusive "
    "(success-rate [0.951], has to be result[0] >= 0.99).",
    "Judge it yourself: `kubectl argo rollouts promote ledger-writer -n payments` goes on, "
    "`kubectl argo rollouts abort ledger-writer -n payments` gives up.",
    StepMark(1, 4, "analysis"),
    TrafficShare(0.1, 0.1, "weight"),
    "ledger:2026.11.3",
    "ledger:2026.11.4",
    (RolePods("stable", 9, 9), RolePods("canary", 1, 1)),
)
ABORTED = RolloutCard(
    "shop",
    "cart",
    Urgency.FAILED,
    "canary",
    "Abort",
    1_260.0,
    "Aborted 21 min ago at step 4 of 8: analysis cart-5f8d-3 failed (error-rate [0.082], must not be result[0] > 0.05);"
    " the stable revision stays.",
    "Deploy a corrected revision, or try this one again with `kubectl argo rollouts retry rollout cart -n shop`.",
    StepMark(3, 8, is_stopped=True),
    TrafficShare(0.0, 0.0, "weight"),
    "cart:v3.1",
    "cart:v3.2",
    (RolePods("stable", 6, 6),),
    "aborted",
    1_260.0,
)
UPDATING = RolloutCard(
    "search",
    "indexer",
    Urgency.UPDATING,
    "canary",
    "Progressing",
    95.0,
    "Revision 31 (indexer:a41 → indexer:b02) has been rolling out for 4 min, at step 5 of 6: more pods of the new "
    "revision have to start.",
    "Nothing.",
    StepMark(4, 6, "setWeight"),
    TrafficShare(0.8, 0.643, "ready_pods"),
    "indexer:a41",
    "indexer:b02",
    (RolePods("stable", 5, 5), RolePods("canary", 11, 9)),
    "promoted",
    90_000.0,
)
BLUE_GREEN = RolloutCard(
    "search",
    "frontend",
    Urgency.UPDATING,
    "blueGreen",
    "Progressing",
    40.0,
    "Revision 7 has been rolling out for 40 s: new pods are not available yet.",
    "Nothing.",
    share=TrafficShare(true=0.0, method="active_service"),
    stable="frontend:41",
    current="frontend:42",
    pods=(RolePods("stable", 3, 3), RolePods("preview", 3, 1)),
)
UNKNOWN = RolloutCard(
    "legacy",
    "mailer",
    Urgency.UNKNOWN,
    "canary",
    "",
    None,
    "Unknown: no controller shows it now; it was last in phase Progressing.",
    "Look at the controllers, and at `kubectl argo rollouts get rollout mailer -n legacy`.",
    stable="mailer:7",
    unknown=("not_shown",),
    absent_seconds=754.0,
)
RESTING = tuple(
    RolloutCard(
        "platform",
        f"service-{number:02}",
        Urgency.REST,
        "canary",
        "Completed",
        3_600.0 * number * number + 700,
        f"Healthy: service-{number:02}:v{number} runs alone.",
        stable=f"service-{number:02}:v{number}.0.{number % 4}",
        current=f"service-{number:02}:v{number}.0.{number % 4}",
        pods=(RolePods("stable", number % 5 + 2, number % 5 + 2),),
        last_result="promoted",
        last_result_age=3_600.0 * number * number + 700,
    )
    for number in range(1, 43)
)
FLEET = FleetPage(
    HEAD,
    cards=(INCONCLUSIVE, PAUSED, ABORTED, BLUE_GREEN, UPDATING, UNKNOWN, *RESTING),
    matching=48,
    namespaces=("legacy", "payments", "platform", "search", "shop"),
)
EMPTY_FLEET = FleetPage(PageHead("2.1.0", "exporter-0", 12.0, NOW))
FILTERED = replace(FLEET, query=FleetQuery("s", "shop", Urgency.PERSON, page=2), cards=(PAUSED,), matching=101)

_HOUR = 3_600.0
TIMELINE = Timeline(
    NOW - 6 * _HOUR,
    NOW,
    NOW - 5.4 * _HOUR,
    bands=(
        PhaseBand(NOW - 5.4 * _HOUR, NOW - 4 * _HOUR, "settled"),
        PhaseBand(NOW - 4 * _HOUR, NOW - 3.4 * _HOUR, "updating"),
        PhaseBand(NOW - 3.4 * _HOUR, NOW - 2.1 * _HOUR, "aborted"),
        PhaseBand(NOW - 2.1 * _HOUR, NOW - 1.2 * _HOUR, "updating"),
        PhaseBand(NOW - 1.2 * _HOUR, NOW - 1 * _HOUR, "paused"),
        PhaseBand(NOW - 1 * _HOUR, NOW - 0.7 * _HOUR, "updating"),
        PhaseBand(NOW - 0.7 * _HOUR, NOW, "paused"),
    ),
    shares=(
        SharePoint(NOW - 5.4 * _HOUR, 0.0),
        SharePoint(NOW - 3.9 * _HOUR, 0.1),
        SharePoint(NOW - 3.6 * _HOUR, 0.5),
        SharePoint(NOW - 3.4 * _HOUR, 0.0),
        SharePoint(NOW - 2 * _HOUR, 0.05),
        SharePoint(NOW - 1.2 * _HOUR, 0.1),
        SharePoint(NOW - 0.9 * _HOUR, 0.2),
    ),
    marks=(
        TimelineMark(NOW - 4 * _HOUR, "update_started", "revision 13: checkout:v1.8.2 → checkout:v1.8.9"),
        TimelineMark(NOW - 3.9 * _HOUR, "step_reached", "step 2 of 8: pause, 10 % of the traffic"),
        TimelineMark(NOW - 3.8 * _HOUR, "analysis_started", "analysis checkout-6f-1"),
        TimelineMark(NOW - 3.4 * _HOUR, "aborted", "After 36 min. Aborted at step 3 of 8: by a person."),
        TimelineMark(NOW - 2.1 * _HOUR, "update_started", "revision 14: checkout:v1.8.2 → checkout:v1.9.0"),
        TimelineMark(NOW - 1.2 * _HOUR, "paused", "Paused at step 2 of 8: it goes on by itself in 12 min."),
        TimelineMark(NOW - 1 * _HOUR, "resumed", "revision 14 goes on after 12 min"),
        TimelineMark(NOW - 0.7 * _HOUR, "paused", "Paused at step 3 of 8: waiting for a person."),
    ),
)
ROLLOUT = RolloutPage(
    HEAD,
    "shop",
    "checkout",
    PAUSED,
    timeline=TIMELINE,
    steps=(
        StepLine(0, "set weight 5 %", "done", 12.0),
        StepLine(1, "pause for 12 min", "done", 720.0),
        StepLine(2, "pause until a person promotes", "current", 2_520.0),
        StepLine(3, "set weight 50 %", "ahead"),
        StepLine(4, "analysis success-rate", "ahead"),
        StepLine(5, "pause for 10 min", "ahead"),
        StepLine(6, "set weight 80 %", "ahead"),
        StepLine(7, "pause for 10 min", "ahead"),
    ),
    revisions=(
        RevisionLine("7d9fd6c54b", "current, canary", "14", ("checkout:v1.9.0", "envoy:1.31"), 2, 2, 0.2),
        RevisionLine("54c8b6f7d9", "stable", "12", ("checkout:v1.8.2", "envoy:1.31"), 8, 8, 0.8),
    ),
    pods=(
        PodLine("checkout-7d9fd6c54b-x2x8k", "canary", "7d9fd6c54b", is_ready=True, node="node-3"),
        PodLine("checkout-54c8b6f7d9-a1b2c", "stable", "54c8b6f7d9", is_ready=False, node="node-1"),
    ),
    analyses=(
        AnalysisLine(
            "checkout-7d9fd6c54b-14-background",
            "background",
            "Running",
            started_at=NOW - 2_000,
            metrics=(
                MeasuredMetric("success-rate", "Running", "[0.998]", "33 successful", "result[0] >= 0.99"),
                MeasuredMetric(
                    "p99", "Running", "[412]", "30 successful, 3 failed", "result[0] < 500", is_dry_run=True
                ),
            ),
        ),
    ),
    facts=(
        FactLine("message: CanaryPauseStep", "rollout state", 2_520.0),
        FactLine("pause CanaryPauseStep", "rollout state", 2_520.0),
        FactLine("phase Paused", "controller 10.0.3.14:8090", 2_520.0),
    ),
    estimates=(
        EstimateLine("weight", "the weight that the controller set on the traffic router", 0.2, is_best=True),
        EstimateLine("ready_pods", "ready canary pods / all ready pods", 0.2),
        EstimateLine("replicas", "updated / desired replicas, at most 1", 0.25),
    ),
    unknown=("kube-state-metrics does not export all of its pods",),
    series=('argo_rollouts_canary_fraction{namespace="shop",name="checkout",method="weight"} 0.2',) * 3,
    links=(PageLink("Last9", "https://app.last9.io/x"), PageLink("Argo CD", "https://argocd.example.com/checkout")),
    commands=(
        CommandLine("look at it", "kubectl argo rollouts get rollout checkout -n shop"),
        CommandLine("go on with the next step", "kubectl argo rollouts promote checkout -n shop"),
        CommandLine("give up, back to the stable revision", "kubectl argo rollouts abort checkout -n shop"),
    ),
)
MISSING_ROLLOUT = RolloutPage(HEAD, "shop", "chekout", similar=("shop/checkout", "shop/cart"))
DELIVERY = DeliveryPage(
    HEAD,
    "http/protobuf",
    "gzip",
    412.0,
    3.2,
    {"200": 18_204, "503": 12},
    QueueFigures(0, 0, 0, 1 << 30, is_durable=True, storage="/var/lib/rollouts-exporter"),
    PointBooks(8_123_456, 8_123_456),
)
UNDELIVERED = replace(
    DELIVERY,
    head=TROUBLE,
    rate=0.0,
    requests={"200": 18_204, "401": 77},
    queue=QueueFigures(1_870, 1_234_567, 912_000_000, 1 << 30, 5_400.0, 1_260.0, storage="in memory"),
    books=PointBooks(9_358_023, 8_123_456, 0, {"expired": 1_000}, 1_234_567),
    notices=(
        Notice(NOW - 20, "error", "delivery is held: 401 Unauthorized; check otlp.headers", 77),
        Notice(NOW - 900, "warning", "points dropped: they waited longer than storage.max_age"),
    ),
)
TARGETS = TargetsPage(
    TROUBLE,
    (
        TargetCard("argo", "10.0.3.14:8090", "leader", "default", 3.0, 0.04, 1_824, 312_000),
        TargetCard("argo", "10.0.3.15:8090", "standby", "default", 3.0, 0.01, 40, 9_000),
        TargetCard(
            "kube_state_metrics",
            "kube-state-metrics.monitoring:8080",
            "down",
            last_success_age=754.0,
            error="500 Internal Server Error; a template exports a metric twice: see the answer",
            malformed_count=3,
            malformed=('kube_pod_info{pod="a} 1',),
            answer="An error has occurred while serving metrics:\n\ncollected metric was collected before",
        ),
    ),
    sources_without=("rollout_state",),
)
GATES = GatesPage(
    HEAD,
    "https://read-app-tsdb.last9.io/hot/v1/metrics/c/sender/o",
    (
        ShadowGateCard(
            "success-rate",
            "gates/success-rate.yaml",
            ("shop/*",),
            runs=(
                ShadowGateRun("shop", "checkout", "7d9fd6c54b", "promote", NOW - 2_000, values=("success 0.998",)),
                ShadowGateRun("shop", "cart", "5f8d", "abort", NOW - 3_000, "2 failures", ("error-rate 0.08",)),
            ),
        ),
        ShadowGateCard("broken", "gates/broken.yaml", error="metric m uses datadog; only prometheus is evaluated here"),
    ),
)
CONFIGURATION = ConfigurationPage(
    HEAD,
    (
        SettingLine("argo.targets", "argo-rollouts-metrics.argo-rollouts:8090", "file config.yaml", is_default=False),
        SettingLine("otlp.endpoint", "https://otlp.last9.io", "OTEL_EXPORTER_OTLP_ENDPOINT", is_default=False),
        SettingLine("otlp.headers", "authorization: ********", "file config.yaml", is_default=False),
        SettingLine("argo.interval", "15s", "default"),
    ),
    ("argo.interval: longer than the evaluation of alerts",),
)
