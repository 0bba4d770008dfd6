"""What is kept about people: where, for what, on which basis, who reads it, and how long. One table: `privacy show` prints it, the documents in
`config/privacy/` are filled from it, and tests hold it against the schema and against what trims."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Final, NamedTuple


class Whose(StrEnum):
    """Whose data it is."""

    CUSTOMERS = "customers"
    WORKERS = "workers"
    COURIERS = "couriers"
    STAFF = "staff"


class Kept(NamedTuple):
    """A kind of personal data.

    `columns` are `table.column`. `setting` is the setting that says how many days it is kept, and `after` from when they count; without one, `after` says when
    it goes. `longest_days` is the most that the proposed basis carries: a longer value warns.
    """

    what: str
    whose: Whose
    columns: tuple[str, ...]
    form: str
    purpose: str
    basis: str
    readers: str
    after: str
    setting: str | None = None
    longest_days: float | None = None


_CONTRACT: Final = "GDPR Art. 6(1)(b): to deliver what was ordered"
_INTEREST: Final = "GDPR Art. 6(1)(f): to run a warehouse in which nothing is lost"
_LAW: Final = "GDPR Art. 6(1)(c): books are kept by law"

CONTACT: Final = Kept(
    "contact data and notes of orders",
    Whose.CUSTOMERS,
    ("sealed.sealed", "sealed.mac", "contact_hashes.phone", "contact_hashes.last4", "contact_hashes.surname"),
    "sealed, each part with its own key; keyed hashes for search",
    "to bring an order to its recipient, and to answer them",
    _CONTRACT,
    "desk, lead, privacy; each look is in the audit log",
    "the end of the order",
    "privacy.contact_keep_days",
    180,
)
MESSAGES: Final = Kept(
    "messages of systems that could not be applied",
    Whose.CUSTOMERS,
    ("quarantine.payload",),
    "sealed",
    "to correct them and apply them again",
    _CONTRACT,
    "lead",
    "their arrival",
    "privacy.quarantine_keep_days",
    30,
)
POSITIONS: Final = Kept(
    "positions of couriers, and when they were at places",
    Whose.COURIERS,
    (
        *("positions.device", "positions.lat_e7", "positions.lon_e7", "positions.accuracy_m", "positions.event_ms"),
        *("visits.device", "visits.place", "visits.arrived_ms", "visits.left_ms"),
    ),
    "a point every orders.position_every_s seconds, on duty and with parcels on board only",
    "to say when a courier comes, and to find a parcel again",
    _INTEREST,
    "the customers of the next stops, rounded; desk, lead: each look at visits is in the audit log",
    "the point",
    "orders.positions_keep_days",
    30,
)
ACTS: Final = Kept(
    "what people did with the site",
    Whose.STAFF,
    ("audit.who", "audit.person", "audit.subject", "audit.details", "audit.reason", "audit.failed", "audit.sealed", "audit.sealed_sha256"),
    "names in the clear; what was typed as a reason sealed; chained by hash",
    "to know who has seen and changed what",
    _INTEREST,
    "lead, privacy",
    "the act",
    "privacy.audit_keep_days",
    3_650,
)
MARKS: Final = Kept(
    "what people say of alerts",
    Whose.STAFF,
    ("alert_acks.who", "alert_acks.reason", "alert_silences.who", "alert_silences.reason"),
    "names in the clear; reasons sealed",
    "to know who looks after a fault",
    _INTEREST,
    "viewer, desk, lead, privacy",
    "the end of the alert or of the silence",
)
PEOPLE: Final = Kept(
    "people who log in",
    Whose.STAFF,
    (
        *("people.name", "people.role", "people.password_hash", "person_tokens.person", "person_tokens.name", "person_tokens.token_sha256"),
        *("second_factors.person", "second_factors.secret", "second_factors.last_step", "recovery_codes.person", "recovery_codes.code_sha256"),
    ),
    "names in the clear; secrets hashed (argon2id, SHA-256), those of second factors sealed",
    "to let in those who may",
    _INTEREST,
    "the owner of the site's folder",
    "they are removed by the owner",
)
COURIERS: Final = Kept(
    "who a device belongs to",
    Whose.COURIERS,
    ("devices.courier", "jobs.courier", "carried.courier", "events.courier"),
    "a pseudonym that the site has chosen",
    "to give jobs to couriers, and to know who has a parcel",
    _CONTRACT,
    "desk, lead",
    "the order's books: they are kept by law",
)
SHIFTS: Final = Kept(
    "shifts and cash of couriers",
    Whose.COURIERS,
    ("courier_shifts.courier", "courier_shifts.at_ms", "courier_shifts.type", "cash.courier", "cash.at_ms", "cash.amount_minor"),
    "under the site's pseudonym of the courier",
    "to know who is at work, and to settle what was collected",
    _CONTRACT,
    "desk, lead; the day of one courier: lead, and each look is in the audit log",
    "the event",
    "people.worker_link_days",
    90,
)
ORDERS: Final = Kept(
    "orders, parcels and what happened to them, without who gets them",
    Whose.CUSTOMERS,
    ("events.order_id", "events.payload", "orders.order_id", "orders.status", "parcels.order_id", "status_log.order_id"),
    "order numbers, goods and amounts in the clear; no name and no address",
    "to prove what was sent and paid",
    _LAW,
    "everyone who may look",
    "ten years, by law: nothing removes them",
)
HANDOVERS: Final = Kept(
    "closed lists of what carriers took",
    Whose.STAFF,
    ("handovers.closed_by", "handovers.content"),
    "the name of who closed a list in the clear; order and tracking numbers",
    "to prove what was handed over",
    _INTEREST,
    "viewer, desk, lead, privacy",
    "the closing",
    "carriers.handovers_keep_days",
    3_650,
)
ADDRESSES: Final = Kept(
    "addresses of the network from which devices log in",
    Whose.WORKERS,
    ("known_logins.device", "known_logins.address"),
    "in the clear",
    "to let a fleet in again while someone guesses passwords",
    _INTEREST,
    "the owner of the site's folder",
    "the oldest go when there are too many",
)
WORKERS: Final = Kept(
    "whose scans are whose",
    Whose.WORKERS,
    ("workers.pseudonym", "workers.badge_hash", "workers.badge", "workers.name"),
    "a pseudonym in the log, another one after people.worker_pseudonym_days; badge and name sealed, with a keyed hash of the badge",
    "to ask whoever packed a parcel what went wrong",
    _INTEREST,
    "lead; each look is in the audit log",
    "the last use of the pseudonym",
    "people.worker_link_days",
    60,
)
COURIER_NAMES: Final = Kept(
    "names of couriers",
    Whose.COURIERS,
    ("courier_names.courier", "courier_names.name"),
    "sealed",
    "to call the courier who has a parcel",
    _INTEREST,
    "lead; each look is in the audit log",
    "`dockbridge forget --courier`",
)
DUTIES: Final = Kept(
    "when a device was on duty",
    Whose.WORKERS,
    ("shifts.device", "shifts.changed_ms"),
    "when the last shift of each device began or ended, without who had it",
    "not to beep for what an earlier shift has scanned",
    _INTEREST,
    "no command shows it",
    "newer changes take their place",
)
TABLE: Final = (CONTACT, MESSAGES, POSITIONS, ACTS, MARKS, PEOPLE, WORKERS, COURIER_NAMES, DUTIES, SHIFTS, COURIERS, ORDERS, HANDOVERS, ADDRESSES)

NOT_PERSONAL: Final[Mapping[str, str]] = {
    "alerts": "what is wrong, with orders and devices; no words of people",
    "alembic_version": "the form of the database",
    "article_codes": "articles",
    "articles": "articles",
    "audit_start": "hashes",
    "batches": "transactions",
    "claims": "devices to be enrolled",
    "channel_files": "names of channels and of their files",
    "clocks": "clocks of devices",
    "code_rules": "settings",
    "codes": "codes of labels",
    "consignments": "carriers, tracking numbers and scans of parcels",
    "cursors": "positions in the log",
    "denials": "parcels that carriers say they lack",
    "dropped_points": "counts of points, without coordinates",
    "epochs": "restores",
    "exports": "positions in the log",
    "forget_requests": "order numbers",
    "forgotten": "order numbers",
    "handed": "scans that are on closed lists",
    "imported_files": "names and hashes of files",
    "incoming_ids": "packet ids",
    "inside": "containers",
    "ledger": "numbers of events",
    "legal_holds": "order numbers",
    "message_log": "what is published: no personal data is",
    "mispicks": "articles and places",
    "notices": "what was told of orders and parcels, without to whom",
    "notices_aside": "notices that could not be sent, and the receiver's answers",
    "parked": "references that are waited for",
    "places": "docks, hubs, lockers, stations and zones",
    "placed": "where scans belong",
    "receipts": "answers to devices",
    "refused": "numbers of events",
    "retained": "what is published outside the contract, by the warehouse's own gear",
    "sessions": "sessions of clients",
    "site": "the site",
    "subscriptions": "topic filters",
    "tracking_numbers": "carriers' numbers of orders, without who gets them",
    "waiting": "references that are waited for",
    "wills": "what is published when a connection ends: no personal data is",
}
"""Tables without personal data, and what is in them instead."""
ALSO_NOT_PERSONAL: Final = frozenset(
    {
        *("courier_shifts.pos", "courier_shifts.id", "courier_shifts.by_desk"),
        *(f"cash.{name}" for name in ("pos", "id", "kind", "currency", "tender", "order_id", "reason")),
        *("alert_acks.code", "alert_acks.subject", "alert_acks.since_ms", "alert_acks.at_ms"),
        *("alert_silences.code", "alert_silences.subject", "alert_silences.until_ms", "alert_silences.at_ms"),
        *(
            "audit.no",
            "audit.at_ms",
            "audit.act",
            "audit.chain",
            "carried.order_id",
            "carried.is_out",
            "workers.since_ms",
            "workers.last_ms",
            "courier_names.at_ms",
            "contact_hashes.pos",
        ),
        *(
            f"devices.{name}"
            for name in ("device", "role", "orders_prefix", "at", "password_hash", "created_ms", "rotated_ms", "revoked_ms", "certificate_sha256")
        ),
        *(f"events.{name}" for name in ("pos", "batch", "id", "device", "role", "type", "log", "seq", "received_ms", "event_ms", "source", "error_ms", "warn")),
        *(f"events.{name}" for name in ("stream", "code", "at", "fault", "detail", "terms", "article", "carrier", "pickups")),
        *(f"handovers.{name}" for name in ("no", "carrier", "closed_ms", "parcels", "wrong", "missing")),
        *("jobs.job", "jobs.rev", "jobs.state", "jobs.orders", "known_logins.seen_ms"),
        *(
            f"orders.{name}"
            for name in ("rev", "state", "hash", "timed", "at_ms", "updated_ms", "due_ms", "flags", "channel", "promise_ms", "carrier", "ship_by_ms")
        ),
        *(f"parcels.{name}" for name in ("parcel", "state", "hash", "codes", "status")),
        *("people.created_ms", "people.disabled_ms", "person_tokens.created_ms", "person_tokens.expires_ms", "second_factors.created_ms"),
        *(
            f"quarantine.{name}"
            for name in ("no", "device", "event_type", "received_ms", "reason", "detail", "digest", "pos", "is_sealed", "expires_ms", "order_id")
        ),
        *(f"status_log.{name}" for name in ("no", "rev", "updated_ms", "state", "hash", "batch")),
        *("sealed.pos", "sealed.order_id", "sealed.received_ms"),
    }
)
"""Columns beside personal data that are none."""


def personal_columns() -> frozenset[str]:
    """Every column that holds personal data."""
    return frozenset(column for kept in TABLE for column in kept.columns)
