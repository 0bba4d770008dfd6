"""Which user of the operating system gives a command."""

from __future__ import annotations

import os
import pwd
import socket
import struct
from typing import Final

_CREDENTIALS: Final = struct.Struct("3i")
"""Process, user and group of the other end of a Unix socket (`SO_PEERCRED`, unix(7))."""


def user_behind(connection: socket.socket) -> str:
    """The user whose process is at the other end of a Unix socket, as the kernel knows it."""
    found = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    _, uid, _ = _CREDENTIALS.unpack(found)
    return _name(uid)


def own_user() -> str:
    """The user of this process."""
    return _name(os.getuid())


def _name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"uid {uid}"
