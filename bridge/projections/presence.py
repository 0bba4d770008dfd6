"""Presence: whether a device is connected, as its connections say, and what the device itself said last; retained.

A device is online as long as a connection of it stands, whatever its messages say: a will of one connection does not speak for another one. Each presence
that is shown is stored, so that the stored one says whether the device is online at this place among the messages.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, NamedTuple

from bridge.domain.facts import BY_SEQ
from bridge.ingest.batch import Batch, PresenceHeard, Started
from bridge.ingest.items import Connected, Disconnected, Message, ShutOut, Subscribe
from bridge.ingest.retained import RETAINED, retain, retained_at
from bridge.ingest.seam import Quiet, TopicFamily
from devices.protocol import messages
from devices.protocol.messages import BOOT_UNKNOWN, PayloadError
from devices.protocol.vocabulary import Role

CLOCK: Final = ("at_ms", "mono_ms")
"""Fields that are true only at the moment at which the device says them."""

Fields = dict[str, Any]


class _Said(NamedTuple):
    """The fields of a presence, unknown ones too, and how they are encoded."""

    fields: Fields
    encode: Callable[[Any], bytes]


class Presences(Quiet):
    """Publishes presences, and updates the device's clock from them."""

    relations = (RETAINED,)
    topics = (TopicFamily("devices/+/presence", frozenset({Role.DESK})),)
    hears = frozenset({PresenceHeard, Connected, Disconnected, ShutOut, Started, Subscribe})

    def __init__(self) -> None:
        self._changed: dict[str, bytes] = {}
        """What is to be shown, by topic. Of several presences of a device only the last is."""

    def rule(self, heard: PresenceHeard | Connected | Disconnected | ShutOut | Started | Subscribe, batch: Batch) -> None:
        if batch.rules.is_lab:
            return  # all its clients have one name
        match heard:
            case PresenceHeard():
                self._hear(heard, batch)
            case Connected(device=device):
                self._connect(batch.topics.presence(device), batch)
            case Disconnected(device=device, is_lost=is_lost):
                topic = batch.topics.presence(device)
                self._disconnect(topic, self._last(topic, batch), is_lost=is_lost)
            case ShutOut(device=device):
                topic = batch.topics.presence(device)
                if topic in self._changed or retained_at(batch, topic):
                    self._changed[topic] = b""
            case Started():
                for row in batch.tx.rows(RETAINED):
                    if row.topic.startswith(batch.topics.base) and row.topic.endswith("/presence"):
                        self._disconnect(row.topic, _read(row.payload), is_lost=True)
            case Subscribe():
                self._show(batch)  # a new subscriber is sent what is retained at its place

    def finish(self, batch: Batch) -> None:
        self._show(batch)

    def forget(self) -> None:
        self._changed = {}

    def _show(self, batch: Batch) -> None:
        for topic, payload in self._changed.items():
            retain(batch, topic, payload, 1)
            batch.published.append(Message(topic, payload, 1, True))
        self._changed = {}

    def _hear(self, heard: PresenceHeard, batch: Batch) -> None:
        identity, presence = heard.identity, heard.presence
        entry = batch.device(identity.device)
        if presence.online and presence.mono_ms is not None and identity.role in BY_SEQ:
            entry.clock.heard(boot=presence.boot, sent_mono_ms=presence.mono_ms, received_ms=heard.received_ms, is_fresh=True)
            if presence.at_ms is not None:
                batch.saw_clock(identity.device, entry.clock.wall(at_ms=presence.at_ms, now_ms=heard.received_ms))
        topic = batch.topics.presence(identity.device)
        last = self._last(topic, batch)
        is_online = last is not None and last.fields.get("online") is True
        if presence.online and is_online:
            self._changed[topic] = heard.payload
        elif (said := _read(heard.payload)) is not None:
            # A will names little more than the boot: the rest of what the device said stays.
            before = {} if presence.online or last is None else _without_clock(last.fields)
            self._changed[topic] = said.encode({**before, **said.fields, "online": is_online})

    def _connect(self, topic: str, batch: Batch) -> None:
        last = self._last(topic, batch)
        if last is None:
            self._changed[topic] = batch.rules.encode({"boot": BOOT_UNKNOWN, "online": True})
        elif not last.fields.get("online"):
            self._changed[topic] = last.encode({**_without_clock(last.fields), "online": True})

    def _disconnect(self, topic: str, last: _Said | None, *, is_lost: bool) -> None:
        if last is not None and last.fields.get("online"):
            self._changed[topic] = last.encode({**(_without_clock(last.fields) if is_lost else last.fields), "online": False})

    def _last(self, topic: str, batch: Batch) -> _Said | None:
        """The last presence of a device; None if it has none that can be read."""
        payload = self._changed.get(topic)
        return _read(retained_at(batch, topic) if payload is None else payload)


def _read(payload: bytes) -> _Said | None:
    try:
        plain = messages.load(payload)
    except PayloadError:
        return None
    return _Said(plain, messages.encode_cbor if messages.json_text(payload) is None else messages.encode_json) if isinstance(plain, dict) else None


def _without_clock(fields: Fields) -> Fields:
    return {name: value for name, value in fields.items() if name not in CLOCK}
