"""`python -m tests.boards --write` generates dashboards and alerts; without --write it lists the files that differ."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from tests.boards import exporter_health, fleet, rollout
from tests.boards.last9 import dashboard_request, dashboard_resource
from tests.boards.last9_alerts import alert_files

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.boards.panels import Dashboard

ROOT: Final = Path(__file__).parent.parent.parent
FOLDER: Final = ROOT / "charts/rollouts-exporter/dashboards"
LAST9_FOLDER: Final = ROOT / "exporter/commands/last9/dashboards"
TERRAFORM_FOLDER: Final = ROOT / "charts/last9"
DASHBOARDS: Final = {"fleet": fleet.BOARD, "rollout": rollout.BOARD, "exporter": exporter_health.BOARD}
"""The dashboards by file name."""


def dashboard_json(dashboard: Dashboard) -> str:
    """Return the content of a dashboard file."""
    return _text(dashboard.json())


def files() -> Mapping[Path, str]:
    """Return the content of every generated file."""
    resources = {name: dashboard_resource(board) for name, board in DASHBOARDS.items()}
    return {
        **{FOLDER / f"{name}.json": dashboard_json(board) for name, board in DASHBOARDS.items()},
        **{LAST9_FOLDER / f"{name}.json": _text(dashboard_request(board)) for name, board in DASHBOARDS.items()},
        TERRAFORM_FOLDER / "dashboards.tf.json": _text({"resource": {"last9_dashboard": resources}}),
        TERRAFORM_FOLDER / "alerts.tf.json": _text(alert_files()),
    }


def _text(content: dict[str, Any]) -> str:
    return json.dumps(content, indent=2, ensure_ascii=False) + "\n"


def main() -> None:
    """Write the files, or compare them."""
    for file, text in files().items():
        if "--write" in sys.argv:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)
        elif not file.exists() or file.read_text() != text:
            print(f"{file.relative_to(ROOT)} differs")


if __name__ == "__main__":
    main()
