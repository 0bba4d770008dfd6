"""Clients that behave badly, each in its own way, over and over."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final, NamedTuple

from helpers.events import SITE, TOPICS
from helpers.mqtt import connect_packet, frame, publish_packet, subscribe_packet, text, unsubscribe_packet
from helpers.server import SECRET
from soak.good import Place
from soak.wire import Gone, Link, Refused

from devices.protocol.vocabulary import Role

CLOSED_AFTER_S: Final = 75.0
"""By then the server must have closed a connection: it closes an unfinished CONNECT after 5 s, a login after 60 s."""
STAYS_S: Final = 40.0
LAB: Final = "lab/#"


class Bad(NamedTuple):
    """A way to behave badly, the role that it needs, and one round of it."""

    name: str
    role: Role
    round: Callable[[Place, str], Awaitable[None]]


async def live(bad: Bad, place: Place, device: str) -> None:
    """Behave badly until it is time to end."""
    while await place.pause(1.0):
        try:
            await bad.round(place, device)
            place.book.counts[f"bad: {bad.name}"] += 1
        except (Gone, Refused) as error:
            place.book.counts[f"bad: {bad.name}, {type(error).__name__.lower()}"] += 1


async def _login(place: Place, device: str, *, clean: bool = True, keep_alive_s: int = 60, client_id: str | None = None) -> Link:
    link = await place.open()
    await link.login(client_id or device, device, SECRET, clean=clean, keep_alive_s=keep_alive_s)
    return link


async def _must_close(place: Place, link: Link, what: str) -> None:
    if not await link.is_closed(CLOSED_AFTER_S):
        place.book.counts[f"not closed: {what}"] += 1
        link.cut()


async def never_acknowledges(place: Place, device: str) -> None:
    link = await _login(place, device, clean=False)
    link.acknowledges = False
    await link.subscribe(LAB, qos=1)
    await place.pause(STAYS_S)
    link.cut()


async def stops_reading(place: Place, device: str) -> None:
    link = await _login(place, device, keep_alive_s=0)
    link.send(subscribe_packet([(f"v1/{SITE}/orders/#", 0)]))
    link.stop_reading()
    await place.pause(STAYS_S)
    link.cut()


async def sends_garbage(place: Place, device: str) -> None:
    link = await place.open()
    link.send(place.rng.randbytes(200))
    await _must_close(place, link, "garbage")
    await place.pause(5.0)


async def sends_half_a_connect(place: Place, device: str) -> None:
    link = await place.open()
    packet = connect_packet(device, device, "secret")
    link.send(packet[: place.rng.randrange(len(packet))])
    await _must_close(place, link, "half a CONNECT")


async def has_a_wrong_password(place: Place, device: str) -> None:
    link = await place.open()
    link.send(connect_packet(device, device, "wrong") + publish_packet(TOPICS.event(device, "pick"), b"before CONNACK"))
    await _must_close(place, link, "a wrong password")
    await place.pause(10.0)


async def is_silent(place: Place, device: str) -> None:
    await _must_close(place, await _login(place, device, keep_alive_s=2), "silence")


async def comes_every_second(place: Place, device: str) -> None:
    link = await _login(place, device, clean=place.rng.random() < 0.5)
    await link.subscribe(TOPICS.receipts(device))
    link.cut()


async def takes_over(place: Place, device: str) -> None:
    """Two at a time with one client id."""
    first = await _login(place, device, clean=False, client_id="twin")
    second = await _login(place, device, clean=False, client_id="twin")
    if not await first.is_closed(5.0):
        place.book.counts["not closed: taken over"] += 1
    await place.pause(2.0)
    first.cut()
    second.cut()


async def publishes_where_it_may_not(place: Place, device: str) -> None:
    link = await _login(place, device)
    for topic in (
        TOPICS.status("PO-1"),
        TOPICS.event("somebody", "pick"),
        TOPICS.event(device, "created"),
        "$SYS/x",
        "plant/a",
        TOPICS.event(device, "no_such"),
    ):
        await link.publish(topic, b"forged %d" % place.rng.randrange(1_000))
    await place.pause(5.0)
    link.goodbye()


async def floods(place: Place, device: str) -> None:
    link = await _login(place, device)
    link.send(b"".join(publish_packet(f"lab/flood/{n % 7}", bytes(200), qos=n % 2, packet_id=1 + n) for n in range(60)))
    await place.pause(10.0)
    link.goodbye()


async def changes_its_subscriptions(place: Place, device: str) -> None:
    link = await _login(place, device, clean=place.rng.random() < 0.5)
    for number in range(10):
        filters = [f"lab/{place.rng.randrange(50)}/{n}/#" for n in range(20)]
        link.send(subscribe_packet([(f, n % 3) for n, f in enumerate(filters)], 1 + 2 * number) + unsubscribe_packet(filters[:15], 2 + 2 * number))
        if not await place.pause(1.0):
            break
    link.cut()


async def sends_huge_packets(place: Place, device: str) -> None:
    link = await _login(place, device)
    await link.publish("lab/huge", bytes(200_000))
    link.send(b"\x30\xff\xff\xff\x7f" + text("lab/huge") + bytes(100_000))
    await _must_close(place, link, "a packet of 256 MB")
    await place.pause(15.0)


async def never_releases(place: Place, device: str) -> None:
    """QoS 2 both ways, without its second half."""
    link = await _login(place, device, clean=False)
    link.acknowledges = False
    await link.subscribe("lab/flood/#", qos=2)
    for number in range(30):
        await link.publish("lab/two", b"x", qos=2, packet_id=1 + place.rng.randrange(200))
        if number % 10 == 9:
            link.send(frame(0x50, (1 + number).to_bytes(2, "big")))
        if not await place.pause(1.0):
            break
    link.cut()


BEHAVIOURS: Final = (
    Bad("never acknowledges", Role.LAB, never_acknowledges),
    Bad("stops reading", Role.DESK, stops_reading),
    Bad("sends garbage", Role.SCANNER, sends_garbage),
    Bad("sends half a CONNECT", Role.SCANNER, sends_half_a_connect),
    Bad("has a wrong password", Role.SCANNER, has_a_wrong_password),
    Bad("is silent", Role.SCANNER, is_silent),
    Bad("comes every second", Role.SCANNER, comes_every_second),
    Bad("takes over", Role.SCANNER, takes_over),
    Bad("publishes where it may not", Role.SCANNER, publishes_where_it_may_not),
    Bad("floods", Role.LAB, floods),
    Bad("changes its subscriptions", Role.LAB, changes_its_subscriptions),
    Bad("sends huge packets", Role.LAB, sends_huge_packets),
    Bad("never releases", Role.LAB, never_releases),
)
