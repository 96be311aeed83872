"""The exporter as a process, configured by a file and stopped by signals."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

TIMEOUT_SECONDS = 20.0


@dataclass(slots=True)
class ExporterProcess:
    """A running process; `log` is its standard error so far."""

    process: asyncio.subprocess.Process
    port: int = 0
    log: str = ""

    async def wait_for_log(self, text: str) -> str:
        """Wait for a line of the log that contains a text, and return it."""
        assert self.process.stderr is not None
        async with asyncio.timeout(TIMEOUT_SECONDS):
            while True:
                line = (await self.process.stderr.readline()).decode()
                self.log += line
                if text in line:
                    return line
                assert line, f"it ended without logging {text!r}:\n{self.log}"

    async def stop(self) -> int:
        """Send SIGTERM and return the exit status."""
        if self.process.returncode is None:
            self.process.send_signal(signal.SIGTERM)
        return await self.wait()

    async def wait(self) -> int:
        """Wait for the exit and return the exit status."""
        async with asyncio.timeout(TIMEOUT_SECONDS):
            _, rest = await self.process.communicate()
        self.log += (rest or b"").decode()
        assert self.process.returncode is not None
        return self.process.returncode


@asynccontextmanager
async def start_exporter(config: Path, *arguments: str, **environment: str) -> AsyncIterator[ExporterProcess]:
    """Start `rollouts-exporter -c CONFIG …`; it is killed with the context."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "exporter",
        "-c",
        str(config),
        *arguments,
        stderr=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        env={"PATH": os.environ.get("PATH", ""), "PYTHONUNBUFFERED": "1", **environment},
    )
    running = ExporterProcess(process)
    try:
        yield running
    finally:
        if process.returncode is None:
            process.kill()
            await process.communicate()
