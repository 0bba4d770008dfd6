"""What a record says, measured: one walk through its entries, no drawing.

Latencies are of events: from the first time that an event was handed to the network to the first PUBACK of any of its copies, and to its first receipt. So
a lost packet, a resend and a server that was away all count. What a fault mangled was not the event, and its PUBACK is none of the event's.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from devices.protocol.encoding import PayloadError, load
from devices.protocol.topics import unescape
from firmware_sim import record as r

Uid = tuple[str, bytes]
"""(device, id of the event)."""


class Change(NamedTuple):
    """An order's status shows this from now on; `None` where it was cleared."""

    at_ms: int
    state: str | None


class Span(NamedTuple):
    """From, to; `to_ms` is the end of the run where it did not end before."""

    from_ms: int
    to_ms: int


class Spell(NamedTuple):
    """A time of a fault."""

    span: Span
    kind: str
    devices: tuple[str, ...]


class Down(NamedTuple):
    """A kill of the server, and when it was back."""

    at_ms: int
    point: str
    back_ms: int | None


class Alarm(NamedTuple):
    """An alert. `cleared_ms` is missing where it stands at the end."""

    code: str
    subject: str
    severity: str
    text: str
    raised_ms: int
    cleared_ms: int | None = None


class Latency(NamedTuple):
    """How long something took that began at `at_ms`."""

    at_ms: int
    took_ms: int


@dataclass(slots=True)
class Life:
    """A device's connections."""

    online: list[Span] = field(default_factory=list)
    refused: list[int] = field(default_factory=list)
    notes: list[tuple[int, str]] = field(default_factory=list)
    connects: int = 0
    losses: int = 0
    """Connections that ended."""
    failures: int = 0
    """Connections that could not be made."""
    since_ms: int | None = None


@dataclass(slots=True)
class Measures:
    """Everything that the page shows."""

    begin_ms: int
    end_ms: int
    orders: dict[str, list[Change]] = field(default_factory=dict)
    devices: dict[str, Life] = field(default_factory=dict)
    faults: dict[int, list[Spell]] = field(default_factory=dict)
    up: list[Span] = field(default_factory=list)
    kills: list[Down] = field(default_factory=list)
    log: list[tuple[int, str]] = field(default_factory=list)
    """What the server said in its log."""
    acknowledged: list[Latency] = field(default_factory=list)
    answered: list[Latency] = field(default_factory=list)
    events: int = 0
    """Different events that were handed to the network."""
    resent: int = 0
    """PUBLISHes of an event beyond its first."""
    unacknowledged: list[tuple[int, int]] = field(default_factory=list)
    """(when, how many from now on): events handed to the network without a PUBACK."""
    commits: list[tuple[int, int, int]] = field(default_factory=list)
    """(when, messages in it, messages waiting behind it)."""
    outcomes: Counter[tuple[str, str]] = field(default_factory=Counter)
    """Events by (outcome, reason), the last word to each."""
    alarms: list[Alarm] = field(default_factory=list)

    @property
    def reconnects(self) -> int:
        return sum(max(0, life.connects - 1) for life in self.devices.values())


def percentile(values: Sequence[int], share: float) -> int:
    """The nearest-rank percentile of sorted values: the smallest that at least `share` of them do not exceed.

    Raises:
        ValueError: there are none.
    """
    if not values:
        raise ValueError("no values")
    return values[max(0, math.ceil(round(share * len(values), 6)) - 1)]


def measure(record: r.Record) -> Measures:
    """The measures of a record."""
    walk = _Walk(record)
    for entry in record.entries:
        walk.take(entry)
    return walk.finish()


class _Walk:
    """One walk. What the bridge sent is read from its commits; where a run has none, from what devices received."""

    def __init__(self, record: r.Record) -> None:
        times = [e.at_ms for e in record.entries]
        begin_ms = min([record.started_ms or math.inf, *times], default=0)
        end_ms = max([record.ended_ms, *times], default=0)
        begin_ms = 0 if begin_ms == math.inf else int(begin_ms)
        self._record = record
        self._sees_commits = any(isinstance(e, r.Committed) for e in record.entries)
        self._found = Measures(begin_ms=begin_ms, end_ms=max(end_ms, begin_ms + 1))
        self._found.devices = {device: Life() for device in record.cast}
        self._first_ms: dict[Uid, int] = {}
        self._event_of: dict[int, Uid] = {}
        self._acknowledged: set[Uid] = set()
        self._open: set[Uid] = set()
        self._answered: set[Uid] = set()
        self._mangled: set[int] = set()
        self._verdicts: dict[Uid, tuple[int, str, str]] = {}
        self._revs: dict[str, int] = {}
        self._standing: dict[tuple[str, str], Alarm] = {}
        self._open_faults: dict[int, r.FaultBegan] = {}
        self._up_since: int | None = None

    def take(self, entry: r.Entry) -> None:
        match entry:
            case r.Published():
                self._published(entry)
            case r.Acknowledged():
                self._puback(entry)
            case r.Mangled(no=no):
                self._mangled.add(no)
            case r.Received(at_ms=at_ms, topic=topic, payload=payload):
                self._received(entry.device, at_ms, topic, payload)
            case r.Committed(at_ms=at_ms, effects=effects):
                self._found.commits.append((at_ms, entry.messages, entry.waiting))
                for effect in effects:
                    if isinstance(effect, r.Sent):
                        self._shown(at_ms, effect.topic, effect.payload)
            case r.FaultBegan() | r.FaultEnded():
                self._fault(entry)
            case r.ServerStarted() | r.ServerKilled():
                self._server(entry)
            case r.Noted(at_ms=at_ms, device=device, text=text) if device == r.SERVER and r.SERVER not in self._record.cast:
                self._found.log.append((at_ms, text))
            case r.Connected() | r.Refused() | r.Lost() | r.Noted():
                self._life(entry)
            case _:
                pass

    # --- devices -------------------------------------------------------------------------------------------------------------

    def _life(self, entry: r.Connected | r.Refused | r.Lost | r.Noted) -> None:
        life = self._found.devices.setdefault(entry.device, Life())
        match entry:
            case r.Connected(at_ms=at_ms):
                life.connects += 1
                life.since_ms = at_ms if life.since_ms is None else life.since_ms
            case r.Refused(at_ms=at_ms):
                life.refused.append(at_ms)
            case r.Lost(at_ms=at_ms):
                if life.since_ms is None:
                    life.failures += 1
                else:
                    life.losses += 1
                    life.online.append(Span(life.since_ms, at_ms))
                    life.since_ms = None
            case r.Noted(at_ms=at_ms, text=text):
                life.notes.append((at_ms, text))

    def _published(self, entry: r.Published) -> None:
        self._found.devices.setdefault(entry.device, Life())
        levels = entry.topic.split("/")
        if len(levels) != 6 or levels[2] != "devices" or levels[4] != "events":
            return
        event_id = _map(entry.payload).get("id")
        if not isinstance(event_id, bytes):
            return
        uid = (entry.device, event_id)
        self._event_of[entry.no] = uid
        if uid in self._first_ms:
            self._found.resent += 1
            return
        self._first_ms[uid] = entry.at_ms
        if entry.qos:
            self._open.add(uid)
            self._found.unacknowledged.append((entry.at_ms, len(self._open)))

    def _puback(self, entry: r.Acknowledged) -> None:
        uid = self._event_of.get(entry.no)
        if uid is None:
            return
        if uid in self._open:
            self._open.discard(uid)
            self._found.unacknowledged.append((entry.at_ms, len(self._open)))
        if entry.no not in self._mangled and uid not in self._acknowledged:
            self._acknowledged.add(uid)
            began_ms = self._first_ms[uid]
            self._found.acknowledged.append(Latency(began_ms, entry.at_ms - began_ms))

    def _received(self, device: str, at_ms: int, topic: str, payload: bytes) -> None:
        self._found.devices.setdefault(device, Life())
        levels = topic.split("/")
        if len(levels) == 5 and levels[2] == "devices" and levels[4] == "receipts":
            self._receipt(_id_of(levels[3]), at_ms, _map(payload))
        elif not self._sees_commits:
            self._shown(at_ms, topic, payload)

    def _receipt(self, device: str, at_ms: int, receipt: dict[str, Any]) -> None:
        key = receipt.get("id") or receipt.get("digest")
        if not isinstance(key, bytes):
            return
        uid = (device, key)
        n = _number(receipt.get("n"))
        if uid not in self._verdicts or n >= self._verdicts[uid][0]:
            self._verdicts[uid] = (n, str(receipt.get("outcome", "?")), str(receipt.get("reason") or ""))
        if uid in self._first_ms and uid not in self._answered:
            self._answered.add(uid)
            self._found.answered.append(Latency(self._first_ms[uid], at_ms - self._first_ms[uid]))

    # --- what the bridge shows -----------------------------------------------------------------------------------------------

    def _shown(self, at_ms: int, topic: str, payload: bytes) -> None:
        levels = topic.split("/")
        if len(levels) != 5:
            return
        if levels[2] == "orders" and levels[4] == "status":
            self._status(_id_of(levels[3]), at_ms, payload)
        elif levels[2] == "alerts":
            self._alert((_id_of(levels[3]), _id_of(levels[4])), at_ms, payload)

    def _status(self, order: str, at_ms: int, payload: bytes) -> None:
        status = _map(payload)
        state = str(status["state"]) if "state" in status else None
        if not self._sees_commits and state is not None:
            # Several screens see the same statuses at different times: only what is newer than all that was seen counts.
            rev = _number(status.get("rev"))
            if rev <= self._revs.get(order, -1):
                return
            self._revs[order] = rev
        changes = self._found.orders.setdefault(order, [])
        if (changes[-1].state if changes else None) != state:
            changes.append(Change(at_ms, state))

    def _alert(self, key: tuple[str, str], at_ms: int, payload: bytes) -> None:
        standing = self._standing.get(key)
        if payload and standing is None:
            alert = _map(payload)
            self._standing[key] = Alarm(*key, str(alert.get("severity", "")), str(alert.get("text", "")), at_ms)
        elif not payload and standing is not None:
            self._found.alarms.append(standing._replace(cleared_ms=at_ms))
            del self._standing[key]

    # --- faults and the server -----------------------------------------------------------------------------------------------

    def _fault(self, entry: r.FaultBegan | r.FaultEnded) -> None:
        began = self._open_faults.pop(entry.number, None)
        if began is not None:
            self._found.faults.setdefault(entry.number, []).append(Spell(Span(began.at_ms, entry.at_ms), began.kind, began.devices))
        if isinstance(entry, r.FaultBegan):
            self._open_faults[entry.number] = entry

    def _server(self, entry: r.ServerStarted | r.ServerKilled) -> None:
        if isinstance(entry, r.ServerStarted):
            self._up_since = entry.at_ms if self._up_since is None else self._up_since
            if self._found.kills and self._found.kills[-1].back_ms is None:
                self._found.kills[-1] = self._found.kills[-1]._replace(back_ms=entry.at_ms)
            return
        if self._up_since is not None or not self._found.kills:
            self._found.up.append(Span(self._found.begin_ms if self._up_since is None else self._up_since, entry.at_ms))
        self._up_since = None
        self._found.kills.append(Down(entry.at_ms, entry.point, None))

    # --- the end -------------------------------------------------------------------------------------------------------------

    def finish(self) -> Measures:
        found, end_ms = self._found, self._found.end_ms
        found.events = len(self._first_ms)
        for life in found.devices.values():
            if life.since_ms is not None:
                life.online.append(Span(life.since_ms, end_ms))
        for began in self._open_faults.values():
            found.faults.setdefault(began.number, []).append(Spell(Span(began.at_ms, end_ms), began.kind, began.devices))
        found.faults = dict(sorted(found.faults.items()))
        if self._up_since is not None:
            found.up.append(Span(self._up_since, end_ms))
        for order in self._record.expected:
            found.orders.setdefault(order, [])
        found.alarms = sorted((*found.alarms, *self._standing.values()), key=lambda a: (a.raised_ms, a.code, a.subject))
        found.outcomes = self._outcomes()
        return found

    def _outcomes(self) -> Counter[tuple[str, str]]:
        """By the bridge's own tables where the record has them, else by the receipts that came. What was never an event is in the quarantine alone."""
        tables = self._record.end.tables
        if tables.get("receipts"):
            refused = (row for row in tables.get("quarantine", []) if row.get("pos") is None)
            return Counter((str(row.get("outcome", "?")), str(row.get("reason") or "")) for row in tables["receipts"]) + Counter(
                ("rejected", str(row.get("reason") or "")) for row in refused
            )
        return Counter((outcome, reason) for _, outcome, reason in self._verdicts.values())


def _map(payload: bytes) -> dict[str, Any]:
    try:
        value = load(payload) if payload else {}
    except PayloadError:
        return {}
    return value if isinstance(value, dict) else {}


def _id_of(level: str) -> str:
    try:
        return unescape(level)
    except ValueError:
        return level


def _number(value: object) -> int:
    return value if isinstance(value, int) else 0
