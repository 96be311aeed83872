"""Each rule has a file that breaks only that rule, the same file without the error, and the text of the finding.

They are rules/RULE.bad.yaml, RULE.good.yaml and RULE.txt. `python -m tests.gate.lint.golden` writes the texts.
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
from tests.gate.lint.golden import ARTICLE, PAIRS, VERSIONS, WITH_STORE, expected
from tests.gate.lint.helpers import findings, findings_text, rules

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


def context(rule: str) -> dict[str, Any]:
    return {"version": VERSIONS.get(rule, DEFAULT_VERSION), "traffic": WITH_STORE.get(rule, {})}


@pytest.mark.parametrize("rule", NAMES)
def test_bad_file_breaks_only_its_rule(rule: str) -> None:
    assert rules(pair(rule)[0], **context(rule)) == [rule]


@pytest.mark.parametrize("rule", NAMES)
def test_good_file_breaks_no_rule(rule: str) -> None:
    assert rules(pair(rule)[1], **context(rule)) == []


@pytest.mark.parametrize("rule", NAMES)
def test_text_of_a_finding_is_unchanged(rule: str) -> None:
    assert expected(rule) == (PAIRS / f"{rule}.txt").read_text()


def test_every_file_belongs_to_a_rule() -> None:
    assert {path.name.partition(".")[0] for path in PAIRS.iterdir()} == set(NAMES)


def test_findings_of_the_article_are_unchanged() -> None:
    text = (ARTICLE / "gate.yaml").read_text()
    assert findings_text(text, "1.8.3") == (ARTICLE / "findings.txt").read_text()


@pytest.mark.parametrize("rule", [name for name in NAMES if name != "yaml"])
def test_comment_suppresses_a_finding(rule: str) -> None:
    bad = pair(rule)[0].split("\n")
    (finding,) = findings("\n".join(bad), **context(rule))
    bad.insert(finding.line - 1, f"# gate-lint: allow something-else, {rule}")
    assert rules("\n".join(bad), **context(rule)) == []


@pytest.mark.parametrize(("version", "wrong"), [("1.6.6", True), ("1.9.1", True), ("1.10.0", True), ("1.11.0", False)])
def test_basic_auth_is_an_error_before_1_11(version: str, *, wrong: bool) -> None:
    assert ("basic-auth" in rules(pair("basic-auth")[0], version=version)) is wrong


def test_other_rollouts_and_unused_secrets_are_ignored() -> None:
    good = pair("secret-in-rollout")[1]
    others = pair("secret-in-rollout")[0].replace(
        "apiVersion: argoproj.io/v1alpha1\nkind: Rollout", "apiVersion: rollouts.kruise.io/v1beta1\nkind: Rollout"
    )
    sealed = "apiVersion: v1\nkind: Secret\nmetadata: {name: other}\ndata: {x: 'ENC[AES256]'}\n"
    assert rules(good, sealed) == []
    assert "secret-in-rollout" not in rules(others)


def test_data_of_a_secret_is_checked_and_never_printed() -> None:
    encoded = base64.b64encode(b"Basic dXNlcjpoaWRkZW4=\n").decode()
    good = pair("header-newline")[1]
    bad = good.replace(base64.b64encode(b"Basic dXNlcjpwYXNz").decode(), encoded)
    assert rules(bad) == ["header-newline"]
    assert "dXNlcjpoaWRkZW4" not in findings_text(bad)
    assert encoded not in findings_text(bad)


@pytest.mark.parametrize(
    "secret", ["s3cret-token", "Basic s3cret-token", "Basic dXNlcjpwYXNz s3cret-token", "s3cret-token\n"]
)
def test_credential_is_never_printed(secret: str) -> None:
    text = pair("credential-literal")[0].replace('"Basic dXNlcjpwYXNz"', repr(secret).replace("'", '"'))
    address = pair("address-credential")[0].replace("user:token", "user:s3cret-token")
    numeric = pair("credential-literal")[0].replace('"Basic dXNlcjpwYXNz"', "31337")
    assert "s3cret" not in findings_text(text)
    assert "s3cret" not in findings_text(address)
    assert "31337" not in findings_text(numeric)


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
    for key, item in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        yield from paths(item, (*path, key))


DOCUMENTS = list(yaml.safe_load_all((PAIRS / "secret-in-rollout.bad.yaml").read_text() + "---\n" + SECRET))
PATHS = sorted(paths(DOCUMENTS), key=str)


@pytest.mark.slow
@settings(max_examples=200, deadline=None, derandomize=True)
@given(path=st.sampled_from([path for path in PATHS if path]), value=VALUES)
def test_any_value_anywhere_is_linted_without_an_exception(path: tuple[str | int, ...], value: object) -> None:
    documents = copy.deepcopy(DOCUMENTS)
    parent: Any = documents
    for key in path[:-1]:
        parent = parent[key]
    parent[path[-1]] = value
    text = yaml.safe_dump_all(documents)
    for finding in findings(text):
        assert 1 <= finding.line <= text.count("\n") + 1
        assert finding.reason
        assert finding.hint


def test_every_rule_has_its_own_summary() -> None:
    assert len({rule.summary for rule in RULES}) == len(RULES) == len(set(NAMES))
    assert Path(PAIRS).is_dir()


@pytest.mark.parametrize("line_break", ["\u2028", "\u2029", "\x85", "\r", "\r\n"])
def test_any_line_break_of_yaml_counts_as_a_line(line_break: str) -> None:
    """Such a character in a comment made lines that the text did not have, and `gate lint` end with a traceback."""
    lines = ("# a", *[""] * 9, "# gate-lint: allow other", "kind: AnalysisTemplate", "spec: {metricz: []}")
    assert {finding.line for finding in findings(line_break.join(lines))} == {12, 13}
