"""Kill an exporter at every frame of recordings, and compare the events that arrive with those that are right.

    python -m tests.notify [--seeds N] [--from SEED] [NAME ...]

Without a name, of all recordings about why; some 20 lives a second.
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
from pathlib import Path

from tests.notify.lives import check_recording
from tests.recorded import EXPLAINED_ARCHIVES, Recordings, unpack


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--from", type=int, default=0, dest="first")
    parser.add_argument("names", nargs="*")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        recordings = Recordings(unpack(Path(folder) / "recordings", EXPLAINED_ARCHIVES))
        for seed in range(arguments.first, arguments.first + arguments.seeds):
            for name in arguments.names or recordings.names:
                directory = Path(folder) / f"{name}-{seed}"
                print(asyncio.run(check_recording(recordings, name, seed, directory)), flush=True)


if __name__ == "__main__":
    main()
