"""Pack recordings, or cases: `python tests/recordings/pack.py DIRECTORY [TARGET]`, a folder with one folder each.

All that a test reads is packed: of a recording of real components the frames of every variant, all pages, the truth,
the timeline; of a case (target `tests/cases`) everything. Recordings with an `expected.jsonl`, what is right to say of
each rollout, have the target `tests/recordings_why`. Bodies are unpacked first, since hundreds of pages that hardly
differ are small only when they are packed together.
"""

from __future__ import annotations

import gzip
import io
import lzma
import sys
import tarfile
from pathlib import Path

READ = (
    "README.md", "events.jsonl", "expected.jsonl", "full.jsonl", "no-state.jsonl", "plain.jsonl", "argo-only.jsonl",
)  # fmt: skip # a table
HERE = Path(__file__).parent


def pack(recording: Path) -> bytes:
    """Return a recording as one .tar.xz; the same recording gives the same bytes."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        for file in sorted(files_to_pack(recording), key=lambda path: (path.name, str(path))):
            body = unpacked(file)
            member = tarfile.TarInfo(file.relative_to(recording).as_posix().removesuffix(".gz"))
            member.size = len(body)
            archive.addfile(member, io.BytesIO(body))
    return lzma.compress(packed.getvalue(), preset=9)


def files_to_pack(recording: Path) -> list[Path]:
    """Return the files that some test reads."""
    if (recording / "expect.json").exists():
        return [file for file in recording.rglob("*") if file.is_file()]
    named = [recording / name for name in READ]
    return [*(file for file in named if file.exists()), *recording.glob("pages/*/*"), *recording.glob("truth.jsonl*")]


def unpacked(file: Path) -> bytes:
    """Return a file's bytes, those of a .gz gunzipped; frames then name the pages as they are now called."""
    body = file.read_bytes()
    if file.suffix == ".gz":
        return gzip.decompress(body)
    return body.replace(b'.prom.gz"', b'.prom"') if file.suffix == ".jsonl" else body


if __name__ == "__main__":
    target = Path(sys.argv[2]) if len(sys.argv) > 2 else HERE
    for folder in sorted(Path(sys.argv[1]).iterdir()):
        if any(folder.glob("*.jsonl")):
            (target / f"{folder.name}.tar.xz").write_bytes(pack(folder))
            print(folder.name, (target / f"{folder.name}.tar.xz").stat().st_size)
