"""Each rule has a file that breaks it alone, and the same file mended: rules/RULE.bad.yaml, .good.yaml, .txt.

`python -m tests.gate.lint.golden` writes the texts anew.
"""

from __future__ import annotations

import base64
import copy
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.gate.controller import DEFAULT_VERSION
from exporter.gate.lint.rules import RULES
from tests.gate.lint.golden import ARTICLE, PAIRS, VERSIONS, expected
from tests.gate.lint.helpers import findings, rules, said

if TYPE_CHECKING:
    from collections.abc import Iterator

SECRET = """\
apiVersion: v1
kind: Secret
metadata: {name: last9-read, namespace: production}
data: {authorization: QmFzaWMgZFhObGNqcHdZWE56}
"""
NAMES = [rule.name for rule in RULES]


def pair(rule: str) -> tuple[str, str]:
    return (PAIRS / f"{rule}.bad.yaml").read_text(), (PAIRS / f"{rule}.good.yaml").read_text()


@pytest.mark.parametrize("rule", NAMES)
def test_a_bad_file_breaks_its_rule_and_no_other(rule: str) -> None:
    assert rules(pair(rule)[0], version=VERSIONS.get(rule, DEFAULT_VERSION)) == [rule]


@pytest.mark.parametrize("rule", NAMES)
def test_its_mended_twin_breaks_none(rule: str) -> None:
    assert rules(pair(rule)[1], version=VERSIONS.get(rule, DEFAULT_VERSION)) == []


@pytest.mark.parametrize("rule", NAMES)
def test_what_is_said_of_it_is_exact(rule: str) -> None:
    assert expected(rule) == (PAIRS / f"{rule}.txt").read_text()


def test_no_pair_is_left_of_a_rule_that_is_gone() -> None:
    assert {path.name.partition(".")[0] for path in PAIRS.iterdir()} == set(NAMES)


def test_the_articles_own_gate_gives_exactly_these_findings() -> None:
    text = (ARTICLE / "gate.yaml").read_text()
    assert said(text, "1.8.3") == (ARTICLE / "findings.txt").read_text()


@pytest.mark.parametrize("rule", [name for name in NAMES if name != "yaml"])
def test_a_comment_allows_what_a_rule_finds(rule: str) -> None:
    bad = pair(rule)[0].split("\n")
    (found,) = findings("\n".join(bad), version=VERSIONS.get(rule, DEFAULT_VERSION))
    bad.insert(found.line - 1, f"# gate-lint: allow something-else, {rule}")
    assert rules("\n".join(bad), version=VERSIONS.get(rule, DEFAULT_VERSION)) == []


@pytest.mark.parametrize(("version", "wrong"), [("1.6.6", True), ("1.9.1", True), ("1.10.0", True), ("1.11.0", False)])
def test_basic_auth_is_wrong_until_the_controller_has_it(version: str, *, wrong: bool) -> None:
    assert ("basic-auth" in rules(pair("basic-auth")[0], version=version)) is wrong


def test_rollouts_of_others_and_secrets_that_no_gate_reads_are_left_alone() -> None:
    good = pair("secret-in-rollout")[1]
    others = pair("secret-in-rollout")[0].replace(
        "apiVersion: argoproj.io/v1alpha1\nkind: Rollout", "apiVersion: rollouts.kruise.io/v1beta1\nkind: Rollout"
    )
    sealed = "apiVersion: v1\nkind: Secret\nmetadata: {name: other}\ndata: {x: 'ENC[AES256]'}\n"
    assert rules(good, sealed) == []
    assert "secret-in-rollout" not in rules(others)


def test_a_secrets_data_is_looked_into_and_never_shown() -> None:
    held = base64.b64encode(b"Basic dXNlcjpoaWRkZW4=\n").decode()
    good = pair("header-newline")[1]
    bad = good.replace(base64.b64encode(b"Basic dXNlcjpwYXNz").decode(), held)
    assert rules(bad) == ["header-newline"]
    assert "dXNlcjpoaWRkZW4" not in said(bad)
    assert held not in said(bad)


@pytest.mark.parametrize(
    "secret", ["s3cret-token", "Basic s3cret-token", "Basic dXNlcjpwYXNz s3cret-token", "s3cret-token\n"]
)
def test_a_credential_is_never_repeated_wherever_it_stands(secret: str) -> None:
    text = pair("credential-literal")[0].replace('"Basic dXNlcjpwYXNz"', repr(secret).replace("'", '"'))
    address = pair("address-credential")[0].replace("user:token", "user:s3cret-token")
    numeric = pair("credential-literal")[0].replace('"Basic dXNlcjpwYXNz"', "31337")
    assert "s3cret" not in said(text)
    assert "s3cret" not in said(address)
    assert "31337" not in said(numeric)


KEYS = ["metrics", "args", "name", "value", "valueFrom", "secretKeyRef", "key", "provider", "prometheus", "headers"]
KEYS += ["query", "address", "count", "interval", "timeout", "failureLimit", "successCondition", "dryRun", "templates"]
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-5, 50)
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(
        ["result[0] < 0.05", "2m", "{{args.x}}", "{{", "sum(up)", "up[5m]", "https://read-x.last9.io/", "[::1", "*"]
    ),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(KEYS),
            inner,
            max_size=5,
        )
    ),
    max_leaves=12,
)


def paths(value: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    yield path
    for key, one in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        yield from paths(one, (*path, key))


WHOLE = list(yaml.safe_load_all((PAIRS / "secret-in-rollout.bad.yaml").read_text() + "---\n" + SECRET))
PLACES = sorted(paths(WHOLE), key=str)


@settings(max_examples=200, deadline=None, derandomize=True)
@given(place=st.sampled_from([one for one in PLACES if one]), value=VALUES)
def test_whatever_stands_anywhere_it_does_not_stop(place: tuple[str | int, ...], value: object) -> None:
    documents = copy.deepcopy(WHOLE)
    at: Any = documents
    for key in place[:-1]:
        at = at[key]
    at[place[-1]] = value
    text = yaml.safe_dump_all(documents)
    for found in findings(text):
        assert 1 <= found.line <= text.count("\n") + 1
        assert found.reason
        assert found.hint


def test_every_rule_says_something_of_its_own() -> None:
    assert len({rule.summary for rule in RULES}) == len(RULES) == len(set(NAMES))
    assert Path(PAIRS).is_dir()
