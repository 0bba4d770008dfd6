"""What the bridge publishes: receipts, statuses, positions, assignments, alerts, its own state."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Final, Literal

from msgspec import Meta, Struct, field

from devices.protocol.fields import Bytes8, Code, Count, EventId, Id, LatE7, LonE7, Metres, Percent, Positive, Sentence, Sentences, Uint, Word
from devices.protocol.notice import InLanguages as InLanguages
from devices.protocol.notice import Notice as Notice
from devices.protocol.receipt_parts import Expected as Expected
from devices.protocol.receipt_parts import Left as Left
from devices.protocol.vocabulary import (
    DEVELOPER_WARNINGS,
    ORDER_STATE_WORDS,
    AlertCode,
    EventType,
    Flag,
    JobState,
    Next,
    Outcome,
    ParcelState,
    Reason,
    Severity,
    Tone,
    Warn,
    Waypoint,
)

if TYPE_CHECKING:
    OrderStateWord = str
    StateWord = str
else:
    OrderStateWord = Literal[ORDER_STATE_WORDS]
    """A state of an order. `partially_…`: its parcels differ, and this is the least advanced."""
    StateWord = Literal[tuple(dict.fromkeys((*ORDER_STATE_WORDS, *map(str, ParcelState), *map(str, Waypoint))))]
    """A state of an order or of a parcel, or a milestone of a parcel that is no state."""


WARNS_MAX: Final = 8
"""Warnings of one receipt. If there are more, those for developers are left out."""
LeftLines = Annotated[list[Left], Meta(max_length=500)]
"""What is left of an order."""
Warnings = Annotated[list[Warn], Meta(max_length=WARNS_MAX)]
"""What was odd."""


class Receipt(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The server's answer to one message. The highest (`epoch`, `n`) of an `id` holds."""

    n: Count
    """1 for the first answer to an event, one more with each change of the verdict. A resend is answered with the present one."""
    final: bool
    """False while the event is parked: another receipt follows. True: none is expected, though one comes if a late event or a `void` changes the past."""
    outcome: Outcome
    """What became of the event."""
    tone: Tone
    """What to play. It follows from all the rest."""
    at_ms: Uint
    """When the server made this verdict."""
    type: Word | None = None
    """The event type as it was sent: the last level of its topic, cut to 64 characters. `presence` and `location` name themselves. Always there if
    it could be known."""
    id: EventId | None = None
    """The event. With a `digest`: as far as it could be read, and left out if another event has it."""
    digest: Bytes8 | None = None
    """The first 8 bytes of SHA-256 over the payload as it was received. With it, that message never became an event, and the receipt is about that one
    payload: it says nothing about an event with the same `id`."""
    log: Bytes8 | None = None
    """The log of the event, if it could be read."""
    seq: Positive | None = None
    """The number of the event in its log, if it could be read."""
    again: bool = False
    """True: the message was known already, and this repeats its present verdict. A device beeps only if it has not shown that verdict before."""
    quiet: bool = False
    """True: the verdict changed long after the event, or in another shift, or it is about the points of a location batch. Show it, and do not beep."""
    order: Id | None = None
    """The order that the event belongs to. Not there if it is several, or none."""
    parcel: Id | None = None
    """The parcel, if it is one. A `pack` without a name learns here how its parcel is called."""
    state: OrderStateWord | None = None
    """The state of the order right after the event."""
    rev: Uint | None = None
    """The `rev` of the order's status in which the event is contained."""
    reason: Reason | None = None
    """Why it is not `applied`, `noop` or `late`."""
    detail: Sentence | None = None
    """The particulars in English, for developers and for the desk: the field that is wrong, the rule, the holds that stand."""
    next: Next | None = None
    """The one instruction for the worker."""
    left: LeftLines | None = None
    """After a `pick` or a `pack`: what is left of the order. Not there if nothing is."""
    expected: Expected | None = None
    """What the server would have taken instead."""
    warn: Warnings | None = None
    """What was odd. Not there if nothing was."""
    epoch: Uint = 0
    """The epoch of the database that gave this verdict."""

    @property
    def worker_warn(self) -> list[Warn]:
        """The warnings that a worker is shown: those that are not for the developer alone (`DEVELOPER_WARNINGS`)."""
        return [word for word in self.warn or () if word not in DEVELOPER_WARNINGS]


class SeqRange(Struct, frozen=True, kw_only=True):
    """The events of one log from one number to another, both included."""

    log: Bytes8
    """The log: the present one of the device, or an earlier one."""
    first: Positive = field(name="from")
    """The lowest `seq` that is asked for."""
    last: Positive = field(name="to")
    """The highest `seq` that is asked for."""


class ResendRequest(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What the server lacks of a device after its database was restored: the device sends those events again that it still has, as they were. It comes on
    the receipts topic, where a map with the key `resend` is never a receipt.
    """

    resend: SeqRange
    """Which events. What the device does not have any more it passes over."""
    epoch: Uint = 0
    """The epoch of the database that asks."""


class Progress(Struct, frozen=True, kw_only=True):
    """Counts of parcels. `packed`, `shipped` and `delivered` count parcels that are there or further."""

    parcels: Uint
    """All parcels of the order."""
    packed: Uint
    """Those that are packed."""
    shipped: Uint
    """Those that have left the warehouse."""
    delivered: Uint
    """Those that the recipient has."""
    exceptions: Uint
    """Those that are lost, destroyed, damaged, or could not be handed over."""


class Milestone(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A state that was reached."""

    state: StateWord
    """The state."""
    at_ms: Uint | None = None
    """When it was reached first. If it is `inferred`, the latest that it can have been."""
    expected_ms: Uint | None = None
    """When it is expected. A server of this edition does not send it."""
    inferred: bool = False
    """True: no event reported it, and a later one proves it."""


class Last(Struct, frozen=True, kw_only=True):
    """The last event that changed the order."""

    type: EventType
    """Its type."""
    at_ms: Uint
    """When it happened."""


HOLDS_MAX: Final = 16
"""Reasons of holds that a status names."""
Milestones = Annotated[list[Milestone], Meta(max_length=64)]
"""The states that were reached, oldest first."""
Flags = Annotated[list[Flag], Meta(max_length=16)]
"""What stands beside a state."""
Holds = Annotated[list[Word], Meta(max_length=HOLDS_MAX)]
"""Reasons of holds."""


class Eta(Struct, frozen=True, kw_only=True):
    """When an order will be delivered. A server of this edition does not publish it."""

    from_ms: Uint
    """The earliest time."""
    to_ms: Uint
    """The latest time."""
    made_ms: Uint
    """When this was estimated."""
    source: Word
    """Who estimated it."""


class OrderStatus(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The retained status of an order. The highest (`epoch`, `rev`) holds. An empty payload: the order ended some weeks ago, or never was."""

    order: Id
    """The order."""
    state: OrderStateWord
    """Where it is: as far as its least advanced live parcel."""
    flags: Flags
    """What stands beside the state: those of the order and of all its parcels."""
    rev: Uint
    """One more with each visible change."""
    at_ms: Uint
    """Since when it is in this state."""
    updated_ms: Uint
    """When the server made this status."""
    progress: Progress
    """How many parcels are how far."""
    percent: Percent
    """For a progress bar."""
    milestones: Milestones
    """The states that it has reached, oldest first."""
    last: Last
    """The last event that changed it."""
    hash: Bytes8
    """The same for the same facts on every server: compare two machines by it. It changes with everything but `rev`, `updated_ms`, `silent`, `late_risk`."""
    eta: Eta | None = None
    """When it will be delivered. A server of this edition does not send it."""
    holds: Holds | None = None
    """The reasons of the holds that stand, the first ones in alphabetical order."""
    epoch: Uint = 0
    """The epoch of the database."""


BorneCodes = Annotated[list[Code], Meta(max_length=500)]
"""Codes on parcels, in their normal form: 18 digits for an SSCC."""


class ParcelStatus(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The retained status of one parcel. The highest (`epoch`, `rev`) holds."""

    parcel: Id
    """The parcel."""
    order: Id
    """Its order."""
    state: ParcelState
    """Where it is."""
    flags: Flags
    """What stands beside the state."""
    rev: Uint
    """The `rev` of the order with which it changed last."""
    at_ms: Uint
    """Since when it is in this state."""
    milestones: Milestones
    """The states that it has reached, oldest first."""
    hash: Bytes8
    """As in the status of the order."""
    codes: BorneCodes | None = None
    """The codes on it, in their normal form: 18 digits for an SSCC."""
    where: Id | None = None
    """Where it was seen last: a dock, hub, stop, pickup point or country."""
    carrier: Word | None = None
    """Which carrier takes it: its own, or its order's."""
    service: Word | None = None
    """Which service of the carrier."""
    tracking: Code | None = None
    """The number under which the carrier follows it."""
    attempts: Uint = 0
    """Failed deliveries."""
    epoch: Uint = 0
    """The epoch of the database."""


class Position(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Where an order is: with the courier who has it, while it is out for delivery and one of his next stops. Rounded to what a recipient may know. Retained,
    and cleared when it is not out any more, or the courier was not heard for some time."""

    lat_e7: LatE7
    """Where it was."""
    lon_e7: LonE7
    """Where it was."""
    accuracy_m: Metres
    """The radius of the uncertainty."""
    at_ms: Uint
    """When it was there."""
    stale: bool = False
    """True if the courier was not heard since then as often as usual. It is cleared soon, unless he is heard."""


Ids = Annotated[list[Id], Meta(max_length=500)]
"""Ids of orders or parcels."""
Handling = Annotated[list[Word], Meta(max_length=32)]
"""What to mind at a stop."""


class Stop(Struct, frozen=True, kw_only=True):
    """One stop of a job, with the codes of its parcels so that a phone can check scans without signal."""

    stop: Id
    """The stop."""
    orders: Ids
    """The orders to deliver here."""
    parcels: Ids
    """Their parcels that are in this job. Empty until they are packed."""
    codes: BorneCodes
    """The codes on these parcels, in their normal form."""
    handling: Handling
    """What to mind: `collect_payment` if the recipient has to pay. Readers take other words, and show them as they are."""


Stops = Annotated[list[Stop], Meta(max_length=500)]
"""Where a courier goes."""


class Assignment(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A courier's open job, retained. An empty payload on its topic: the job is over or belongs to another courier; take it off the phone."""

    job: Id
    """The job."""
    rev: Uint
    """One more with each change. A `claim` names the one that the courier has seen."""
    state: JobState
    """`assigned`: not answered yet; `accepted`: claimed."""
    stops: Stops
    """Where to go, in the order of assignment."""
    lease_until_ms: Uint | None = None
    """Until when the courier has to answer. A server of this edition does not send it."""
    epoch: Uint = 0
    """The epoch of the database."""


class Alert(Struct, frozen=True, kw_only=True):
    """Something that a person has to look at. Retained, and cleared (an empty payload) when its cause has ended."""

    code: AlertCode
    """What it is about."""
    subject: Id
    """Whom or what it concerns."""
    severity: Severity
    """How soon to look at it."""
    since_ms: Uint
    """When it was raised."""
    text: Sentences
    """What has happened."""
    fix: Sentences
    """What to do about it."""
    acknowledged_ms: Uint | None = None
    """When a person said that somebody looks at it. Left out: nobody has."""
    silenced_until_ms: Uint | None = None
    """Until when it is not to disturb anybody, such as by a sound. Left out: it may."""


class Credentials(Struct, frozen=True, kw_only=True):
    """What a device logs in with, for a client that redeems the device's claim. Store it, then acknowledge it: after that the claim is worth nothing. If the
    connection ends before, the claim brings another password, and this one is void."""

    site: Id
    """The site: the second level of every topic."""
    device: Id
    """The device: its user name, and its client id."""
    password: Word
    """Its password from now on, instead of any before."""


class Limits(Struct, frozen=True, kw_only=True):
    """What the server takes from one client, and sends to it."""

    packet_bytes_max: Uint
    """The largest MQTT packet. A larger one closes the connection."""
    payload_bytes_max: Uint
    """The largest payload that fits into a packet, whatever its topic: check it before an event goes into the outbox."""
    publish_rate_max: Uint
    """Messages a second, on average. A client that is faster is read more slowly; nothing is lost."""
    window: Uint
    """QoS 1 and 2 messages that the server has in flight to one client."""


class BridgeState(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The server's own state, retained."""

    online: bool
    """False: the server is being stopped. A crash says nothing: the connection is lost."""
    version: Word
    """The version of the program."""
    started_ms: Uint
    """When it started."""
    contract: Word
    """The edition of the contract that it speaks. A later one only adds."""
    epoch: Uint = 0
    """One more each time that the database is restored from a backup: what was said in an earlier epoch may be undone. Left out while it is 0, here and in
    every other message."""
    limits: Limits | None = None
    """What it takes from one client. Until a client has read it, it assumes the defaults."""
