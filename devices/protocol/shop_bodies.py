"""The bodies of what shops, other systems and the desk send: about orders, money and couriers' jobs."""

from __future__ import annotations

from devices.protocol.body_parts import Body, Lines, StopIds, Words
from devices.protocol.choices import Payment
from devices.protocol.fields import Country, Currency, Id, Uint, Word
from devices.protocol.private import Contact


class Created(Body, frozen=True):
    """An order. `amount_minor` in `currency` is what has to be paid for it; without it, every payment is enough."""

    channel: Word
    """Where it was sold: a name of the shop's choice."""
    lines: Lines
    """What was ordered."""
    allow_partial: bool
    """True: its parcels may leave one by one. False: loading it before all of it is packed warns `incomplete`."""
    payment: Payment
    """When it is to be paid."""
    dest_country: Country | None = None
    """Where it goes. Without it, only the `direction` of `customs_entered` tells whether a cleared parcel has arrived."""
    promise_ms: Uint | None = None
    """By when it was promised, in ms since 1970 UTC. Before it passes, the order is flagged `late_risk`."""
    mode: Word | None = None
    """How it is sent, for people."""
    stops: StopIds | None = None
    """Its stops, for people."""
    amount_minor: Uint | None = None
    """What has to be paid, in minor units (cents)."""
    currency: Currency | None = None
    """The currency of the amount."""
    carrier: Word | None = None
    """Which carrier takes it, such as `DHL`: a name of the shop's choice. A parcel that has none of its own has this one."""
    service: Word | None = None
    """Which service of the carrier, such as `express`."""
    tracking: Id | None = None
    """The number under which the carrier follows it."""
    ship_by_ms: Uint | None = None
    """By when it has to leave the warehouse, in ms since 1970 UTC."""
    contact: Contact | None = None
    """Who gets it, and where. The server seals it, and shows it only to those who need it."""


class Paid(Body, frozen=True):
    """A payment."""

    amount_minor: Uint
    """What came in, in minor units (cents)."""
    currency: Currency
    """Its currency. Another one than the order's settles nothing."""


class Refunded(Body, frozen=True):
    """A repayment."""

    amount_minor: Uint
    """What was paid back, in minor units (cents)."""
    currency: Currency
    """Its currency."""
    reason: Word
    """Why."""


class Amended(Body, frozen=True):
    """A changed order. If the event names a parcel, `carrier`, `service` and `tracking` are that parcel's alone; the rest is the order's."""

    changed: Words
    """What was changed, such as `lines` or `address`: names of the shop's choice, and never what was changed to."""
    lines: Lines | None = None
    """All lines as they are now, if they were changed."""
    promise_ms: Uint | None = None
    """By when it is promised now, if that was changed, in ms since 1970 UTC."""
    amount_minor: Uint | None = None
    """What it costs now, all of it, if that was changed, in minor units of `currency`."""
    currency: Currency | None = None
    """The currency of `amount_minor`."""
    carrier: Word | None = None
    """Which carrier takes it now, if that was changed; the service and the number of another carrier end with it. An order is not flagged for `carrier`,
    `service`, `tracking` or `ship_by` in `changed`."""
    service: Word | None = None
    """Which service of the carrier, if that was changed."""
    tracking: Id | None = None
    """The number under which the carrier follows it, if that is new or was changed."""
    ship_by_ms: Uint | None = None
    """By when it has to leave the warehouse now, if that was changed, in ms since 1970 UTC."""
    contact: Contact | None = None
    """Who gets it now, and where, if that was changed: all of it. An order is not flagged for `contact` in `changed`."""


class Released(Body, frozen=True):
    """The end of a hold: of the one for this reason, of `all`, or, with neither, of the only one."""

    reason: Word | None = None
    """The reason of the hold that ends."""
    all: bool = False
    """True: every hold ends."""


class Cancelled(Body, frozen=True):
    """A cancellation. It binds from when the server knows it."""

    reason: Word
    """Why."""
    since_ms: Uint | None = None
    """When the shop cancelled, in ms since 1970 UTC: shown instead, if the server learns of it later."""


class Assigned(Body, frozen=True):
    """A courier, and the job in which they get the order."""

    courier: Id
    """The courier, as their phone was enrolled."""
    job: Id | None = None
    """The job. An open one gets this order too; without it, the order is a job of its own, whose id the server makes."""


class Unassigned(Body, frozen=True):
    """A job that is taken back."""

    job: Id
    """The job."""
    reason: Word
    """Why."""


class CashCounted(Body, frozen=True):
    """The cash of a shift that a courier handed in, as the desk has counted it; from the courier's phone, how much it was by the courier's own count."""

    courier: Id
    """The courier. From a phone it is the phone's own."""
    amount_minor: Uint
    """How much it was, in minor units (cents)."""
    currency: Currency
    """Its currency."""
    reason: Word | None = None
    """Why it is not what was collected, if the desk knows."""
