"""Asks the store of each metric what the controller would ask, and judges what comes."""

from __future__ import annotations

import time
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Final

from exporter.gate import go_format
from exporter.gate.expr import EngineFailure, evaluate_time
from exporter.net.prometheus_api import Reader
from exporter.net.prometheus_response import answer
from exporter.gate.provider import Judged, failed, judged, refusal, refused_status, unsendable
from exporter.metrics import Failure

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import TracebackType
    from typing import Self

    from exporter.gate.controller import Controller
    from exporter.net.prometheus_api import ReadEndpoint
    from exporter.net.prometheus_response import Reply
    from exporter.gate.template import Metric, Prometheus, RangeQuery

    Form = Mapping[str, str | float | None]

LINE_BREAK: Final = (
    "a header's value has a line break, which `echo` and editors leave at an end; make the Secret with printf"
)


class Store:
    """The endpoints of a run's metrics, by the metrics' names; use it with `async with`.

    `live` says that questions are of now, whatever the time of the trial, which may run faster.
    """

    def __init__(
        self,
        metrics: Mapping[str, Metric],
        endpoints: Mapping[str, ReadEndpoint],
        controller: Controller,
        *,
        live: bool,
    ) -> None:
        self._metrics = metrics
        self._readers = {name: Reader(endpoint) for name, endpoint in endpoints.items()}
        self._controller = controller
        self._live = live
        self._stack = AsyncExitStack()
        self._known: dict[tuple[str, str], Reply] = {}

    async def __aenter__(self) -> Self:
        for reader in self._readers.values():
            await self._stack.enter_async_context(reader)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stack.aclose()

    async def ask(self, metric: Metric, at: float) -> Judged:
        """Measure a metric at a time (Unix seconds). Raises UnsupportedError for a condition not judged here."""
        whole = self._metrics[metric.name]
        assert whole.prometheus is not None, "other providers are refused before"
        wrong = refusal(whole.prometheus)
        if wrong is not None:
            return Judged(wrong)
        wrong = unsendable(whole.prometheus)
        if wrong is not None:
            return Judged(wrong, hint=LINE_BREAK if "header field value" in wrong.message else "")
        asked = self._question(whole.prometheus, time.time() if self._live else at)
        if isinstance(asked, str):
            return Judged(failed(asked))
        return await self._answered(whole, *asked)

    def _question(self, asked: Prometheus, at: float) -> tuple[str, Form] | str:
        """Return the path and form of a question, or why there is none."""
        if asked.range_query is None:
            return "query", {"query": asked.query, "time": at}
        return self._ranged(asked.query, asked.range_query, at)

    def _ranged(self, query: str, asked: RangeQuery, at: float) -> tuple[str, Form] | str:
        bounds: list[float] = []
        for name, text in (("start", asked.start), ("end", asked.end)):
            found = evaluate_time(text, self._controller.engine, at)
            if isinstance(found, EngineFailure):
                return f"failed to parse rangeQuery.{name} as time: {found.message}"
            bounds.append(found)
        try:
            step = go_format.duration(asked.step) / 1e9
        except ValueError as error:
            return f"failed to parse rangeQuery.step as duration: {error}"
        return "query_range", {"query": query, "start": bounds[0], "end": bounds[1], "step": step}

    async def _answered(self, metric: Metric, path: str, form: Form) -> Judged:
        reader = self._readers[metric.name]
        reply = await self._reply(metric, path, form)
        if isinstance(reply, Failure):
            return Judged(failed(reply.message))
        found = reader.document(path, reply)
        told = refused_status(reply.status, reply.body)
        if told is not None:
            return Judged(failed(told), hint=found.message if isinstance(found, Failure) else "")
        if isinstance(found, Failure):
            return Judged(failed(found.message))
        try:
            read = answer(found)
        except ValueError as error:
            return Judged(failed(f"the answer cannot be read: {error}"))
        return judged(metric, read.value, self._controller, read.warnings)

    async def _reply(self, metric: Metric, path: str, form: Form) -> Reply | Failure:
        """Ask; of the past each question once, since its answer stays what it is."""
        reader = self._readers[metric.name]
        if self._live:
            return await reader.reply(path, form)
        key = (metric.name, str(sorted(form.items())))
        if key not in self._known:
            reply = await reader.reply(path, form)
            if isinstance(reply, Failure):
                return reply
            self._known[key] = reply
        return self._known[key]
