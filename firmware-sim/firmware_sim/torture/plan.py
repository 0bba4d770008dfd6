"""What a run sends and when the server is killed, from a seed. The same seed is the same plan; what the network makes of it is not planned."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import cycle
from random import Random
from typing import Final, NamedTuple

from devices.protocol import encoding
from devices.protocol.bodies import Created, Line
from devices.protocol.device_messages import Event
from devices.protocol.topics import Topics
from devices.protocol.vocabulary import EventType, Payment
from firmware_sim.firmware.flash import uuid7
from firmware_sim.torture.ledger import Class, Id, Subscription

SYSTEMS: Final = 2
"""Shops that send the order events."""
DESK: Final = "desk"
LANES: Final = ("a", "b")
FILLER_BYTES_MAX: Final = 48
PASSES_MAX: Final = 30
"""A labelled point is passed at most this often before it kills."""
MESSAGES_A_PASS: Final = 30
"""About how many messages one batch holds; nothing depends on it but how often a labelled point is reached in time."""
UPTIME_MS: Final = 60_000


class Message(NamedTuple):
    """One PUBLISH. `event`: the id under which an order event is stored."""

    id: Id
    group: Class
    topic: str
    payload: bytes
    event: bytes | None = None


class Taker(NamedTuple):
    """A subscriber with its filter and what the ledger expects of it."""

    name: str
    topic_filter: str
    subscription: Subscription


class Kill(NamedTuple):
    """One SIGKILL.

    answered: how many messages are answered when it comes.
    allowed: how many are sent before it at most.
    pause_s: how much later it comes, to fall anywhere between socket and acknowledgement.
    all_back: its slice of the work begins when every client is back; otherwise with the first that is, while others are still away.
    label: the code point at which the server kills itself, at the `nth` pass; None for a kill from outside.
    """

    answered: int
    allowed: int
    pause_s: float
    all_back: bool
    label: str | None
    nth: int

    @property
    def kill_at(self) -> str | None:
        return f"{self.label}:{self.nth}" if self.label is not None else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A whole run. Publishers whose names are in `systems` are shops, the others are plain clients."""

    seed: int
    messages: dict[str, list[Message]]
    systems: tuple[str, ...]
    takers: list[Taker]
    kills: list[Kill]
    is_killed_at_rest: bool

    @property
    def total(self) -> int:
        return sum(map(len, self.messages.values()))


def plan_run(
    seed: int,
    *,
    kills: int,
    events: int,
    publishers: int,
    subscribers: int,
    labels: Sequence[str],
    site: str | None,
    now_ms: int,
) -> Plan:
    """Plan a run.

    Half of the events are plain messages, half are order events; a broker that is no bridge (`site` None) gets the same messages, and no order events.
    The last kill comes when everything is delivered: after it nothing may come twice.
    """
    sent: dict[str, list[Message]] = {}
    names = [f"p{n}" for n in range(publishers)]
    for n, name in enumerate(names):
        sent[name] = list(_plain(Random(f"{seed} {name}"), name, _share(events // 2, publishers, n)))
    takers = [_taker(n, names) for n in range(subscribers)]
    systems = tuple(f"shop-{n}" for n in range(SYSTEMS)) if site is not None else ()
    if site is not None:
        for n, name in enumerate(systems):
            sent[name] = list(_orders(Random(f"{seed} {name}"), name, _share(events - events // 2, SYSTEMS, n), Topics(site), seed, now_ms))
        takers.append(Taker(DESK, f"{Topics(site).base}/orders/+/status", Subscription(publishers=frozenset(systems), qos=1)))
    total = sum(map(len, sent.values()))
    return Plan(
        seed=seed,
        messages=sent,
        systems=systems,
        takers=takers,
        kills=list(_kills(Random(f"{seed} kills"), max(0, kills - 1), total, labels)),
        is_killed_at_rest=kills > 0,
    )


def _share(total: int, parts: int, n: int) -> int:
    return total // parts + (n < total % parts)


def _taker(n: int, publishers: list[str]) -> Taker:
    """Two take everything, at QoS 2 and at QoS 1; the next two take one publisher; and so on."""
    qos = 1 if n % 2 else 2
    if n % 4 < 2:
        return Taker(f"s{n}", "torture/#", Subscription(publishers=frozenset(publishers), qos=qos))
    only = publishers[n % len(publishers)]
    return Taker(f"s{n}", f"torture/{only}/+", Subscription(publishers=frozenset((only,)), qos=qos))


def _plain(rng: Random, publisher: str, number: int) -> Iterator[Message]:
    seqs = dict.fromkeys(LANES, 0)
    for _ in range(number):
        lane = rng.choice(LANES)
        seqs[lane] += 1
        identity = Id(publisher, lane, seqs[lane])
        filler = rng.randbytes(rng.randrange(FILLER_BYTES_MAX // 2)).hex()
        yield Message(identity, Class("message", rng.choice((1, 2))), f"torture/{publisher}/{lane}", f"{identity} {filler}".encode())


def _orders(rng: Random, shop: str, number: int, topics: Topics, seed: int, now_ms: int) -> Iterator[Message]:
    """A new order for each event. Each has a topic of its own for its status, so each is a lane of its own."""
    topic = topics.event(shop, EventType.CREATED)
    log, boot = rng.randbytes(8), rng.randbytes(8)
    body = Created(channel="torture", lines=[Line(sku="sku-1", qty=1)], allow_partial=False, payment=Payment.ON_DELIVERY)
    for seq in range(1, number + 1):
        order = f"t{seed}-{shop}-{seq}"
        event = Event(
            id=uuid7(now_ms, rng),
            log=log,
            seq=seq,
            boot=boot,
            mono_ms=UPTIME_MS + seq,
            at_ms=now_ms,
            sent_boot=boot,
            sent_mono_ms=UPTIME_MS + seq,
            order=order,
            body=body,
        )
        yield Message(Id(shop, order, 1), Class("event", rng.choice((1, 2))), topic, encoding.encode(event), event.id)


def _kills(rng: Random, number: int, total: int, labels: Sequence[str]) -> Iterator[Kill]:
    """The kills in the work, each in its slice of it: from outside and at a label in turn, or, where there are few, one at each label first."""
    part = total / (number + 1)
    turns = [None, *labels] if number <= 2 * len(labels) else [turn for label in labels for turn in (None, label)] or [None]
    for n, label in zip(range(number), cycle(turns), strict=False):
        yield Kill(
            answered=round(part * (n + rng.uniform(0.1, 0.9))),
            allowed=round(part * (n + 1)),
            pause_s=rng.random() * 0.02,
            all_back=label is None and rng.random() < 0.5,
            label=label,
            nth=rng.randint(1, max(1, min(PASSES_MAX, int(part) // MESSAGES_A_PASS))),
        )
