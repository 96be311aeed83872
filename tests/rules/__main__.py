"""Write RULES.md: `python -m tests.rules --write`."""

from __future__ import annotations

import sys

from .page import FILE, page

if sys.argv[1:] != ["--write"]:
    sys.exit("python -m tests.rules --write")
FILE.write_text(page())
