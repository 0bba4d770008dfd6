"""`ExampleSite`: the site of the examples in the documents, with the real ingest and a store in memory."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from helpers.bench import commit_all, receipts, settler_on

from bridge.domain.access import Identity, Kind
from bridge.ingest.items import Incoming, Message
from bridge.ingest.rules import Rules
from bridge.store.memory import MemoryStore
from devices.protocol.documents.event_examples import COURIER, DEVICES, SITE, EventExample
from devices.protocol.messages import encode_cbor, load
from devices.protocol.vocabulary import EventType, Role

RECEIVED_AFTER_MS = 250
"""How long an event of the examples is on its way."""


def identity_of(role: Role) -> Identity:
    """The device of an example."""
    return Identity(site=SITE, device=DEVICES[role], role=role, courier=COURIER if role is Role.COURIER else None)


class ExampleSite:
    """Takes examples, and keeps what the server publishes about them."""

    def __init__(self, **rules: Any) -> None:
        self._settler = settler_on(MemoryStore(), Rules(site=SITE, **rules))
        self.published: list[Message] = []

    def send(self, *examples: EventExample) -> list[dict[str, Any]]:
        """The devices send examples as they stand in the documents, one batch; returns their receipts."""
        return self.take([self.incoming(e.role, e.type, encode_cbor(e.payload), e.at_ms + RECEIVED_AFTER_MS) for e in examples])

    def incoming(self, role: Role, event_type: EventType | None, payload: bytes, received_ms: int, kind: Kind = Kind.EVENTS) -> Incoming:
        return Incoming(identity_of(role), kind, event_type, payload, received_ms)

    def take(self, batch: Sequence[Incoming]) -> list[dict[str, Any]]:
        settled = commit_all(self._settler, batch)
        self.published += settled.messages
        return receipts(settled)

    def shown(self, topic: str) -> dict[str, Any] | None:
        """The last message of a topic of this site; None if it is empty, or there was none."""
        payload = next((m.payload for m in reversed(self.published) if m.topic == f"v1/{SITE}/{topic}"), b"")
        return load(payload) if payload else None
