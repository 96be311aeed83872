"""The real exporter as its users run it: a process of its own, told by a file and by signals."""

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
    """A running process; `log` is what it has written on standard error so far."""

    process: asyncio.subprocess.Process
    port: int = 0
    log: str = ""

    async def wait_for_log(self, text: str) -> str:
        """Wait until a word is in the log, and return the line that has it."""
        assert self.process.stderr is not None
        async with asyncio.timeout(TIMEOUT_SECONDS):
            while True:
                line = (await self.process.stderr.readline()).decode()
                self.log += line
                if text in line:
                    return line
                assert line, f"it ended without saying {text!r}:\n{self.log}"

    async def stop(self) -> int:
        """Send SIGTERM and return the exit status."""
        if self.process.returncode is None:
            self.process.send_signal(signal.SIGTERM)
        return await self.wait()

    async def wait(self) -> int:
        """Wait for the end and return the exit status."""
        async with asyncio.timeout(TIMEOUT_SECONDS):
            _, rest = await self.process.communicate()
        self.log += (rest or b"").decode()
        assert self.process.returncode is not None
        return self.process.returncode


@asynccontextmanager
async def start_exporter(config: Path, *arguments: str, **environment: str) -> AsyncIterator[ExporterProcess]:
    """Start `rollouts-exporter -c CONFIG …`; it is ended with the context."""
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
