"""Where a connection stands, and who its client says it is before it has said anything."""

from __future__ import annotations

from enum import Enum, auto
from typing import NamedTuple


class State(Enum):
    """Where a connection stands. OPENING: the client is who it says, and its session is being stored."""

    NEW = auto()
    AUTHENTICATING = auto()
    OPENING = auto()
    OPEN = auto()
    CLOSED = auto()


class ClientCertificate(NamedTuple):
    """A certificate that a client has shown and that its authority vouches for: the common name, and the SHA-256 of the whole as hex."""

    device: str
    sha256: str
