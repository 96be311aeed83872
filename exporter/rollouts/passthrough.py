"""Families that pass through unchanged: the leader's, and `kube_pod_labels` of rollout pods."""

from __future__ import annotations

from array import array
from itertools import compress
from typing import TYPE_CHECKING, Final

from exporter.family import Family, Source

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Sequence

    from exporter.family import Page, Series
    from exporter.rollouts.rules import Rules

POD_LABELS: Final = "kube_pod_labels"


def passed(
    leaders: Sequence[Page], others: Iterable[Page], rules: Rules, pods: Collection[tuple[str, str]]
) -> tuple[Family, ...]:
    """Return what passes; `pods` are the (namespace, pod) of rollouts."""
    chosen: dict[str, list[Family]] = {}
    for page in leaders:
        for family in page.families.values():
            if len(family) and rules.passes(family.name):
                chosen.setdefault(family.name, []).append(family)
    for page in others:
        labels = page.families.get(POD_LABELS)
        if page.source is Source.KUBE_STATE_METRICS and labels is not None and rules.passes(POD_LABELS):
            own = select(labels, lambda one: (one.label("namespace"), one.label("pod")) in pods)
            chosen.setdefault(POD_LABELS, []).append(own)
    merged = (_merged(families) for families in chosen.values())
    watched = rules.watched
    if watched is not None:
        merged = (select(one, lambda series: _watched(series, watched)) for one in merged)
    return tuple(family for family in merged if len(family))


def _watched(series: Series, watched: Callable[[str], bool]) -> bool:
    """Tell whether a series is of a namespace that is watched, or of none."""
    namespace = series.label("namespace")
    return not namespace or watched(namespace)


def select(family: Family, keep: Callable[[Series], bool]) -> Family:
    """Return a family with only the series wanted; the family itself when that is all of them."""
    wanted = [keep(one) for one in family.series]
    if all(wanted):
        return family
    series = list(compress(family.series, wanted))
    values = array("d", compress(family.values, wanted))
    starts = None if family.starts is None else array("d", compress(family.starts, wanted))
    return Family(family.name, family.kind, family.help, series, values, starts)


def _merged(families: Sequence[Family]) -> Family:
    """Join one family of several pages; of a series that several show the first page's is taken (T40)."""
    if len(families) == 1:
        return families[0]
    samples: dict[Series, float] = {}
    for family in families:
        for series, value in zip(family.series, family.values, strict=True):
            samples.setdefault(series, value)
    first = families[0]
    return Family(first.name, first.kind, first.help, list(samples), array("d", samples.values()))
