"""Foreign text without what looks like a secret: whoever may see the exporter's pages sees what targets answer."""

from __future__ import annotations

import re
from typing import Final

MASK: Final = "***"
# Bounded runs: what is masked is foreign, and with unbounded ones the time grows with the square of its length.
_NAME: Final = (
    r"[\w.-]{0,64}(?:password|passwd|pwd|secret|token|api[_-]?key|apikey|access[_-]?key|private[_-]?key|credential"
    r"|authorization|session|cookie)[\w.-]{0,64}"
)
_VALUES: Final = (
    # A name that promises a secret, in the spelling of labels, JSON, YAML, headers or a query.
    re.compile(rf"""(?P<head>\b{_NAME}["']?\s*[=:]\s*)(?:"(?:[^"\\]|\\.)*"|'[^']*'|(?:Basic|Bearer)\s+\S+|[^\s,;&"'{{}}]+)""",
               re.IGNORECASE),
    re.compile(r"(?P<head>\b(?:Bearer|Basic)\s+)[\w.+/=~-]{8,}", re.IGNORECASE),
    re.compile(r"(?P<head>\w://)[^\s/@\"']+(?=@)"),
    # A JSON Web Token, and keys with a prefix that their issuers document.
    re.compile(r"(?P<head>)\beyJ[\w-]{8,}\.[\w-]+(?:\.[\w-]*)?"),
    re.compile(r"(?P<head>)\b(?:AKIA|ASIA)[A-Z0-9]{12,}|\b(?:gh[pousr]_|github_pat_|xox[abpr]-|glpat-)[\w-]{16,}"),
    # Long and of mixed case with digits: hashes of images and pods, and uids, have no capital letters.
    re.compile(r"(?P<head>)(?<![\w/+-])(?=[\w/+-]*[a-z])(?=[\w/+-]*[A-Z])(?=[\w/+-]*[0-9])[\w+-]{32,}={0,2}"),
)  # fmt: skip # a table


def mask_secrets(text: str) -> str:
    """Return a text with *** for each value that looks like a secret, by its name or by its form.

    What is known to be secret is for `log.REDACTOR`; this is for what nobody has registered.
    """
    for pattern in _VALUES:
        text = pattern.sub(rf"\g<head>{MASK}", text)
    return text
