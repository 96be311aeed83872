"""`python -m tests.boards --write` generates the dashboards; without --write it lists those that differ."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tests.boards import exporter_health, fleet, rollout

if TYPE_CHECKING:
    from tests.boards.panels import Dashboard

FOLDER: Final = Path(__file__).parent.parent.parent / "charts/rollouts-exporter/dashboards"
DASHBOARDS: Final = {"fleet": fleet.BOARD, "rollout": rollout.BOARD, "exporter": exporter_health.BOARD}
"""The dashboards by file name."""


def dashboard_json(dashboard: Dashboard) -> str:
    """Return the content of a dashboard file."""
    return json.dumps(dashboard.json(), indent=2, ensure_ascii=False) + "\n"


def main() -> None:
    """Write the files, or compare them."""
    for name, board in DASHBOARDS.items():
        file = FOLDER / f"{name}.json"
        if "--write" in sys.argv:
            file.write_text(dashboard_json(board))
        elif not file.exists() or file.read_text() != dashboard_json(board):
            print(f"{file.name} differs")


if __name__ == "__main__":
    main()
