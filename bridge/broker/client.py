"""A client's connection, as the parts of the front door see it that look back at it. `connection.Connection` is one."""

from __future__ import annotations

from typing import Protocol

from bridge.broker.pace import Pace
from bridge.broker.sessions import Output, Session
from bridge.broker.state import ClientCertificate, State
from bridge.domain.access import Identity
from bridge.ingest.sessions import WillKey


class Client(Output, Protocol):
    """See `Connection` for what each of these does."""

    peer: str
    state: State
    identity: Identity | None
    certificate: ClientCertificate | None
    claim: tuple[str, str] | None
    stored_will: WillKey | None
    has_disconnected: bool
    received_ms: int
    pace: Pace

    @property
    def device(self) -> str | None: ...

    def begin_login(self) -> None: ...

    def authenticated(self, identity: Identity | None) -> None: ...

    def unavailable(self) -> None: ...

    def opened(self, session: Session, *, present: bool) -> None: ...

    def check_silence(self, now_s: float) -> None: ...

    def close(self, why: str) -> None: ...
