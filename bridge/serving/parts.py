"""What an application is made of, if it is not what production takes: a simulation has a writer without a thread and a broker without sockets."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final, Protocol

from sqlalchemy import Engine

from bridge.broker.door import FrontDoor
from bridge.broker.embedded import EmbeddedBroker
from bridge.broker.lag import Lag
from bridge.broker.logins import Logins
from bridge.ingest.pipeline import Settler
from bridge.ingest.points import Passed, ignore_point
from bridge.store.credentials import CredentialsLog
from bridge.store.registry import Registry
from bridge.store.sql import SqlStore
from bridge.vault import KeyFolder, Vault, open_vault
from bridge.writer import SiteWriter, ThreadWriter


class SiteBroker(Protocol):
    """What an application needs of a broker. `EmbeddedBroker` is that of production and describes each method."""

    door: FrontDoor
    logins: Logins
    is_stopping: bool
    received_bytes: int
    sent_bytes: int
    lag: Lag

    async def start(self) -> None: ...

    def watch(self, ended: Callable[[asyncio.Task[None]], None]) -> None: ...

    def addresses(self) -> dict[str, tuple[str, int]]: ...

    def flush(self) -> None: ...

    def pause(self, *, paused: bool) -> None: ...

    def stop_listening(self) -> None: ...

    def hang_up(self) -> None: ...

    async def stop(self) -> None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """How each part is made. `passed` is called at each point of the pipeline (`ingest.points`)."""

    writer: Callable[[Settler, SqlStore], SiteWriter] = ThreadWriter
    broker: Callable[..., SiteBroker] = EmbeddedBroker
    registry: Callable[[Engine, Engine, str, CredentialsLog], Registry] = Registry
    vault: Callable[[KeyFolder, int], Vault] = open_vault
    passed: Passed = ignore_point
    aside: Callable[..., Awaitable[Any]] = asyncio.to_thread
    """Calls a function that takes long and writes nothing, beside the event loop."""
    makes_backups: bool = True
    """A simulation makes none: its days pass in seconds."""


PRODUCTION: Final = Parts()
