"""Presence: whether a device is connected, as the device or its will says; retained as it was received."""

from __future__ import annotations

from bridge.ingest.accept import BY_SEQ
from bridge.ingest.batch import Batch, PresenceHeard, Started
from bridge.ingest.items import Message
from bridge.ingest.retained import RETAINED, retain
from bridge.ingest.seam import Quiet, TopicFamily
from devices.protocol import messages
from devices.protocol.messages import PayloadError
from devices.protocol.vocabulary import Role


class Presences(Quiet):
    """Publishes presences, and updates the device's clock from them."""

    relations = (RETAINED,)
    topics = (TopicFamily("devices/+/presence", frozenset({Role.DESK})),)
    hears = frozenset({PresenceHeard, Started})

    def rule(self, heard: PresenceHeard | Started, batch: Batch) -> None:
        if isinstance(heard, Started):
            self._mark_all_offline(batch)
            return
        identity, presence = heard.identity, heard.presence
        entry = batch.device(identity.device)
        if presence.online and presence.mono_ms is not None and identity.role in BY_SEQ:
            entry.clock.heard(boot=presence.boot, sent_mono_ms=presence.mono_ms, received_ms=heard.received_ms, is_fresh=True)
            if presence.at_ms is not None:
                batch.saw_clock(identity.device, entry.clock.wall(at_ms=presence.at_ms, now_ms=heard.received_ms))
        _show(batch, batch.topics.presence(identity.device), heard.payload)

    def _mark_all_offline(self, batch: Batch) -> None:
        for row in batch.tx.rows(RETAINED):
            if row.topic.startswith(batch.topics.base) and row.topic.endswith("/presence"):
                _mark_offline(batch, row.topic, row.payload)


def _mark_offline(batch: Batch, topic: str, payload: bytes) -> None:
    """Publish that a device is offline, if its presence says that it is online."""
    try:
        plain = messages.load(payload)
    except PayloadError:
        return
    if isinstance(plain, dict) and plain.get("online"):
        plain["online"] = False
        _show(batch, topic, messages.encode_cbor(plain) if messages.json_text(payload) is None else messages.encode_json(plain))


def _show(batch: Batch, topic: str, payload: bytes) -> None:
    retain(batch, topic, payload, 1)
    batch.published.append(Message(topic, payload, 1, True))
