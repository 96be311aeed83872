"""`python -m tests.boards --write` makes the dashboards anew; without it, it says which differ."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tests.boards import exporter_health, fleet, rollout

if TYPE_CHECKING:
    from tests.boards.panels import Board

FOLDER: Final = Path(__file__).parent.parent.parent / "charts/rollouts-exporter/dashboards"
BOARDS: Final = {"fleet": fleet.BOARD, "rollout": rollout.BOARD, "exporter": exporter_health.BOARD}
"""The dashboards by the names of their files."""


def text(board: Board) -> str:
    """Return a dashboard as its file holds it."""
    return json.dumps(board.json(), indent=2, ensure_ascii=False) + "\n"


def main() -> None:
    """Write the files, or compare them."""
    for name, board in BOARDS.items():
        file = FOLDER / f"{name}.json"
        if "--write" in sys.argv:
            file.write_text(text(board))
        elif not file.exists() or file.read_text() != text(board):
            print(f"{file.name} differs")


if __name__ == "__main__":
    main()
