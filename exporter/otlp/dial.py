"""Sockets that give up connecting soon, so that a lost packet does not make us late when a backend returns."""

from __future__ import annotations

import socket
from contextlib import suppress
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from aiohappyeyeballs import AddrInfoType

CONNECT_MILLISECONDS: Final = 2000
"""How long a connection may take to come about; the system asks again after one second, then waits for two."""

# Only Linux has it; elsewhere the timeout of the whole request holds alone.
_USER_TIMEOUT: Final[int | None] = getattr(socket, "TCP_USER_TIMEOUT", None)


class Dialling:
    """Makes the sockets of a connector; one that is connected has the system's patience again.

    Only TCP's handshake is hurried: a busy server may take its time over TLS, and over reading a request.
    """

    def __init__(self) -> None:
        self._dialling: list[socket.socket] = []

    def socket(self, address: AddrInfoType) -> socket.socket:
        """Make a socket that is about to connect."""
        family, kind, protocol, *_ = address
        made = socket.socket(family, kind, protocol)
        _be_patient(made, CONNECT_MILLISECONDS)
        self._dialling = [one for one in self._dialling if one.fileno() >= 0] + [made]
        return made

    async def connected(self, *_: object) -> None:
        """Note that a connection has come about."""
        for one in self._dialling:
            with suppress(OSError):
                _be_patient(one, 0)
        self._dialling.clear()


def _be_patient(one: socket.socket, milliseconds: int) -> None:
    """Set how long TCP waits for a sign of the other side; 0: as long as the system says."""
    if _USER_TIMEOUT is not None:
        one.setsockopt(socket.IPPROTO_TCP, _USER_TIMEOUT, milliseconds)
