"""The command `init`: a configuration and the commands that install it, from five answers."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import yaml

if TYPE_CHECKING:
    from pathlib import Path

SECRET_NAME: Final = "last9"  # noqa: S105 - a name
NAMESPACE: Final = "last9"
"""Namespace of the exporter, in the commands."""


@dataclass(frozen=True, slots=True)
class InitAnswers:
    """What `init` asks; `exact`: whether the chart brings a kube-state-metrics that shows Rollouts."""

    cluster: str
    environment: str
    endpoint: str
    argo_namespace: str
    exact: bool


def config_text(answers: InitAnswers, authorization_file: Path) -> str:
    """Return the configuration of an exporter that runs outside of the chart."""
    tree = {
        "argo": {"targets": [f"argo-rollouts-metrics.{answers.argo_namespace}.svc:8090"]},
        "kube_state_metrics": {"targets": ["kube-state-metrics.kube-system.svc:8080"]},
        "otlp": {"endpoint": answers.endpoint, "authorization_file": str(authorization_file)},
        "attributes": {"k8s.cluster.name": answers.cluster, "deployment.environment": answers.environment},
        "storage": {"directory": str(authorization_file.with_name("state"))},
    }
    head = "# `rollouts-exporter config --example` prints all settings, `config --explain KEY` explains one.\n"
    return head + yaml.safe_dump(tree, sort_keys=False, allow_unicode=True)


def next_steps(answers: InitAnswers, config_file: Path, authorization_file: Path) -> str:
    """Return the commands to paste: on this machine, and in a cluster."""
    sets = {
        "image.repository": "registry.example/rollouts-exporter",
        "last9.otlpEndpoint": answers.endpoint,
        "last9.existingSecret": SECRET_NAME,
        "last9.cluster.name": answers.cluster,
        "last9.environment": answers.environment,
        "argoRollouts.namespace": answers.argo_namespace,
        **({"rolloutState.create": "true"} if answers.exact else {}),
    }
    # A comma begins the next value.
    texts = [f"{key}={value}".replace(",", r"\,") for key, value in sets.items()]
    options = " \\\n  ".join(f"--set {shlex.quote(text)}" for text in texts)
    return f"""\
# 1. The credential: paste the header of Last9's OpenTelemetry integration, Basic …
read -rs HEADER

# 2. On this machine
(umask 077; printf %s "$HEADER" | tr -d '\\r\\n' > {shlex.quote(str(authorization_file))})
rollouts-exporter check {shlex.quote(str(config_file))}

# 3. In a cluster, with your image, in a clone of the repository; the chart needs no configuration file
kubectl create namespace {NAMESPACE}
printf %s "$HEADER" | tr -d '\\r\\n' | kubectl -n {NAMESPACE} create secret generic {SECRET_NAME} \\
  --from-file=authorization=/dev/stdin
helm install rollouts-exporter charts/rollouts-exporter -n {NAMESPACE} \\
  {options}
helm test rollouts-exporter -n {NAMESPACE} --logs
"""
