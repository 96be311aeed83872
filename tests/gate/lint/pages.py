"""A page for each rule of `gate lint`, from its sources: `python -m tests.gate.lint.pages --write` writes them.

What and since: the table of rules; why and how to fix it: the finding in the rule's bad file; the example: what differs
in its good file.
"""

from __future__ import annotations

import difflib
import inspect
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

from exporter.gate.lint.rules import RULES
from tests.gate.lint.golden import PAIRS

if TYPE_CHECKING:
    from exporter.gate.lint.rules import LintRule

FOLDER: Final = Path(__file__).parents[3] / "exporter" / "manual" / "gate-lint"
_FINDING: Final = re.compile(r"^\S+?:\d+: \w+: (?P<reason>.*) \[[\w-]+\]\n    (?P<hint>.*)$", re.MULTILINE)


def rule_page(rule: LintRule) -> str:
    """Return the page of a rule."""
    match = _FINDING.search((PAIRS / f"{rule.name}.txt").read_text())
    assert match, f"{rule.name}.txt has no finding"
    docstring = " ".join((inspect.getdoc(rule.check) or "").split()).replace("Report ", "It reports ", 1)
    return f"""# {rule.name}

{_sentence(rule.summary)} ({rule.severity}; since {rule.since})

{docstring}

**Why:** {match["reason"]}

**Fix:** {match["hint"]}

What is wrong (`-`) and right (`+`) in an example:

```diff
{_difference(rule.name)}
```

To allow it at one place, write `# gate-lint: allow {rule.name}` on the line, or above it.
"""


def _sentence(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}."


def _difference(name: str) -> str:
    bad, good = ((PAIRS / f"{name}.{kind}.yaml").read_text().splitlines() for kind in ("bad", "good"))
    return "\n".join(line.rstrip() for line in list(difflib.unified_diff(bad, good, lineterm="", n=2))[3:])


def index_page() -> str:
    """Return the list of rules."""
    rows = "\n".join(f"| [{rule.name}]({rule.name}.md) | {rule.severity} | {rule.summary} |" for rule in RULES)
    head = "# Rules of `gate lint`\n\nEach rule finds one kind of mistake in a canary gate."
    return f"{head}\n\n| rule | severity | finds |\n|---|---|---|\n{rows}\n"


def pages() -> dict[str, str]:
    """Return each page by its file name."""
    return {"README.md": index_page(), **{f"{rule.name}.md": rule_page(rule) for rule in RULES}}


def main() -> None:
    """Write the pages, and delete those of rules that do not exist."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    for path in FOLDER.glob("*.md"):
        path.unlink()
    for name, text in pages().items():
        (FOLDER / name).write_text(text)


if __name__ == "__main__":
    if sys.argv[1:] != ["--write"]:
        sys.exit("python -m tests.gate.lint.pages --write")
    main()
