"""What happened in a run, in the order in which it happened, and what was there at its end. Checkers, the report and a replay read nothing else.

Entries are small named tuples. `at_ms` is true time, ms since 1970 UTC: virtual on the simulated link, the machine's over real MQTT. A run over real MQTT
sees no commits: there `Committed` is missing, and what rests on it is not judged.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

import cbor2

SERVER: Final = "server"
"""Who speaks in a `Noted` that is the server's."""
Row = dict[str, Any]
"""A row of the bridge's database, by the names of its columns."""


# --- what devices did and saw --------------------------------------------------------------------------------------------------


class Connected(NamedTuple):
    """CONNACK 0 came."""

    at_ms: int
    device: str
    present: bool


class Refused(NamedTuple):
    """CONNACK came with another code (§3.2.2.3)."""

    at_ms: int
    device: str
    code: int


class Lost(NamedTuple):
    """A connection ended, or could not be made."""

    at_ms: int
    device: str
    why: str


class Subscribed(NamedTuple):
    """SUBACK came: (filter, granted QoS, 128 where refused)."""

    at_ms: int
    device: str
    filters: tuple[tuple[str, int], ...]


class Published(NamedTuple):
    """A PUBLISH was handed to the network. `no` is unique in the run."""

    at_ms: int
    device: str
    no: int
    topic: str
    payload: bytes
    qos: int
    retain: bool


class Mangled(NamedTuple):
    """A fault changed PUBLISH `no` on its way: its acknowledgement says nothing about what the device meant."""

    at_ms: int
    device: str
    no: int


class Acknowledged(NamedTuple):
    """The PUBACK of PUBLISH `no` came."""

    at_ms: int
    device: str
    no: int


class Received(NamedTuple):
    """A message came to a subscriber, as it was on the wire."""

    at_ms: int
    device: str
    topic: str
    payload: bytes
    qos: int
    retain: bool
    dup: bool


class Noted(NamedTuple):
    """Something in a device's life, for the reader: `swaps the battery`, `is in the tunnel`."""

    at_ms: int
    device: str
    text: str


# --- what was done to them -----------------------------------------------------------------------------------------------------


class FaultBegan(NamedTuple):
    """Fault number `number` of the scenario; `devices` are those that it touches."""

    at_ms: int
    number: int
    kind: str
    devices: tuple[str, ...]


class FaultEnded(NamedTuple):
    at_ms: int
    number: int
    kind: str


# --- the server ----------------------------------------------------------------------------------------------------------------


class ServerStarted(NamedTuple):
    """The server is there. `stored` are the events that are in its log now, as (device, id)."""

    at_ms: int
    stored: tuple[tuple[str, bytes], ...]


class ServerKilled(NamedTuple):
    """The server died. `point` is a label of `bridge.ingest.points`, or `anywhere`."""

    at_ms: int
    point: str


class Sent(NamedTuple):
    """The bridge is bound to send this message to whoever is subscribed at this place."""

    topic: str
    payload: bytes
    qos: int
    retain: bool


class SessionOpened(NamedTuple):
    """`sid` is 0 for a clean session."""

    sid: int
    device: str
    client_id: str


class SessionEnded(NamedTuple):
    sid: int


class FiltersAdded(NamedTuple):
    sid: int
    filters: tuple[tuple[str, int], ...]


class FiltersRemoved(NamedTuple):
    sid: int
    filters: tuple[str, ...]


Effect = Sent | SessionOpened | SessionEnded | FiltersAdded | FiltersRemoved


class Committed(NamedTuple):
    """A transaction was committed, with these effects in this order. `messages` is how many came in with it, `waiting` how many wait behind it."""

    at_ms: int
    messages: int
    waiting: int
    effects: tuple[Effect, ...]


Entry = (
    Connected
    | Refused
    | Lost
    | Subscribed
    | Published
    | Mangled
    | Acknowledged
    | Received
    | Noted
    | FaultBegan
    | FaultEnded
    | ServerStarted
    | ServerKilled
    | Committed
)


# --- who is who, and the end ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Cast:
    """A device of the run. `secrets` are texts of people that must never be seen on an order's retained topics. `is_well`: it finishes its work in this
    scenario, so that at the end nothing of it may be missing."""

    device: str
    role: str
    courier: str | None = None
    secrets: tuple[str, ...] = ()
    is_well: bool = True


@dataclass(slots=True, kw_only=True)
class End:
    """What was there when the run was over: rows by table, retained messages as the broker has them, and what devices still held back.

    `tables` has events, receipts, orders, parcels, status_log, parked, quarantine, ledger, jobs, alerts, retained, sessions.
    """

    tables: dict[str, list[Row]] = field(default_factory=dict)
    retained: dict[str, bytes] = field(default_factory=dict)
    unsent: dict[str, int] = field(default_factory=dict)
    """Events in a device's flash without acknowledgement."""
    unanswered: dict[str, int] = field(default_factory=dict)
    """Events without a receipt."""
    troubles: list[str] = field(default_factory=list)
    """What devices complained about."""


@dataclass(slots=True, kw_only=True)
class Record:
    """A run. `expected` is the state word in which each order must end by plan; `alerts` are (code, subject) patterns that may still stand at the end, and
    `alerts_due` are codes that must have been raised."""

    scenario: str
    seed: int
    site: str
    link: str
    started_ms: int = 0
    ended_ms: int = 0
    cast: dict[str, Cast] = field(default_factory=dict)
    expected: dict[str, str] = field(default_factory=dict)
    alerts: tuple[tuple[str, str], ...] = ()
    alerts_due: tuple[str, ...] = ()
    status_keep_ms: int = 0
    entries: list[Entry] = field(default_factory=list)
    memory: list[tuple[int, int]] = field(default_factory=list)
    """What the server's process held of the machine's memory: (at_ms, bytes), where it has a process of its own. Not part of `to_bytes`."""
    end: End = field(default_factory=End)

    def of(self, *kinds: type) -> Iterator[Any]:
        """The entries of these kinds, in order."""
        return (e for e in self.entries if isinstance(e, kinds))

    def to_bytes(self) -> bytes:
        """The whole record, the same bytes for the same run."""
        return cbor2.dumps(
            {
                "scenario": self.scenario,
                "seed": self.seed,
                "entries": [[type(e).__name__, *_plain(e)] for e in self.entries],
                "tables": self.end.tables,
                "retained": self.end.retained,
                "unsent": self.end.unsent,
                "unanswered": self.end.unanswered,
                "troubles": self.end.troubles,
            },
            canonical=True,
        )

    @property
    def digest(self) -> str:
        """SHA-256 of the record, hex."""
        return hashlib.sha256(self.to_bytes()).hexdigest()


def _plain(entry: Sequence[Any]) -> list[Any]:
    if type(entry) in _FLAT:
        return list(entry)
    return [[type(x).__name__, *_plain(x)] if hasattr(x, "_fields") else _plain(x) if isinstance(x, tuple) else x for x in entry]


_FLAT: Final = frozenset(
    {Connected, Refused, Lost, Published, Mangled, Acknowledged, Received, Noted, FaultEnded, ServerKilled, Sent, SessionOpened, SessionEnded},
)
"""Entries in which there is nothing but numbers, texts and bytes."""


# --- verdicts ------------------------------------------------------------------------------------------------------------------


class Finding(NamedTuple):
    """A law that the run broke. `at_ms` is when it shows, 0 where at the end."""

    checker: str
    text: str
    at_ms: int = 0
