"""When a courier's jobs change, the door looks only at the sessions of that courier, even after a device was bound to another courier."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from helpers.events import NOW_MS, SITE, TOPICS
from helpers.mqtt import connect_packet, subscribe_packet

from bridge.broker.codec.amqtt_decoder import AmqttDecoder
from bridge.broker.connection import Connection
from bridge.broker.door import FrontDoor
from bridge.broker.limits import DoorLimits
from bridge.broker.sessions import Session
from bridge.domain.access import Identity
from bridge.ingest.items import Change, Incoming, OpenSession
from devices.protocol.vocabulary import Role

OTHERS = 300
STATUS = TOPICS.status("PO-1")


class Site:
    """A door whose changes are committed at once. `jobs` maps each order to the courier who has it in an open job."""

    is_full = is_idle = store_failing = False

    def __init__(self) -> None:
        self.jobs: set[str] = set()
        self._sids: dict[str, int] = {}
        self.door = FrontDoor(
            decoder=AmqttDecoder(),
            sink=self,
            limits=DoorLimits(sessions_max=1_000),
            now_ms=lambda: NOW_MS,
            now_s=lambda: 0.0,
            authenticate=lambda client, connect: None,
            in_open_job=lambda courier, order: courier in self.jobs,
        )

    def offer(self, incoming: Incoming, acknowledge: Callable[[bytes], None]) -> None:
        raise AssertionError("no client publishes here")

    def change(self, change: Change) -> None:
        result = None
        if isinstance(change, OpenSession):
            result = 0 if change.clean else self._sids.setdefault(change.device, len(self._sids) + 1)
        change.done(result)

    def comes(self, identity: Identity) -> Session:
        """A phone connects; returns its session."""
        connection = Connection(self.door, "10.0.0.1:1", lambda connection: None)
        connection.receive(connect_packet(identity.device, clean=False))
        connection.authenticated(identity)
        return connection.session

    def subscribed(self, identity: Identity) -> Session:
        """A phone connects, and subscribes to the order in its job."""
        session = self.comes(identity)
        assert session.wire is not None
        session.wire.receive(subscribe_packet([(STATUS, 1)]))  # type: ignore[attr-defined]
        assert STATUS in session.subscriptions
        return session


def phone(number: int, courier: str) -> Identity:
    return Identity(site=SITE, device=f"phone-{number}", role=Role.COURIER, courier=courier)


@pytest.fixture
def looked_at(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The devices whose sessions were looked at, recognised by reads of a session's identity."""
    seen: list[str] = []

    def get(session: Session) -> Identity:
        identity: Identity = session.__dict__["identity"]
        seen.append(identity.device)
        return identity

    def put(session: Session, identity: Identity) -> None:
        session.__dict__["identity"] = identity

    monkeypatch.setattr(Session, "identity", property(get, put), raising=False)
    return seen


def test_only_the_sessions_of_the_courier_are_looked_at(looked_at: list[str]) -> None:
    site = Site()
    site.jobs = {"anna"}
    for number in range(OTHERS):
        site.comes(phone(number, f"courier-{number}"))
    anna = site.subscribed(phone(OTHERS, "anna"))
    second = site.subscribed(phone(OTHERS + 1, "anna"))
    site.jobs.clear()
    looked_at.clear()
    site.door.recheck("anna")
    assert (anna.subscriptions, second.subscriptions) == ({}, {})
    assert set(looked_at) == {f"phone-{OTHERS}", f"phone-{OTHERS + 1}"}
    looked_at.clear()
    site.door.recheck("a courier without a phone")
    assert looked_at == []


@pytest.mark.parametrize("bound_to", ["bert", None])
def test_a_phone_that_was_bound_to_another_courier_is_found_under_that_one(bound_to: str | None) -> None:
    site = Site()
    site.jobs = {"anna", "bert"}
    before = phone(1, "anna")
    session = site.subscribed(before)
    assert session.wire is not None
    session.wire.lost()  # type: ignore[attr-defined]
    assert site.comes(replace(before, courier=bound_to)) is session
    site.jobs.clear()
    site.door.recheck("anna")
    assert session.subscriptions == ({STATUS: 1} if bound_to else {}), "what it may not read any more ended when it came back"
    site.door.recheck("bert")
    assert session.subscriptions == {}


def test_an_ended_session_is_not_looked_at(looked_at: list[str]) -> None:
    site = Site()
    site.comes(phone(1, "anna"))
    site.door.disconnect("phone-1", "it was revoked", end_sessions=True)
    looked_at.clear()
    site.door.recheck("anna")
    assert looked_at == []
