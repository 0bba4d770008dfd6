"""What all consumers share: the job, the settler behind them, and the identities of the devices that may publish."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bridge.app import ingest_of
from bridge.bounds import rules_of
from bridge.broker.session_log import SessionLog
from bridge.clock import anchored_clock
from bridge.config import IngestSettings, Settings
from bridge.domain.access import Identity, Kind
from bridge.ingest.items import Incoming
from bridge.ingest.pipeline import Settler
from bridge.interpreter import tune_garbage_collection
from bridge.store.migrate import migrate
from bridge.store.sql import SqlStore
from bridge.store.sqlite import open_engine
from devices.protocol.vocabulary import Role

FILTERS: Final = ("v1/+/devices/+/events/+", "v1/+/devices/+/location")
BATCH: Final = IngestSettings().batch_messages_max
"""The most messages in one transaction, the same as ours."""


@dataclass(frozen=True, slots=True)
class Job:
    """Where the broker is, where to make the database, and who may publish."""

    port: int
    database: Path
    roles: dict[str, Role]


def read_job() -> Job:
    plain = json.load(sys.stdin)
    return Job(plain["port"], Path(plain["database"]), {name: Role(role) for name, role in plain["roles"].items()})


def make_settler(database: Path) -> tuple[Settler, SqlStore]:
    """The same settler as in the server, with the server's settings, on a database that is made if it does not exist.

    `paired.py` calls this in each of the checkouts that it compares: the name, the argument and the first of the two results must stay.
    """
    ingest = Settings().ingest
    engine = open_engine(database, cache_bytes=ingest.database_cache_bytes, log_bytes=ingest.database_log_bytes)
    migrate(engine, database)
    store = SqlStore(engine)
    return Settler(store, ingest_of(rules_of(Settings()), Settings(), SessionLog())), store


class Senders:
    """The identity that a message came from, by its topic; looked up once for each topic."""

    def __init__(self, roles: dict[str, Role]) -> None:
        self._identities = {name: Identity(site="main", device=name, role=role, courier=name if role is Role.COURIER else None) for name, role in roles.items()}
        self._known: dict[str, tuple[Identity, Kind, str | None]] = {}
        self._now_ms = anchored_clock().now_ms

    def incoming(self, topic: str, payload: bytes) -> Incoming:
        known = self._known.get(topic)
        if known is None:
            levels = topic.split("/")
            kind, event_type = (Kind.EVENTS, levels[5]) if levels[4] == Kind.EVENTS else (Kind(levels[4]), None)
            known = self._known[topic] = (self._identities[levels[3]], kind, event_type)
        identity, kind, event_type = known
        return Incoming(identity, kind, event_type, payload, self._now_ms())


def ready() -> None:
    """Report that the consumer is ready. Garbage is collected as rarely as in the server."""
    tune_garbage_collection()
    print("ready", flush=True)
