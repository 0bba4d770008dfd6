"""What a start reads from the store, and what it says itself. Everything is in its place before the first client connects.

In this order: retained messages, open jobs, sessions with their subscriptions and messages; then the start's own changes: sessions that have lost their
device end, presences say that every device is offline, wills that a crash has left are published, alerts that are no longer true are cleared, and the
bridge's state says that it is online.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from bridge import __version__
from bridge.bounds import client_limits
from bridge.broker.codec.outgoing import Outgoing
from bridge.broker.door import FrontDoor
from bridge.broker.restore import restore
from bridge.domain.access import Identity
from bridge.ingest.items import EndSession, Message, OpenJobs, Settled, ShutOut
from bridge.serving.open_site import OpenSite, encode_anew
from bridge.serving.parts import SiteBroker
from bridge.store.message_log import Stored
from devices.protocol import messages
from devices.protocol.messages import CONTRACT_VERSION, BridgeState
from devices.protocol.topics import Topics, unescape
from devices.protocol.vocabulary import AlertCode


async def start(site: OpenSite, broker: SiteBroker) -> None:
    """Fill a broker that has no connections yet, and show what the start changes.

    Raises:
        StoreUnavailable: if the store can't be read or written now.
    """
    door = broker.door
    present: dict[str | None, None] = {}
    for message in site.queries.retained(encode_anew(site.rules)):
        door.retained.put(Outgoing(message.topic, message.payload, message.qos))
        present[_of_presence(site.topics, message.topic)] = None
    jobs: OpenJobs = await site.writer.run(lambda: site.settler.show_jobs(site.clock.now_ms()))
    for message in jobs.messages:
        door.retained.put(Outgoing(message.topic, message.payload, message.qos))
    site.outlet.show(Settled([], jobs.jobs, []))
    stored: Stored = await site.writer.run(lambda: _stored_sessions(site))
    admitted = site.registry.identities()
    identity_of = _identities(site, admitted)
    without_device = _restore_sessions(door, stored, identity_of)
    site.outlet.broker = broker
    for sid in without_device:
        site.pipeline.change(EndSession(received_ms=site.clock.now_ms(), sid=sid))
    site.outlet.show(await site.writer.run(lambda: site.settler.mark_all_devices_offline(site.clock.now_ms())))
    for device in present:
        if device is not None and device not in admitted and site.lab_identity is None:
            site.pipeline.change(ShutOut(received_ms=site.clock.now_ms(), device=device))  # a restore has brought back what it had said
    for will in stored.wills:
        door.wills.publish_stored(will, identity_of(will.device))
    for alert in site.queries.alerts():
        if alert["code"] == AlertCode.DROPPED and not door.loses(alert["subject"]):
            door.alarm(AlertCode.DROPPED, alert["subject"], "", "")
    announce_state(site, online=True)
    await site.pipeline.drained()


def _of_presence(topics: Topics, topic: str) -> str | None:
    """The device whose presence a topic has; None if it has none."""
    before, after = f"{topics.base}/devices/", "/presence"
    return unescape(topic.removeprefix(before).removesuffix(after)) if topic.startswith(before) and topic.endswith(after) else None


def _identities(site: OpenSite, admitted: Mapping[str, Identity]) -> Callable[[str], Identity | None]:
    """The identity of each device that may log in; None for any other."""

    def identity_of(device: str) -> Identity | None:
        lab = site.lab_identity
        return lab if lab is not None and device == lab.device else admitted.get(device)

    return identity_of


def _restore_sessions(door: FrontDoor, stored: Stored, identity_of: Callable[[str], Identity | None]) -> list[int]:
    """Restore sessions, their subscriptions and what they are owed. Returns the sids of sessions whose device may no longer log in."""
    return restore(
        door,
        sessions=stored.sessions,
        subscriptions=stored.subscriptions,
        messages=stored.messages,
        incoming_ids=stored.incoming_ids,
        next_pos=stored.next_pos,
        identity_of=identity_of,
    )


def _stored_sessions(site: OpenSite) -> Stored:
    with site.store.transaction() as tx:
        return Stored(tx)


def announce_state(site: OpenSite, *, online: bool) -> None:
    """Publish whether the bridge is online, for the site's devices; a laboratory has none."""
    if not site.rules.is_lab:
        state = BridgeState(
            online=online,
            version=__version__,
            started_ms=site.started_ms,
            contract=CONTRACT_VERSION,
            epoch=site.rules.epoch,
            limits=client_limits(site.settings),
        )
        site.announce(Message(site.topics.bridge_state, site.rules.encode(messages.load_cbor(messages.encode(state))), 1, True))
