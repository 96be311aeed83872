"""The images of a revision: from its pods, from the rollout's own template, or remembered."""

from __future__ import annotations

from typing import TYPE_CHECKING

from exporter.rollouts.explain.causes import is_up_to_date
from exporter.rollouts.explain.model import RevisionImages

if TYPE_CHECKING:
    from collections.abc import Mapping

    from exporter.rollouts.details import Images
    from exporter.rollouts.model import Observation, RevisionHashes, Rollout


def remembered_images(
    remembered: Mapping[str, Images], hashes: RevisionHashes, observation: Observation
) -> Mapping[str, Images]:
    """Return the images of the current and the stable revision by hash, as far as they were ever shown."""
    current, stable = _hashes(hashes, observation)
    images = {}
    for pod_hash in filter(None, (current, stable)):
        # The template of a hash never changes; what is shown of it may: a template of a newer revision, injected
        # containers, a pod whose containers have no status yet.
        of_hash = remembered.get(pod_hash) or _shown_images(pod_hash, observation, is_current=pod_hash == current)
        if of_hash:
            images[pod_hash] = of_hash
    return remembered if images == remembered else images


def _hashes(hashes: RevisionHashes, observation: Observation) -> tuple[str, str]:
    status = observation.status
    if status is None or not status.current_hash:
        return hashes.current, hashes.stable
    return status.current_hash, status.stable_hash


def _shown_images(pod_hash: str, observation: Observation, *, is_current: bool) -> Images:
    status = observation.status
    template = observation.details.images
    if is_current and status is not None and template and is_up_to_date(status):
        return template
    pods = observation.workload.pods if observation.workload is not None else ()
    images = max((pod.images for pod in pods if pod.hash == pod_hash), key=len, default={})
    # Containers that were injected into the pods are not of the template.
    if template and template.keys() <= images.keys():
        return {name: images[name] for name in template}
    return images


def revision_images(rollout: Rollout) -> RevisionImages | None:
    """Return the images of the current and the stable revision, None unless both are known."""
    current, stable = _hashes(rollout.state.hashes, rollout.observation)
    images = rollout.state.memory.images
    if not images.get(current) or not images.get(stable):
        return None
    return RevisionImages(images[current], images[stable])
