"""Words of the model in plain English, for whoever does not have the documentation open."""

from typing import Final

METHODS: Final = {
    "weight": "the weight that the controller set on the traffic router",
    "ready_pods": "ready canary pods / all ready pods",
    "pods": "available updated / available replicas, from the controller's gauges",
    "replicas": "updated / desired replicas, at most 1",
}
"""How each method of the canary fraction finds it."""
UNKNOWN_REASONS: Final = {
    "no_leader": "no leading controller can be scraped at present",
    "not_shown": "no leader exports it; the one that did is away, or it was deleted, which is not proved yet",
    "never_shown": "rollout state shows it, but no controller ever did",
    "update": "it was first observed during an update; the next event or phase change will decide",
    "fraction": "no method can estimate the canary fraction now",
    "weight": "the router's weight has changed, and neither rollout state nor the canary's pods show the new one; "
    "with rollout state it is exact",
    "pods": "kube-state-metrics does not export all of its pods",
    "roles": "the revision of its pods is unknown: it was first observed during an update, or the revision "
    "annotation of ReplicaSets is not allow-listed in kube-state-metrics",
    "role_label": "the label of its pods that ephemeral metadata sets contradicts itself or the revisions, which are "
    "used instead",
    "phase": "the controller exports a phase that this exporter does not recognise",
}
"""What each reason means for which something of a rollout is unknown; the reasons are labels."""


def percent(share: float) -> str:
    """Return a share in [0, 1] in percent, to three digits; only 0 is "0 %" and only 1 is "100 %"."""
    text = f"{100 * share:.3g} %"
    return ">99 %" if text == "100 %" and share < 1 else text
