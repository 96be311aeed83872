"""Kubernetes YAML is parsed with the line of every value."""

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


def test_every_object_is_found_also_in_lists() -> None:
    items = read(TEXT)
    assert [(item.kind, item.name) for item in items if isinstance(item, KubernetesObject)] == [
        ("AnalysisTemplate", "a"),
        ("AnalysisTemplate", "b"),
        ("Secret", "c"),
        ("Rollout", "d"),
    ]


def test_absent_value_has_the_line_of_its_parent() -> None:
    template, second, _, rollout = (item for item in read(TEXT) if isinstance(item, KubernetesObject))
    assert template.line(("spec", "metrics", 0, "failureLimit")) == 8
    assert template.line(("spec", "metrics", 0, "provider", "prometheus", "query")) == 11
    assert template.line(("spec", "metrics", 0, "interval")) == 7
    assert template.line(("spec", "args")) == 4
    assert second.line(("metadata", "name")) == 19
    assert rollout.line(("kind",)) == 25


def test_comments_are_those_beside_and_above_a_value() -> None:
    template = next(item for item in read(TEXT) if isinstance(item, KubernetesObject))
    assert template.comments(("spec", "metrics", 0, "failureLimit")) == ("and then no more",)
    assert template.comments(("spec", "metrics", 0)) == ("tolerated: two",)
    assert template.comments(("spec", "metrics", 0, "provider", "prometheus", "query")) == ()


def test_syntax_error_affects_only_its_document() -> None:
    items = read("kind: A\n---\nb: [\n---\nkind: C\n")
    assert [item.line if isinstance(item, ManifestIssue) else item.kind for item in items] == ["A", 4, "C"]


def test_windows_line_ends_and_json_are_parsed() -> None:
    (parsed,) = read('{"kind": "AnalysisTemplate",\r\n "metadata": {"name": "j"}}\r\n')
    assert isinstance(parsed, KubernetesObject)
    assert parsed.name == "j"
    assert parsed.line(("metadata", "name")) == 2


def test_anchors_and_merge_keys_are_resolved() -> None:
    (parsed,) = read("kind: AnalysisTemplate\nspec:\n  args: &a\n    - &b {name: x}\n    - <<: *b\n      value: y\n")
    assert isinstance(parsed, KubernetesObject)
    assert parsed.get("spec", "args", 1) == {"name": "x", "value": "y"}
    assert parsed.line(("spec", "args", 1, "name")) == 4


@pytest.mark.parametrize(
    "text",
    [
        "a: &a [*a]\n",
        "a: &a [x,x,x,x,x,x,x,x,x]\n"
        + "".join(f"{chr(98 + n)}: &{chr(98 + n)} [{','.join(['*' + chr(97 + n)] * 9)}]\n" for n in range(9)),
    ],
    ids=["circle", "bomb"],
)
def test_circular_and_exploding_aliases_are_rejected(text: str) -> None:
    (parsed,) = read(text)
    assert isinstance(parsed, ManifestIssue)
    assert "alias" in parsed.reason


def test_a_date_stays_text() -> None:
    (parsed,) = read("kind: Secret\nstringData: {day: 2026-11-25}\n")
    assert isinstance(parsed, KubernetesObject)
    assert parsed.get("stringData", "day") == "2026-11-25"
