"""YAML → documents that know their lines."""

from __future__ import annotations

import pytest

from exporter.gate.kubernetes import KubernetesObject, ManifestFile, ManifestIssue, parse_manifest

TEXT = """\
# one
kind: AnalysisTemplate
metadata: {name: a}
spec:
  metrics:
    # tolerated: two
    - name: m
      failureLimit: 2  # and then no more
      provider:
        prometheus:
          query: |
            up
            # no comment of YAML
---
kind: List
items:
  - kind: AnalysisTemplate
    metadata:
      name: b
  - kind: Secret
    metadata: {name: c}
---
not: an object
---
kind: Rollout
metadata: {name: d}
"""


def read(text: str) -> list[KubernetesObject | ManifestIssue]:
    return list(parse_manifest(ManifestFile("x.yaml", text)))


def test_every_object_is_found_those_of_lists_too() -> None:
    found = read(TEXT)
    assert [(one.kind, one.name) for one in found if isinstance(one, KubernetesObject)] == [
        ("AnalysisTemplate", "a"),
        ("AnalysisTemplate", "b"),
        ("Secret", "c"),
        ("Rollout", "d"),
    ]


def test_every_value_knows_its_line_and_an_absent_one_that_of_what_holds_it() -> None:
    template, second, _, rollout = (one for one in read(TEXT) if isinstance(one, KubernetesObject))
    assert template.line(("spec", "metrics", 0, "failureLimit")) == 8
    assert template.line(("spec", "metrics", 0, "provider", "prometheus", "query")) == 11
    assert template.line(("spec", "metrics", 0, "interval")) == 7
    assert template.line(("spec", "args")) == 4
    assert second.line(("metadata", "name")) == 19
    assert rollout.line(("kind",)) == 25


def test_comments_are_those_beside_and_above() -> None:
    template = next(one for one in read(TEXT) if isinstance(one, KubernetesObject))
    assert template.comments(("spec", "metrics", 0, "failureLimit")) == ("and then no more",)
    assert template.comments(("spec", "metrics", 0)) == ("tolerated: two",)
    assert template.comments(("spec", "metrics", 0, "provider", "prometheus", "query")) == ()


def test_a_fault_costs_its_own_document_alone() -> None:
    found = read("kind: A\n---\nb: [\n---\nkind: C\n")
    assert [one.line if isinstance(one, ManifestIssue) else one.kind for one in found] == ["A", 4, "C"]


def test_windows_line_ends_and_json_are_read() -> None:
    (found,) = read('{"kind": "AnalysisTemplate",\r\n "metadata": {"name": "j"}}\r\n')
    assert isinstance(found, KubernetesObject)
    assert found.name == "j"
    assert found.line(("metadata", "name")) == 2


def test_anchors_and_merges_are_followed() -> None:
    (found,) = read("kind: AnalysisTemplate\nspec:\n  args: &a\n    - &b {name: x}\n    - <<: *b\n      value: y\n")
    assert isinstance(found, KubernetesObject)
    assert found.get("spec", "args", 1) == {"name": "x", "value": "y"}
    assert found.line(("spec", "args", 1, "name")) == 4


@pytest.mark.parametrize(
    "text",
    [
        "a: &a [*a]\n",
        "a: &a [x,x,x,x,x,x,x,x,x]\n"
        + "".join(f"{chr(98 + n)}: &{chr(98 + n)} [{','.join(['*' + chr(97 + n)] * 9)}]\n" for n in range(9)),
    ],
    ids=["circle", "bomb"],
)
def test_aliases_that_never_end_are_refused(text: str) -> None:
    (found,) = read(text)
    assert isinstance(found, ManifestIssue)
    assert "alias" in found.reason


def test_a_date_stays_text() -> None:
    (found,) = read("kind: Secret\nstringData: {day: 2026-11-25}\n")
    assert isinstance(found, KubernetesObject)
    assert found.get("stringData", "day") == "2026-11-25"
