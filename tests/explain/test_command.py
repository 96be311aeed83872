"""The command `explain` finds a rollout by name, suggests similar names, and prints sentence, advice and evidence."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner

from exporter.cli.root import main
from exporter.commands.explain import ExplainError, select

if TYPE_CHECKING:
    from collections.abc import Mapping

    from click.testing import Result

    from tests.recorded import Recordings


def explain(recordings: Recordings, *arguments: str) -> Result:
    """Run `explain` on a recording."""
    frames = recordings.frames("inconclusive-1.10.2", "full")
    return CliRunner().invoke(main, ["explain", "--recording", str(frames), *arguments])


def test_sentence_advice_and_evidence_come_first(explained_recordings: Recordings) -> None:
    start = explained_recordings.ticks("inconclusive-1.10.2", "full")[0].timestamp
    lines = explain(explained_recordings, "--at", str(start + 8), "shop/unsure").output.splitlines()
    assert lines[0] == "shop/unsure (canary)"
    assert lines[1].startswith(
        "  Paused for 2 s at step 2 of 4: waiting for a person, since analysis unsure-5956954bdb-2-1"
    )
    assert "has to be result[0] > 0.9" in lines[1]
    assert lines[2].startswith(
        "  what to do: Judge it yourself: `kubectl argo rollouts promote unsure -n shop` goes on"
    )
    assert lines[3] == "  evidence:"
    assert any("metric score Inconclusive: last [0.5]" in line and "rollout state" in line for line in lines)


def test_a_name_without_namespace_is_enough_if_only_one_rollout_has_it(explained_recordings: Recordings) -> None:
    assert explain(explained_recordings, "doubt").output.startswith("shop/doubt (canary)\n")


def test_without_a_name_all_rollouts_are_listed_with_their_sentences(explained_recordings: Recordings) -> None:
    head, *lines = explain(explained_recordings).output.splitlines()
    assert head.split() == ["ROLLOUT", "PHASE", "FOR", "STEP", "CANARY", "STATE"]
    assert sorted(line.split()[0] for line in lines) == [
        f"shop/{name}" for name in ("behind", "blue", "cart", "doubt", "unsure", "web")
    ]
    assert all(line.endswith(".") for line in lines)


def test_json_has_the_explanation_at_a_time_before_the_end(explained_recordings: Recordings) -> None:
    document = json.loads(explain(explained_recordings, "--json", "--at", "-16s", "shop/doubt").output)
    explanation: dict[str, Any] = document["explanation"]
    assert (explanation["cause"], explanation["stopped_at"]) == ("person", 1)
    assert explanation["evidence"]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("shop/chekout", "no rollout shop/chekout; did you mean shop/checkout"),
        ("chekout", "no rollout chekout; did you mean shop/checkout"),
        ("cart", "several rollouts are called cart: pay/cart, shop/cart; write NAMESPACE/NAME"),
    ],
)
def test_a_wrong_name_is_answered_with_at_most_three(name: str, message: str) -> None:
    names = [("shop", f"service-{number}") for number in range(600)]
    names += [("shop", "checkout"), ("pay", "cart"), ("shop", "cart")]
    rollouts: list[Mapping[str, Any]] = [{"namespace": namespace, "name": own_name} for namespace, own_name in names]
    with pytest.raises(ExplainError, match=message) as raised:
        select(rollouts, name)
    assert str(raised.value).count("/") <= 5
