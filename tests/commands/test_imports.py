"""What a command does not need is not imported: the exporter itself is one."""

from __future__ import annotations

import subprocess
import sys


def test_gates_and_otlp_messages_are_imported_only_by_commands_that_use_them() -> None:
    program = (
        "import sys, exporter.service.app; from exporter.cli.root import main; main(['check'], standalone_mode=False);"
        "sys.exit(', '.join({'exporter.gate', 'opentelemetry.proto', 'promql_parser'} & sys.modules.keys()) or 0)"
    )
    result = subprocess.run([sys.executable, "-c", program], check=False, capture_output=True, text=True)
    assert (result.returncode, result.stderr) == (0, "")
