"""What a running exporter has loaded: a library that it does not use takes memory for as long as it runs."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from exporter.demo.fake_backend import ReceivedMetrics, fake_backend
from exporter.metrics import Source
from tests.process import start_exporter
from tests.test_end_to_end import write_config

if TYPE_CHECKING:
    from pathlib import Path

UNUSED = {
    # of the settings and of commands
    "dotenv", "jsonschema", "pydantic", "pydantic_core", "pygments", "rich", "exporter.commands.errors",
    "exporter.demo",
    # of what is off: gates, messages about transitions, gRPC
    "promql_parser", "exporter.gate", "exporter.notify", "exporter.service.shadow", "grpc", "opentelemetry.sdk",
    "google.protobuf.descriptor_pb2", "opentelemetry.proto.logs", "opentelemetry.proto.trace",
    # of pages that nobody has opened
    "jinja2", "markdown_it", "importlib.metadata", "importlib.resources",
}  # fmt: skip


def loaded_modules(log: str) -> set[str]:
    """Return the modules, and the packages that they are in, of the log of a Python with `-X importtime`."""
    modules = re.findall(r"^import time: +\d+ \| +\d+ \| +(\S+)$", log, re.MULTILINE)
    parts = [module.split(".") for module in modules]
    return {".".join(names[:length]) for names in parts for length in range(1, len(names) + 1)}


async def test_an_exporter_that_pushes_over_http_has_loaded_nothing_else(tmp_path: Path) -> None:
    targets = {Source.ARGO: ["127.0.0.1:9"]}
    async with fake_backend(ReceivedMetrics(), username="demo", password="very-secret-4711") as endpoint:
        file = write_config(tmp_path, endpoint, targets)
        async with start_exporter(file, PYTHONPROFILEIMPORTTIME="1") as process:
            await process.wait_for_log("delivery working")
            await process.stop()
    loaded = loaded_modules(process.log)
    assert {"exporter.service.app", "exporter.otlp.delivery.sender", "aiohttp.web"} <= loaded
    assert UNUSED & loaded == set()
