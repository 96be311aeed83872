"""Finds Rollouts whose canary gets other requests than the stable, so that a comparison of both misleads. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from exporter.gate.kubernetes import KubernetesObject, ManifestFile, parse_manifest

if TYPE_CHECKING:
    from collections.abc import Iterator

ROUTES: Final = {
    "setHeaderRoute": "requests with some header go to the canary",
    "setMirrorRoute": "the canary gets copies of requests, whose responses nobody sees",
}
"""Steps after which the requests of canary and stable are not alike."""


def route_warnings(text: str) -> Iterator[str]:
    """Yield a warning for each Rollout in YAML whose steps give the canary requests of another kind."""
    for document in parse_manifest(ManifestFile("", text)):
        if isinstance(document, KubernetesObject) and document.kind == "Rollout":
            steps = document.get("spec", "strategy", "canary", "steps")
            for name in _routes(steps if isinstance(steps, list) else []):
                yield (
                    f"Rollout {document.name} has {name}: {ROUTES[name]}, so canary and stable fail at different rates "
                    "whatever their versions are; place the gate where only setWeight directs requests, or use "
                    "--test threshold"
                )


def _routes(steps: list[Any]) -> Iterator[str]:
    """Yield the kinds of route that are set; a step without a match removes its route."""
    for name in ROUTES:
        routes = [step[name] for step in steps if isinstance(step, dict) and isinstance(step.get(name), dict)]
        if any(route.get("match") for route in routes):
            yield name
