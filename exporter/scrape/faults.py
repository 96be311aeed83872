"""An exception met while asking → the Trouble that says what it means and what cures it."""

from __future__ import annotations

import os
import ssl
import zlib
from typing import Final

import aiohttp

from exporter.family import Trouble
from exporter.log import SECRETS

_LONGEST_WHY: Final = 160

# What an exception (or its cause) means: the reason, and the rest of the sentence that begins with the address.
# The first row that fits counts; {why} is what the exception says, {setting} the section that the target is in.
_FAULTS: Final[tuple[tuple[type[BaseException], str, str], ...]] = (
    (
        ssl.SSLCertVerificationError,
        "tls",
        "shows a certificate that is not trusted ({why}); set {setting}.tls.ca_file, or {setting}.tls.server_name",
    ),
    (
        ssl.SSLError,
        "tls",
        "does not come to terms over TLS ({why}); check https:// in {setting}.targets, and {setting}.tls",
    ),
    (
        ConnectionRefusedError,
        "refused",
        "refused the connection; check that the component runs, and the port in {setting}.targets",
    ),
    (
        ConnectionError,
        "reset",
        "broke the connection off ({why}); if it lasts, look at its log",
    ),
    (
        aiohttp.ServerDisconnectedError,
        "reset",
        "closed the connection without an answer; check https:// in {setting}.targets, and {setting}.tls.cert_file",
    ),
    (
        aiohttp.ClientPayloadError,
        "cut_short",
        "stopped in mid-answer; if it lasts, look at its log",
    ),
    (
        aiohttp.ClientResponseError,
        "not_http",
        "answers with something that is not HTTP ({why}); check the port and http:// or https:// in {setting}.targets",
    ),
    (
        zlib.error,
        "encoding",
        "answers with broken gzip ({why}); check any proxy before it",
    ),
    (
        OSError,
        "unreachable",
        "cannot be reached ({why}); check {setting}.targets and any network policy",
    ),
    (
        Exception,
        "failed",
        "could not be asked ({why}); check {setting}",
    ),
)


def fault(who: str, error: Exception, setting: str) -> Trouble:
    """Say what went wrong with `who`, a target of the section `setting`; the cause of an exception knows best."""
    told = [one for one in (error.__cause__, error) if one is not None]
    reason, words, cause = next(
        (reason, words, one) for kind, reason, words in _FAULTS for one in told if isinstance(one, kind)
    )
    return Trouble(reason, f"{who} {words.format(why=why(cause), setting=setting)}")


def why(error: BaseException) -> str:
    """Put an exception into a few words that can hold no secret (a request's repr shows its headers)."""
    if isinstance(error, ssl.SSLCertVerificationError):
        words = error.verify_message
    elif isinstance(error, ssl.SSLError):
        words = (error.reason or "").replace("_", " ").lower()
    elif isinstance(error, OSError) and error.errno:
        words = os.strerror(error.errno) + (f": {error.filename}" if error.filename else "")
    elif isinstance(error, aiohttp.ClientResponseError):
        words = error.message
    else:
        words = str(error) if isinstance(error, zlib.error) else ""
    return SECRETS.mask(" ".join(words.split()))[:_LONGEST_WHY].rstrip(".") or type(error).__name__
