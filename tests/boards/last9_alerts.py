"""The alerts of the chart → alert groups and alerts of Last9, as Terraform.

An alert of Prometheus fires for each series that its expression returns; one of Last9 for each series that is beyond a
number. So the number is below every value that the expression returns.
"""

from __future__ import annotations

import re
from typing import Any, Final

import promql_parser
import yaml

from tests.boards.last9 import escaped
from tests.boards.queries import RULES

Json = dict[str, Any]

SEVERITIES: Final = {"critical": "breach", "warning": "threat", "info": "threat"}
"""Last9 has two severities; the annotation `severity` has the one of the rule."""
MINUTES: Final = {"m": 1, "h": 60}
"""Minutes of the units in which the rules wait."""
HALF: Final = 0.5
UNITS: Final = {"humanizeDuration": " seconds", "humanizePercentage": " (1 is 100%)"}
"""What the value needs without a function of Prometheus' templates."""
_TOKEN: Final = re.compile(r"(\{\{-?.*?-?\}\})", re.DOTALL)


def threshold(expr: str) -> tuple[str, float]:
    """Return a query and a number: the expression has a value exactly where the query's is greater than the number.

    The number is never 0, which the Terraform provider takes for no threshold.
    """
    node = promql_parser.parse(expr)
    bound = _lower_bound(node)
    if bound is None or bound <= 0:
        return f"({expr.strip()}) * 0 + 1", HALF
    is_comparison = isinstance(node, promql_parser.BinaryExpr) and str(node.op) == ">"
    return (expr.rpartition(">")[0] if is_comparison else expr).strip(), bound


def _lower_bound(node: promql_parser.Expr) -> float | None:
    """Return a number below every value of an expression, None if none is found."""
    if isinstance(node, promql_parser.ParenExpr):
        return _lower_bound(node.expr)
    if not isinstance(node, promql_parser.BinaryExpr):
        return None
    match str(node.op):
        case "and" | "unless":
            return _lower_bound(node.lhs)
        case "or":
            bounds = (_lower_bound(node.lhs), _lower_bound(node.rhs))
            return None if None in bounds else min(bound for bound in bounds if bound is not None)
        case ">" if isinstance(node.rhs, promql_parser.NumberLiteral):
            return node.rhs.val or HALF  # what is compared with 0 counts events: its least value is 1
        case "==" if isinstance(node.rhs, promql_parser.NumberLiteral):
            return node.rhs.val - HALF
        case _:
            return None


def plain_annotation(template: str) -> str:
    """Return an annotation with the placeholders that Last9 has: `$labels.name` and `$value`.

    Both branches of a condition are in the text, a part that queries is not.
    """
    tokens = [token for token in _TOKEN.split(template) if token]
    text = _plain(tokens)
    return re.sub(r"\s+", " ", text).strip()


def _plain(tokens: list[str]) -> str:
    """Consume tokens up to the end of a block, and return their text."""
    text = ""
    while tokens:
        token = tokens.pop(0)
        word = token.strip("{}- ").partition(" ")[0]
        if word == "end":
            break
        if word == "else" and token.startswith("{{"):
            text += " / "
        elif token.startswith("{{") and word in {"if", "range", "with"}:
            block = _plain(tokens)
            text += "" if word == "range" else block
        else:
            text += _placeholder(token)
    return text


def _placeholder(token: str) -> str:
    if not token.startswith("{{") or "$value" not in token:
        return token
    unit = next((unit for function, unit in UNITS.items() if function in token), "")
    return "{{ $value }}" + unit


def alert_files() -> Json:
    """Return the content of alerts.tf.json: a group per group of rules, and its alerts."""
    groups = yaml.safe_load(RULES.read_text())["groups"]
    return {
        "resource": {
            "last9_entity": {_key(group["name"]): _entity(group) for group in groups},
            "last9_alert": {rule["alert"]: _alert(rule, group["name"]) for group in groups for rule in group["rules"]},
        }
    }


def _key(group: str) -> str:
    return group.replace("argo-rollouts.", "")


def _entity(group: Json) -> Json:
    return {
        "name": f"Argo Rollouts: {_key(group['name'])}",
        "type": "service",
        "entity_class": "alert-manager",  # else the group is not shown in Alert Studio
        "external_ref": group["name"].replace(".", "-"),
        "description": "Alerts of rollouts-exporter; changes in the page are overwritten by Terraform.",
        "data_source_id": "${var.data_source_id}",
        "ui_readonly": True,
        "labels": {"managed_by": "rollouts-exporter"},
    }


def _alert(rule: Json, group: str) -> Json:
    query, bound = threshold(rule["expr"])
    wait = rule.get("for", "1m")  # at once is within a minute: Last9 evaluates once a minute
    minutes = int(wait[:-1]) * MINUTES[wait[-1]]
    texts = {name: escaped(plain_annotation(rule["annotations"][name])) for name in ("summary", "runbook")}
    return {
        "entity_id": f"${{last9_entity.{_key(group)}.id}}",
        "name": rule["alert"],
        "description": escaped(plain_annotation(rule["annotations"]["description"])),
        "query": escaped(query),
        "greater_than": bound,
        "bad_minutes": minutes,
        "total_minutes": minutes,
        "severity": SEVERITIES[rule["labels"]["severity"]],
        "group_timeseries_notifications": False,  # else $labels are counts
        "notification_channels": "${var.notification_channels}",
        "properties": [{"annotations": {**texts, "severity": rule["labels"]["severity"]}}],
    }
