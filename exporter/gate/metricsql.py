"""MetricsQL, the query language of VictoriaMetrics and of stores made from it, as PromQL of the same shape.

MetricsQL text → tokens → `QueryNode` → `to_promql`: a PromQL text whose result has the same type, number of series and
gaps. Thus `exporter.gate.promql` can answer its questions about both languages from one syntax tree. The values differ:
a function that PromQL does not have is replaced by one that treats series and gaps alike.

Read from the module github.com/VictoriaMetrics/metricsql v0.87.3, and compared with a VictoriaMetrics 1.151.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field, replace
from enum import Enum, auto
from functools import cache
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

UNKNOWN_RANGE: Final = "7919s"
"""The range of a rollup function without one, which the store chooses; a prime, recognised in the syntax tree."""


class MetricsQLError(ValueError):
    """A text that is not MetricsQL."""


class UnknownFunctionError(MetricsQLError):
    """A function that neither this program nor, if it is not newer, the store has."""


# Functions. A name that is absent here is reported.

_AGGREGATIONS: Final = {"avg", "count", "group", "max", "min", "stddev", "stdvar", "sum"}
_PARAMETER_AGGREGATIONS: Final = {"bottomk", "count_values", "limitk", "quantile", "topk"}
_ONE_SERIES_AGGREGATIONS: Final = {"any", "distinct", "geomean", "mad", "median", "mode", "sum2"}
_SERIES_AGGREGATIONS: Final = {
    "bottomk_avg", "bottomk_last", "bottomk_max", "bottomk_median", "bottomk_min", "histogram", "outliers_iqr",
    "outliers_mad", "outliersk", "quantiles", "share", "topk_avg", "topk_last", "topk_max", "topk_median", "topk_min",
    "zscore",
}  # fmt: skip
"""Aggregations that may return several series of a group."""
AGGREGATIONS: Final = _AGGREGATIONS | _PARAMETER_AGGREGATIONS | _ONE_SERIES_AGGREGATIONS | _SERIES_AGGREGATIONS

_OWN_ROLLUPS: Final = {
    "absent_over_time", "avg_over_time", "changes", "count_over_time", "delta", "deriv", "first_over_time", "idelta",
    "increase", "irate", "last_over_time", "mad_over_time", "max_over_time", "min_over_time", "present_over_time",
    "rate", "resets", "stddev_over_time", "stdvar_over_time", "sum_over_time",
}  # fmt: skip
"""Rollup functions of one argument that PromQL has, too."""
_ROLLUP_ARGUMENTS: Final = {
    "aggr_over_time": 1, "count_values_over_time": 1, "hoeffding_bound_lower": 1, "hoeffding_bound_upper": 1,
    "quantile_over_time": 1, "quantiles_over_time": -1,
}  # fmt: skip
"""Where the series are among the arguments, if they are not the first."""
_SEVERAL_ROLLUPS: Final = {
    "aggr_over_time", "count_values_over_time", "histogram_over_time", "quantiles_over_time", "rollup",
    "rollup_candlestick", "rollup_delta", "rollup_deriv", "rollup_increase", "rollup_rate", "rollup_scrape_interval",
}  # fmt: skip
"""Rollup functions that return several series of one; rollup and its like return one if an argument selects it."""
_OTHER_ROLLUPS: Final = {
    "ascent_over_time", "changes_prometheus", "count_eq_over_time", "count_gt_over_time", "count_le_over_time",
    "count_ne_over_time", "decreases_over_time", "default_rollup", "delta_prometheus", "deriv_fast",
    "descent_over_time", "distinct_over_time", "duration_over_time", "geomean_over_time", "hoeffding_bound_lower",
    "hoeffding_bound_upper", "holt_winters", "ideriv", "increase_prometheus", "increase_pure", "increases_over_time",
    "integrate", "lag", "lifetime", "median_over_time", "mode_over_time", "outlier_iqr_over_time", "predict_linear",
    "quantile_over_time", "range_over_time", "rate_over_sum", "rate_prometheus", "scrape_interval",
    "share_eq_over_time", "share_gt_over_time", "share_le_over_time", "stale_samples_over_time", "sum2_over_time",
    "sum_eq_over_time", "sum_gt_over_time", "sum_le_over_time", "tfirst_over_time", "timestamp", "timestamp_with_name",
    "tlast_change_over_time", "tlast_over_time", "tmax_over_time", "tmin_over_time", "zscore_over_time",
}  # fmt: skip
ROLLUPS: Final = _OWN_ROLLUPS | _SEVERAL_ROLLUPS | _OTHER_ROLLUPS

_NUMBERS: Final = {
    "end", "now", "pi", "rand", "rand_exponential", "rand_normal", "start", "step", "time", "timezone_offset",
}  # fmt: skip
"""Functions whose one series has no labels and no gaps."""
_DATES: Final = {
    "day_of_month", "day_of_week", "day_of_year", "days_in_month", "hour", "minute", "month", "year",
}  # fmt: skip
"""Functions of the present time without an argument, of each series with one."""
NAN_TRANSFORMS: Final = {"acos", "acosh", "asin", "atanh", "ln", "log10", "log2", "sqrt"}
"""Functions that return NaN for some number."""
_FILTERS: Final = {"label_match", "label_mismatch", "labels_equal"}
"""Functions that return some of the series of their argument."""
_HISTOGRAMS: Final = {"histogram_avg", "histogram_fraction", "histogram_share", "histogram_stddev", "histogram_stdvar"}
"""Functions of the buckets of a histogram, apart from quantiles."""
_OTHER_TRANSFORMS: Final = {
    "abs", "asinh", "atan", "bitmap_and", "bitmap_or", "bitmap_xor", "buckets_limit", "ceil", "clamp", "clamp_max",
    "cos", "cosh", "deg", "drop_common_labels", "drop_empty_series", "exp", "floor", "interpolate", "keep_last_value",
    "keep_next_value", "label_copy", "label_del", "label_graphite_group", "label_join", "label_keep",
    "label_lowercase", "label_map", "label_move", "label_replace", "label_set", "label_transform", "label_uppercase",
    "label_value", "prometheus_buckets", "rad", "range_avg", "range_first", "range_last", "range_linear_regression",
    "range_mad", "range_max", "range_min", "range_normalize", "range_quantile", "range_stddev", "range_stdvar",
    "range_sum", "range_trim_outliers", "range_trim_spikes", "range_trim_zscore", "range_zscore", "remove_resets",
    "round", "running_avg", "running_max", "running_min", "running_sum", "sgn", "sin", "sinh", "smooth_exponential",
    "sort", "sort_by_label", "sort_by_label_desc", "sort_by_label_numeric", "sort_by_label_numeric_desc", "sort_desc",
    "tan", "tanh",
}  # fmt: skip
"""Functions that return a series for each series of their argument."""
_SINGLE_TRANSFORMS: Final = {
    "absent", "clamp_min", "histogram_quantile", "histogram_quantiles", "limit_offset", "scalar", "union", "vector",
}  # fmt: skip
TRANSFORMS: Final = _NUMBERS | _DATES | NAN_TRANSFORMS | _FILTERS | _HISTOGRAMS | _OTHER_TRANSFORMS | _SINGLE_TRANSFORMS
_MIN_ARGUMENTS: Final = {
    **dict.fromkeys(_PARAMETER_AGGREGATIONS, 2), **dict.fromkeys(_NUMBERS | _DATES, 0), "clamp": 3, "clamp_max": 2,
    "clamp_min": 2, "histogram_quantile": 2, "histogram_quantiles": 3, "limit_offset": 3, "quantile_over_time": 2,
    "aggr_over_time": 2, "predict_linear": 2, "holt_winters": 3, "range_quantile": 2, "label_replace": 5, "union": 0,
    "quantiles_over_time": 3, "timezone_offset": 1,
    **{name: 2 for name in _OTHER_ROLLUPS if re.search("_(eq|gt|le|ne)_over", name)},
}  # fmt: skip
"""How many arguments a function needs, if it is not one."""
_BUILT_IN_TEMPLATES: Final = (
    "WITH (ru(freev, maxv) = clamp_min(maxv - clamp_min(freev, 0), 0) / clamp_min(maxv, 0) * 100,"
    " ttf(freev) = smooth_exponential(clamp_max(clamp_max(-freev, 0) / clamp_max(deriv_fast(freev), 0), 1), 1),"
    ' range_median(q) = range_quantile(0.5, q), alias(q, name) = label_set(q, "__name__", name)) 1'
)

_PRIORITIES: Final = {
    "default": -1, "if": 0, "ifnot": 0, "or": 1, "and": 2, "unless": 2, "==": 3, "!=": 3, "<": 3, ">": 3, "<=": 3,
    ">=": 3, "+": 4, "-": 4, "*": 5, "/": 5, "%": 5, "atan2": 5, "^": 6,
}  # fmt: skip
COMPARISONS: Final = {"==", "!=", "<", ">", "<=", ">="}
_SET_OPERATORS: Final = {"and": "and", "or": "or", "unless": "unless", "if": "and", "ifnot": "unless", "default": "or"}
"""The operators between sets of series, with PromQL's of the same shape."""


class NodeKind(Enum):
    """The kinds of expression; the comments are the attributes of `QueryNode` that each uses."""

    NUMBER = auto()  # text
    TEXT = auto()  # text: the quoted string
    SELECTOR = auto()  # text: the metric's name; filters
    CALL = auto()  # text: the function; children
    AGGREGATION = auto()  # text, modifier, children; limit
    BINARY = auto()  # text: the operator; modifier, children
    MINUS = auto()  # children
    ROLLUP = auto()  # children, window and step as durations
    GROUP = auto()  # children: in parentheses
    WITH = auto()  # templates, children


LabelFilter = tuple[str, str, str]
"""Label, operator and quoted value; the latter two are "" for the name of a WITH template."""


@dataclass(frozen=True, slots=True)
class QueryNode:
    """An expression."""

    kind: NodeKind
    text: str = ""
    children: tuple[QueryNode, ...] = ()
    modifier: str = ""
    filters: tuple[tuple[LabelFilter, ...], ...] = ()
    """Alternatives, joined by `or`."""
    window: str = ""
    step: str | None = None
    limit: int | None = None
    templates: tuple[WithTemplate, ...] = ()


@dataclass(frozen=True, slots=True)
class WithTemplate:
    """A definition of `WITH`."""

    name: str
    parameters: tuple[str, ...] | None
    body: QueryNode


# Text → tokens → nodes

_DURATION_PART: Final = r"\d+(?:\.\d*)?(?:[mM][sS]|m(?![iIbBsS])|[sShHdDwWyYiI])"
_TOKEN: Final = re.compile(
    rf"""
    (?P<blank>[\ \t\n\v\f\r]+|\#[^\n]*)
    |(?P<name>(?:[^\W\d]|:|\\.)(?:[\w:.]|\\.)*)
    |(?P<string>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|`(?:[^`\\]|\\.)*`)
    |(?P<duration>{_DURATION_PART}(?:-?{_DURATION_PART})*|\$__(?:rate_)?interval)
    |(?P<number>0[xX][0-9a-fA-F]+|0[oO][0-7]+|0[bB][01]+
        |(?:\d[\d_]*(?:\.[\d_]*)?|\.\d[\d_]*)(?:[eE][-+]?\d+|[kKmMgGtT](?:[iI][bB]?|[bB])?)?)
    |(?P<symbol>==|!=|>=|<=|=~|!~|[-+*/%^<>=(){{}}\[\],@])
    """,
    re.VERBOSE | re.DOTALL,
)
_SUFFIX: Final = re.compile(r"([\d_.]+)([kKmMgGtT])([iI]?)[bB]?")
_PLAIN_NAME: Final = re.compile(r"[A-Za-z_:][A-Za-z0-9_:]*")
_POWERS: Final = {"k": 1, "m": 2, "g": 3, "t": 4}
_UNITS: Final = {
    "ms": 1,
    "s": 1_000,
    "m": 60_000,
    "h": 3_600_000,
    "d": 86_400_000,
    "w": 604_800_000,
    "y": 31_536_000_000,
}
_TIME_PART: Final = re.compile(r"(-?)(\d+(?:\.\d*)?)([a-z]+)")


def _tokens(text: str) -> list[tuple[str, str]]:
    """Return kind and text of each token. Raises MetricsQLError."""
    tokens, position = [], 0
    while position < len(text):
        match = _TOKEN.match(text, position)
        if not match:
            raise MetricsQLError(f"unexpected text {text[position : position + 20]!r}")
        if match.lastgroup != "blank":
            tokens.append((str(match.lastgroup), match[0]))
        position = match.end()
    return tokens


class QueryParser:
    """A recursive descent parser of the tokens, as the store's. Raises MetricsQLError."""

    def __init__(self, text: str) -> None:
        self._tokens = _tokens(text)
        self._position = 0

    def parse(self) -> QueryNode:
        """Parse all tokens as one expression."""
        if not self._tokens:
            raise MetricsQLError("it is empty")
        node = self._expression()
        if self._kind:
            raise self._unexpected()
        return node

    @property
    def _kind(self) -> str:
        return self._tokens[self._position][0] if self._position < len(self._tokens) else ""

    @property
    def _text(self) -> str:
        return self._tokens[self._position][1] if self._position < len(self._tokens) else ""

    @property
    def _word(self) -> str:
        return self._text.lower()

    def _next(self) -> str:
        text = self._text
        self._position += 1
        return text

    def _unexpected(self) -> MetricsQLError:
        return MetricsQLError(
            f"unexpected {self._text!r}" if self._text else "unexpected end: a bracket or an operand is missing"
        )

    def _expect(self, symbol: str) -> None:
        if self._text != symbol:
            raise self._unexpected()
        self._next()

    def _accept(self, *words: str) -> bool:
        """Skip the current token if it is one of these."""
        is_accepted = self._kind in {"name", "symbol"} and self._word in words
        self._position += is_accepted
        return is_accepted

    def _list(self, parse: Callable[[], object], end: str) -> list[object]:
        """Parse what is between a bracket, already read, and its end; a comma before the end is allowed."""
        values = []
        while self._text != end:
            values.append(parse())
            if self._text != end:
                self._expect(",")
        self._next()
        return values

    def _expression(self, priority: int = -1) -> QueryNode:
        left = self._single()
        while self._word in _PRIORITIES and _PRIORITIES[self._word] >= priority:
            operator = self._next().lower()
            modifier = self._binary_modifier(operator)
            # Only ^ is right associative.
            right = self._expression(_PRIORITIES[operator] + (operator != "^"))
            self._accept("keep_metric_names")
            left = QueryNode(NodeKind.BINARY, operator, (left, right), modifier)
        return left

    def _binary_modifier(self, operator: str) -> str:
        """Parse bool, matching and filling of a binary operator; return what PromQL has of it."""
        modifier = ""
        if self._accept("bool"):
            if operator not in COMPARISONS:
                raise MetricsQLError(f"bool cannot be applied to {operator}")
            modifier = "bool "
        if self._word in {"on", "ignoring"}:
            modifier += f"{self._next().lower()} {self._labels()} "
            if self._word in {"group_left", "group_right"}:
                if operator in {"and", "or", "unless"}:
                    raise self._unexpected()
                modifier += f"{self._next().lower()} {self._labels() if self._text == '(' else ''} "
                if self._accept("prefix"):
                    self._next()
        while self._word in {"fill", "fill_left", "fill_right"} and self._peek() == "(":
            self._position += 2
            self._accept("-")
            self._next()
            self._expect(")")
        return modifier

    def _peek(self) -> str:
        return self._tokens[self._position + 1][1] if self._position + 1 < len(self._tokens) else ""

    def _labels(self) -> str:
        """Parse a list of labels, and return it as PromQL's."""
        self._expect("(")
        if self._accept("*"):
            self._expect(")")
            return "()"
        labels = (str(label) for label in self._list(self._label, ")"))
        # VictoriaMetrics' own buckets have the label vmrange, which histogram_quantile takes for le.
        return f"({', '.join('le' if label == 'vmrange' else label for label in labels)})"

    def _label(self) -> str:
        if self._kind not in {"name", "string"}:
            raise self._unexpected()
        text = self._next()
        name = text.strip("\"'`")
        return name if _PLAIN_NAME.fullmatch(name) else json.dumps(name)

    def _single(self) -> QueryNode:
        if self._word == "with" and self._peek() == "(":
            return self._with()
        node = self._operand()
        return self._rollup(node) if self._text in {"[", "@"} or self._word == "offset" else node

    def _operand(self) -> QueryNode:
        if self._kind == "duration":
            return QueryNode(NodeKind.NUMBER, _seconds(self._next()))
        if self._kind == "string":
            return QueryNode(NodeKind.TEXT, self._string())
        if self._kind == "number" or self._word in {"inf", "nan"}:
            return QueryNode(NodeKind.NUMBER, _number(self._next()))
        if self._kind == "name":
            return self._named()
        if self._text == "{":
            return self._selector("")
        if self._accept("("):
            children = self._list(self._expression, ")")
            self._accept("keep_metric_names")
            return QueryNode(NodeKind.GROUP, children=tuple(children))  # type: ignore[arg-type]
        if self._accept("-"):
            return QueryNode(NodeKind.MINUS, children=(self._single(),))
        if self._accept("+"):
            return self._single()
        raise self._unexpected()

    def _named(self) -> QueryNode:
        """Parse an expression that begins with a name."""
        name = re.sub(r"\\(.)", r"\1", self._next())
        if name.lower() in AGGREGATIONS and (self._text == "(" or self._word in {"by", "without"}):
            return self._aggregation(name.lower())
        if self._text != "(":
            return self._selector(name)
        self._next()
        arguments = self._list(self._expression, ")")
        self._accept("keep_metric_names")
        return QueryNode(NodeKind.CALL, name, tuple(arguments))  # type: ignore[arg-type]

    def _aggregation(self, name: str) -> QueryNode:
        modifier = self._grouping()
        self._expect("(")
        arguments = self._list(self._expression, ")")
        modifier = modifier or self._grouping()
        limit = None
        if self._accept("limit"):
            if not self._text.isdigit():
                raise MetricsQLError(f"limit must be a number, not {self._text!r}")
            limit = int(self._next())
        return QueryNode(NodeKind.AGGREGATION, name, tuple(arguments), modifier, limit=limit)  # type: ignore[arg-type]

    def _grouping(self) -> str:
        return f"{self._next().lower()} {self._labels()} " if self._word in {"by", "without"} else ""

    def _selector(self, name: str) -> QueryNode:
        if not self._accept("{"):
            return QueryNode(NodeKind.SELECTOR, name)
        alternatives: list[list[LabelFilter]] = [[]]
        while self._text != "}":
            alternatives[-1].append(self._filter())
            if self._accept("or"):
                alternatives.append([])
            elif self._text != "}":
                self._expect(",")
        self._next()
        return QueryNode(NodeKind.SELECTOR, name, filters=tuple(map(tuple, alternatives)))

    def _filter(self) -> LabelFilter:
        if self._kind not in {"name", "string"}:
            raise self._unexpected()
        is_quoted, label = self._kind == "string", self._label()
        if self._text in {"=", "!=", "=~", "!~"}:
            return label, self._next(), self._string()
        if is_quoted:  # {"name"} is the name of the metric
            return "__name__", "=", json.dumps(label.strip('"'))
        return label, "", ""

    def _string(self) -> str:
        """Parse strings and names of templates that are joined by +, and return one quoted string."""
        if self._kind not in {"name", "string"}:
            raise self._unexpected()
        parts = [self._unquoted(*self._tokens[self._position])]
        self._next()
        while self._text == "+" and self._peek_kind() == "string":
            self._next()
            parts.append(self._unquoted(*self._tokens[self._position]))
            self._next()
        return json.dumps("".join(parts), ensure_ascii=False)

    def _peek_kind(self) -> str:
        return self._tokens[self._position + 1][0] if self._position + 1 < len(self._tokens) else ""

    @staticmethod
    def _unquoted(kind: str, text: str) -> str:
        if kind == "name":
            return "template"  # the value of a WITH template
        if text[0] == "`":
            return text[1:-1]
        return re.sub(r"\\(.)", lambda match: match[1] if match[1] in "\\\"'" else match[0], text[1:-1])

    def _rollup(self, node: QueryNode) -> QueryNode:
        window, step = "", None
        if self._accept("["):
            window, step = self._window()
        for _ in range(2):
            if self._accept("@"):
                self._operand()
            if self._accept("offset"):
                self._accept("-")
                self._duration()
        return QueryNode(NodeKind.ROLLUP, children=(node,), window=window, step=step)

    def _window(self) -> tuple[str, str | None]:
        """Parse `5m]`, `5m:1m]` and `5m:]`; return window and step, "" for one that the store chooses."""
        window = "" if self._text.startswith(":") else self._duration()
        step = None
        if self._text.startswith(":"):
            rest = self._next()[1:]
            step = rest or ("" if self._text == "]" else self._duration())
            if rest and not _DURATION.fullmatch(rest):
                raise MetricsQLError(f"{rest!r} is not a duration")
        self._expect("]")
        return window or UNKNOWN_RANGE, step

    def _duration(self) -> str:
        if self._kind not in {"duration", "number", "name"}:
            raise self._unexpected()
        return self._next()

    def _with(self) -> QueryNode:
        self._position += 2
        templates = self._list(self._template, ")")
        return QueryNode(NodeKind.WITH, children=(self._expression(),), templates=tuple(templates))  # type: ignore[arg-type]

    def _template(self) -> WithTemplate:
        if self._kind != "name":
            raise self._unexpected()
        name, parameters = self._next(), None
        if self._accept("("):
            parameters = tuple(str(label) for label in self._list(self._label, ")"))
            if len(set(parameters)) < len(parameters):
                raise MetricsQLError(f"a parameter of {name} occurs twice")
        self._expect("=")
        return WithTemplate(name, parameters, self._expression())


_DURATION: Final = re.compile(rf"{_DURATION_PART}(?:-?{_DURATION_PART})*|[\d.]+")


def _number(text: str) -> str:
    """Return a number without MetricsQL's suffixes and underscores."""
    match = _SUFFIX.fullmatch(text)
    if not match:
        return text.replace("_", "")
    try:
        return repr(float(match[1].replace("_", "")) * (1024 if match[3] else 1000) ** _POWERS[match[2].lower()])
    except ValueError:
        raise MetricsQLError(f"{text!r} is not a number") from None


def _seconds(duration: str) -> str:
    """Return the seconds of a duration; of one that depends on the step those of UNKNOWN_RANGE."""
    milliseconds = _milliseconds(duration)
    return UNKNOWN_RANGE.rstrip("s") if milliseconds is None else f"{milliseconds / 1000:g}"


def _milliseconds(duration: str) -> int | None:
    """Return the length of a duration, None if the store or a template decides it."""
    if re.fullmatch(r"\d+(?:\.\d*)?", duration):
        return round(float(duration) * 1000)
    parts = _TIME_PART.findall(duration.lower())
    if not parts or any(unit not in _UNITS for _, _, unit in parts):
        return None
    # 2h-5m is 115 minutes: the sign counts for the rest, too.
    sign, total = 1, 0.0
    for minus, value, unit in parts:
        sign = -1 if minus else sign
        total += sign * float(value) * _UNITS[unit]
    return round(total)


def _promql_duration(duration: str) -> str:
    milliseconds = _milliseconds(duration)
    return UNKNOWN_RANGE if milliseconds is None else f"{max(milliseconds, 1)}ms"


# Nodes → PromQL


class TermType(Enum):
    """The type of a PromQL text."""

    NUMBER = auto()
    TEXT = auto()
    RANGE = auto()
    VECTOR = auto()


@dataclass(frozen=True, slots=True)
class PromQLTerm:
    """A PromQL text and its type."""

    text: str
    type: TermType = TermType.VECTOR

    @property
    def vector(self) -> str:
        """Return the text as an instant vector: MetricsQL converts implicitly."""
        if self.type is TermType.NUMBER:
            return f"vector({self.text})"
        if self.type is TermType.RANGE:
            return f"last_over_time({self.text})"
        return "(vector(0) > 0)" if self.type is TermType.TEXT else f"({self.text})"


class ExpansionBudget:
    """How many templates of a query may still be expanded: each may use another one twice, which doubles the work."""

    def __init__(self, remaining: int) -> None:
        self._remaining = remaining

    def spend(self) -> None:
        """Count one expansion. Raises MetricsQLError beyond the limit."""
        self._remaining -= 1
        if self._remaining < 0:
            raise MetricsQLError(f"WITH templates are expanded more than {MAX_EXPANSIONS} times")


MAX_EXPANSIONS: Final = 1000
"""Far more than any query that a person wrote needs, and expanded in a moment."""


@dataclass(frozen=True, slots=True)
class Scope:
    """The templates that are visible, each with the scope of its own body."""

    budget: ExpansionBudget
    templates: dict[str, tuple[WithTemplate, Scope]] = field(default_factory=dict)

    def find(self, name: str) -> tuple[WithTemplate, Scope] | None:
        """Return a template and its scope, None if there is none of that name. Raises MetricsQLError if too often."""
        definition = self.templates.get(name)
        if definition is not None:
            self.budget.spend()
        return definition

    def extended(self, templates: Sequence[WithTemplate]) -> Scope:
        """Return a scope with more templates, each of which sees the ones before it."""
        scope = self
        for template in templates:
            scope = Scope(self.budget, {**scope.templates, template.name: (template, scope)})
        return scope


def to_promql(text: str) -> str:
    """Return PromQL of the same shape as a MetricsQL query. Raises MetricsQLError."""
    scope = Scope(ExpansionBudget(MAX_EXPANSIONS)).extended(_built_in_templates())
    term = _term(QueryParser(text).parse(), scope)
    return term.vector if term.type is TermType.NUMBER else term.text


@cache
def _built_in_templates() -> tuple[WithTemplate, ...]:
    return QueryParser(_BUILT_IN_TEMPLATES).parse().templates


def _term(node: QueryNode, scope: Scope) -> PromQLTerm:
    return _WRITERS[node.kind](node, scope)


def _group_term(node: QueryNode, scope: Scope) -> PromQLTerm:
    if len(node.children) == 1:
        term = _term(node.children[0], scope)
        return replace(term, text=f"({term.text})")
    return _union([_term(child, scope) for child in node.children])


def _union(terms: Sequence[PromQLTerm]) -> PromQLTerm:
    return PromQLTerm(f"({' or '.join(term.vector for term in terms)})" if terms else "(vector(0) > 0)")


def _minus_term(node: QueryNode, scope: Scope) -> PromQLTerm:
    term = _term(node.children[0], scope)
    return PromQLTerm(f"-{term.text}", term.type) if term.type is TermType.NUMBER else PromQLTerm(f"-{term.vector}")


def _selector_term(node: QueryNode, scope: Scope) -> PromQLTerm:
    definition = scope.find(node.text) if node.text else None
    if definition and definition[0].parameters is None:
        return _template_selector(node, *definition, scope)
    return PromQLTerm(_selector_text(node.text, _common_filters(node, scope)))


def _template_selector(node: QueryNode, template: WithTemplate, visible: Scope, scope: Scope) -> PromQLTerm:
    """Return a template in place of a metric's name; with filters it must be a selector itself."""
    if not node.filters:
        term = _term(template.body, visible)
        return replace(term, text=f"({term.text})")
    if template.body.kind is not NodeKind.SELECTOR:
        raise MetricsQLError(f"{template.name} cannot have label filters")
    filters = (*_common_filters(template.body, visible), *_common_filters(node, scope))
    return PromQLTerm(_selector_text(template.body.text, filters))


def _common_filters(node: QueryNode, scope: Scope) -> tuple[LabelFilter, ...]:
    """Return the filters that all alternatives of a selector have."""
    alternatives = [_expanded(filters, scope) for filters in node.filters]
    first = alternatives[0] if alternatives else ()
    return tuple(label_filter for label_filter in first if all(label_filter in other for other in alternatives))


def _expanded(filters: Sequence[LabelFilter], scope: Scope) -> tuple[LabelFilter, ...]:
    """Return filters with those of templates in place."""
    expanded: list[LabelFilter] = []
    for label, operator, value in filters:
        if operator:
            expanded.append((label, operator, value))
            continue
        definition = scope.find(label)
        if not definition or definition[0].body.kind is not NodeKind.SELECTOR:
            raise MetricsQLError(f"there is no WITH template {label} of label filters")
        expanded += _common_filters(definition[0].body, definition[1])
    return tuple(expanded)


def _selector_text(name: str, filters: Sequence[LabelFilter]) -> str:
    matchers = [f"{label}{operator}{value}" for label, operator, value in filters]
    if name and not _PLAIN_NAME.fullmatch(name):
        matchers.insert(0, json.dumps(name))
        name = ""
    return f"{name}{{{', '.join(matchers or ([] if name else [EVERY_METRIC]))}}}"


EVERY_METRIC: Final = '__name__!=""'
"""PromQL has no selector without any filter."""


def _rollup_term(node: QueryNode, scope: Scope) -> PromQLTerm:
    """Return a range, or the expression itself if only @ and offset follow it: they change no shape."""
    if not node.window:
        return _term(node.children[0], scope)
    return PromQLTerm(_range(node.children[0], node.window, node.step, scope), TermType.RANGE)


def _range(node: QueryNode, window: str, step: str | None, scope: Scope) -> str:
    """Return a range vector: of a selector, or a subquery."""
    term = _term(node, scope)
    is_selector = node.kind is NodeKind.SELECTOR and not scope.find(node.text)
    length = _promql_duration(window)
    if is_selector and step is None:
        return f"{term.text}[{length}]"
    return f"{term.vector}[{length}:{_promql_duration(step) if step else ''}]"


def _with_term(node: QueryNode, scope: Scope) -> PromQLTerm:
    names = [template.name for template in node.templates]
    repeated = next((name for name in names if names.count(name) > 1), None)
    if repeated:
        raise MetricsQLError(f"WITH defines {repeated} twice")
    return _term(node.children[0], scope.extended(node.templates))


def _binary_term(node: QueryNode, scope: Scope) -> PromQLTerm:
    left, right = (_term(child, scope) for child in node.children)
    operator = _SET_OPERATORS.get(node.text)
    if operator:
        return PromQLTerm(f"({left.vector} {operator} {node.modifier}{right.vector})")
    is_number = left.type is right.type is TermType.NUMBER and node.text not in COMPARISONS
    if is_number:
        return PromQLTerm(f"({left.text} {node.text} {right.text})", TermType.NUMBER)
    first = left.text if left.type is TermType.NUMBER and right.type is not TermType.NUMBER else left.vector
    second = right.text if right.type is TermType.NUMBER else right.vector
    return PromQLTerm(f"({first} {node.text} {node.modifier}{second})")


def _aggregation_term(node: QueryNode, scope: Scope) -> PromQLTerm:
    arguments = _arguments(node, scope)
    if node.text in _PARAMETER_AGGREGATIONS:
        default = '"value"' if node.text == "count_values" else "2"
        parameter = arguments[0].text if arguments[0].type in {TermType.NUMBER, TermType.TEXT} else default
        text = f"{node.text} {node.modifier}({parameter}, {arguments[1].vector})"
    elif node.text in _SERIES_AGGREGATIONS:
        series = [term for term in arguments if term.type not in {TermType.NUMBER, TermType.TEXT}]
        text = f"topk {node.modifier}(2, {_union(series).text})"
    else:
        name = node.text if node.text in _AGGREGATIONS else "avg"
        text = f"{name} {node.modifier}({_union(arguments).text})"
    return PromQLTerm(f"limitk(1, {text})" if node.limit == 1 else text)


def _call_term(node: QueryNode, scope: Scope) -> PromQLTerm:
    definition = scope.find(node.text)
    if definition and definition[0].parameters is not None:
        return _template_call(node, *definition, scope)
    name = node.text.lower()
    if name not in ROLLUPS | TRANSFORMS:
        raise UnknownFunctionError(f"unknown function with name '{node.text}'")
    arguments = _arguments(replace(node, text=name), scope)
    return _rollup_call(node, name, arguments, scope) if name in ROLLUPS else _transform_call(name, arguments)


def _arguments(node: QueryNode, scope: Scope) -> list[PromQLTerm]:
    """Return the arguments of a function. Raises MetricsQLError for too few."""
    if len(node.children) < _MIN_ARGUMENTS.get(node.text, 1):
        raise MetricsQLError(f"{node.text} has too few arguments")
    return [_term(child, scope) for child in node.children]


def _template_call(node: QueryNode, template: WithTemplate, visible: Scope, scope: Scope) -> PromQLTerm:
    parameters = template.parameters or ()
    if len(parameters) != len(node.children):
        raise MetricsQLError(f"{template.name} takes {len(parameters)} arguments")
    bound = {
        name: (WithTemplate(name, None, argument), scope)
        for name, argument in zip(parameters, node.children, strict=True)
    }
    term = _term(template.body, Scope(scope.budget, {**visible.templates, **bound}))
    return replace(term, text=f"({term.text})")


def _rollup_call(node: QueryNode, name: str, arguments: Sequence[PromQLTerm], scope: Scope) -> PromQLTerm:
    index = _ROLLUP_ARGUMENTS.get(name, 0)
    argument = arguments[index]
    if argument.type is not TermType.RANGE:
        argument = PromQLTerm(_range(_unshifted(node.children[index]), UNKNOWN_RANGE, None, scope), TermType.RANGE)
    is_several = name in _SEVERAL_ROLLUPS and (not name.startswith("rollup") or len(arguments) == 1)
    call = f"{name if name in _OWN_ROLLUPS else 'max_over_time'}({argument.text})"
    return PromQLTerm(f'count_values("rollup", {call})' if is_several else call)


def _unshifted(node: QueryNode) -> QueryNode:
    """Return an expression without the @ and offset behind it."""
    return node.children[0] if node.kind is NodeKind.ROLLUP and not node.window else node


def _transform_call(name: str, arguments: Sequence[PromQLTerm]) -> PromQLTerm:
    series = [term for term in arguments if term.type not in {TermType.NUMBER, TermType.TEXT}]
    if name in _NUMBERS or (name in _DATES and not arguments):
        return PromQLTerm("time()", TermType.NUMBER)
    if name == "union":
        return _union(arguments)
    vector = (series or arguments)[0].vector
    if name in {"buckets_limit", "prometheus_buckets"}:
        return PromQLTerm(vector)
    if name == "vector":
        return arguments[0] if series else PromQLTerm(vector)
    if name in {"histogram_quantile", "histogram_quantiles"} | _HISTOGRAMS:
        quantile = f"histogram_quantile(0.5, {(series or arguments)[-1].vector})"
        return PromQLTerm(f"topk(2, {quantile})" if name == "histogram_quantiles" else quantile)
    if name == "limit_offset":
        return PromQLTerm(f"limitk({1 if arguments[0].text == '1' else 2}, {vector})")
    return _per_series_call(name, vector, arguments)


def _per_series_call(name: str, vector: str, arguments: Sequence[PromQLTerm]) -> PromQLTerm:
    """Return a function that changes no series, or only drops some."""
    if name == "clamp_min":
        return PromQLTerm(f"clamp_min({vector}, {arguments[1].text if arguments[1].type is TermType.NUMBER else '0'})")
    if name in _FILTERS:
        return PromQLTerm(f"({vector} != 0)")
    # scalar() of several series, or of none, is empty here.
    shape = "sum" if name == "scalar" else name if name in NAN_TRANSFORMS or name == "absent" else "abs"
    return PromQLTerm(f"{shape}({vector})")


_WRITERS: Final[dict[NodeKind, Callable[[QueryNode, Scope], PromQLTerm]]] = {
    NodeKind.NUMBER: lambda node, _: PromQLTerm(node.text, TermType.NUMBER),
    NodeKind.TEXT: lambda node, _: PromQLTerm(node.text, TermType.TEXT),
    NodeKind.SELECTOR: _selector_term,
    NodeKind.CALL: _call_term,
    NodeKind.AGGREGATION: _aggregation_term,
    NodeKind.BINARY: _binary_term,
    NodeKind.MINUS: _minus_term,
    NodeKind.ROLLUP: _rollup_term,
    NodeKind.GROUP: _group_term,
    NodeKind.WITH: _with_term,
}
