"""One address, one GET → its answer, streamed into a sink; whatever goes wrong on the way is a Trouble."""

from __future__ import annotations

import asyncio
import os
import re
import ssl
import zlib
from base64 import b64encode
from http import HTTPStatus
from typing import TYPE_CHECKING, Final, Protocol

import aiohttp
from multidict import CIMultiDict
from yarl import URL

from exporter import __version__, log
from exporter.log import SECRETS
from exporter.metrics import Failure
from exporter.net.files import SecretFile
from exporter.net.tls import Trust

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from exporter.config.section import BasicAuth
    from exporter.config.sources import ScrapeSource
    from exporter.scrape.targets import Address


# Settings and the files they name → the Authorization header of the moment.


_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]")


def authorization(section: ScrapeSource) -> Callable[[], str] | None:
    """Return what tells the Authorization header of the moment, None when a section has no credential.

    What is returned raises OSError and ValueError, which show nothing of the secret.
    """
    if section.bearer_token_file is not None:
        token = SecretFile(section.bearer_token_file)
        return lambda: f"Bearer {_one_line(token)}"
    return _basic(section.basic_auth) if section.basic_auth.username else None


def _basic(basic: BasicAuth) -> Callable[[], str]:
    if basic.password_file is not None:
        file = SecretFile(basic.password_file)
        return lambda: _encoded(basic.username, _one_line(file))
    password = basic.password.get_secret_value() if basic.password else ""
    return lambda: _encoded(basic.username, password)


def _encoded(username: str, password: str) -> str:
    return f"Basic {b64encode(f'{username}:{password}'.encode()).decode()}"


def _one_line(file: SecretFile) -> str:
    text = file.read()
    if not text:
        raise ValueError(f"{file.path} is empty")
    if _CONTROL.search(text):
        raise ValueError(f"{file.path} has more than one line, or control characters")
    return text


# An exception met while asking → the Trouble that says what it means and what cures it.


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


def fault(who: str, error: Exception, setting: str) -> Failure:
    """Say what went wrong with `who`, a target of the section `setting`; the cause of an exception knows best."""
    told = [one for one in (error.__cause__, error) if one is not None]
    reason, words, cause = next(
        (reason, words, one) for kind, reason, words in _FAULTS for one in told if isinstance(one, kind)
    )
    return Failure(reason, f"{who} {words.format(why=why(cause), setting=setting)}")


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


# Gzip as it comes in → plain blocks of bounded size, so that a bomb never inflates further than it is read.


BLOCK: Final = 64 * 1024
_GZIP: Final = 31  # zlib's word for "a gzip header and trailer, the largest window"


class Gunzip:
    """One body of any number of gzip members (RFC 1952 §2.2); no bytes at all are an empty body."""

    def __init__(self) -> None:
        self._member = zlib.decompressobj(_GZIP)
        self.whole = True
        """Whether the body may end here: after a member, not within one."""

    def feed(self, packed: bytes) -> Iterator[bytes]:
        """Yield what `packed` adds, in blocks of at most BLOCK bytes. Raises zlib.error."""
        more = bool(packed)
        while more:
            if self._member.eof:
                self._member = zlib.decompressobj(_GZIP)
            block = self._member.decompress(packed, BLOCK)
            self.whole = self._member.eof
            packed = self._member.unused_data if self.whole else self._member.unconsumed_tail
            more = bool(packed) or (len(block) == BLOCK and not self.whole)
            if block:
                yield block


# rooms
# rooms
# rooms


_LONGEST_PLACE: Final = 200
HOLD: Final = 0.005
"""For how long, in seconds, blocks are read before others have their turn."""
_BUFFERED: Final = 512 * 1024
_ENCODINGS: Final = {"": None, "identity": None, "gzip": Gunzip, "x-gzip": Gunzip}


class Sink(Protocol):
    """What takes an answer as it streams in."""

    @property
    def broken(self) -> bool:
        """Whether further bytes are of no use."""

    def begin(self, status: int, headers: Mapping[str, str]) -> None:
        """Take the status and the headers."""

    def feed(self, block: bytes) -> None:
        """Take the next bytes of the body, decompressed, at most BLOCK."""


def open_session() -> aiohttp.ClientSession:
    """Open a session that keeps nothing of one answer for the next, but connections, by address."""
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=90),
        timeout=aiohttp.ClientTimeout(total=None, sock_connect=None),
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=False,
        read_bufsize=_BUFFERED,
    )


class Fetcher:
    """Asks the addresses of one section of the configuration, called `setting` in messages, its way."""

    def __init__(self, section: ScrapeSource, setting: str) -> None:
        self._section = section
        self._setting = setting
        self._authorization = authorization(section)
        self._trust = Trust(section.tls)

    async def fetch(
        self, session: aiohttp.ClientSession, address: Address, sink: Sink, deadline: float
    ) -> Failure | None:
        """Ask once, until `deadline` (the loop's time). None: the answer came whole, whatever its status.

        Never raises but CancelledError.
        """
        try:
            async with asyncio.timeout_at(deadline):
                return await self._ask(session, address, sink)
        except TimeoutError:
            return Failure("timeout", self.late(_who(address)))
        except Exception as error:  # noqa: BLE001 - whatever the network does is a value to those above
            return fault(_who(address), error, self._setting)

    def late(self, who: str) -> str:
        """Say that somebody did not answer in time."""
        return f"{who} did not answer within {self._section.timeout:g} s; raise {self._setting}.timeout"

    async def _ask(self, session: aiohttp.ClientSession, address: Address, sink: Sink) -> Failure | None:
        try:
            tls = self._trust.context() if address.target.scheme == "https" else False
        except (OSError, ValueError) as error:
            return self._unusable("tls", error)
        try:
            headers = self._headers(address)
        except (OSError, ValueError) as error:
            return self._unusable("bearer_token_file" if self._section.bearer_token_file else "basic_auth", error)
        name = self._section.tls.server_name or address.target.host
        asking = session.get(
            URL(address.url, encoded=True), headers=headers, allow_redirects=False, ssl=tls, server_hostname=name
        )
        async with asking as answer:
            sink.begin(answer.status, answer.headers)
            if HTTPStatus.MULTIPLE_CHOICES <= answer.status < HTTPStatus.BAD_REQUEST:
                return self._redirected(address, answer)
            return await self._body(address, answer, sink)

    def _headers(self, address: Address) -> CIMultiDict[str]:
        headers = CIMultiDict(
            {
                "Host": address.target.authority,
                "User-Agent": f"rollouts-exporter/{__version__}",
                "Accept": "text/plain;version=0.0.4",
                "Accept-Encoding": "gzip",
                "X-Prometheus-Scrape-Timeout-Seconds": f"{self._section.timeout:g}",
            }
        )
        secret = {name: value.get_secret_value() for name, value in self._section.headers.items()}
        if self._authorization is not None:
            secret["Authorization"] = self._authorization()
        log.hide_credential(*secret.values())
        headers.update(secret)
        return headers

    async def _body(self, address: Address, answer: aiohttp.ClientResponse, sink: Sink) -> Failure | None:
        encoding = answer.headers.get("Content-Encoding", "").strip().lower()
        if encoding not in _ENCODINGS:
            return self._foreign(address, encoding) if answer.status == HTTPStatus.OK else None
        gunzip = Gunzip() if _ENCODINGS[encoding] else None
        size = 0
        clock = asyncio.get_running_loop().time
        since = clock()
        while not sink.broken and (chunk := await _chunk(answer)):
            for block in gunzip.feed(chunk) if gunzip else _blocks(chunk):
                size += len(block)
                if size >= self._section.limits.body:
                    return self._oversized(address)
                sink.feed(block if answer.status == HTTPStatus.OK else log.SECRETS.mask_bytes(block))
                if clock() - since > HOLD:
                    await asyncio.sleep(0)
                    since = clock()
                if sink.broken:
                    return None
        if gunzip and not gunzip.whole and not sink.broken:
            return Failure("cut_short", f"{_who(address)} ends in mid-gzip; if it lasts, check any proxy before it")
        return None

    def _oversized(self, address: Address) -> Failure:
        most = self._section.limits.body
        message = f"{_who(address)} answers with {most} bytes or more; raise {self._setting}.limits.body"
        return Failure("body_limit", message)

    def _foreign(self, address: Address, encoding: str) -> Failure:
        message = f"{_who(address)} answers in Content-Encoding {encoding[:20]!r}, but only gzip was asked for"
        return Failure("encoding", f"{message}; check any proxy before it, and {self._setting}.headers")

    def _redirected(self, address: Address, answer: aiohttp.ClientResponse) -> Failure:
        message = f"{_who(address)} answers HTTP {answer.status}{_elsewhere(answer)}, and redirects are not followed"
        return Failure("redirect", f"{message}; put the right URL into {self._setting}.targets")

    def _unusable(self, key: str, error: Exception) -> Failure:
        told = why(error) if isinstance(error, OSError) else str(error)
        return Failure("credentials", f"nobody is asked, since {told}; check {self._setting}.{key}")


def _who(address: Address) -> str:
    """Name an address: by itself, and by the name it was found under."""
    host = address.target.host
    return address.label if host == address.ip else f"{address.label} ({host})"


def _blocks(chunk: bytes) -> Iterator[bytes]:
    """Cut a chunk into blocks of bounded size; most are no larger, and are not copied."""
    if len(chunk) <= BLOCK:
        yield chunk
        return
    for start in range(0, len(chunk), BLOCK):
        yield chunk[start : start + BLOCK]


async def _chunk(answer: aiohttp.ClientResponse) -> bytes:
    """Return the next bytes of a body; where it explains an error, not less than there are: a secret stays whole."""
    if answer.status == HTTPStatus.OK:
        return await answer.content.readany()
    chunk = await answer.content.read(BLOCK)
    while more := await answer.content.read(BLOCK - len(chunk)):
        chunk += more
    return chunk


def _elsewhere(answer: aiohttp.ClientResponse) -> str:
    """Tell where a redirect points, without what may be secret in a URL: user, password and query."""
    place = re.split(r"[?#]", answer.headers.get("Location", ""), maxsplit=1)[0]
    open_place = log.SECRETS.mask(re.sub(r"//[^/]*@", "//", place)).encode("ascii", "replace").decode()
    return f" to {open_place[:_LONGEST_PLACE]}" if open_place else ""
