"""What a doctor can find, and what a finding says."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum, auto
from typing import Final

from msgspec import Struct


class Weight(StrEnum):
    """How bad a finding is."""

    WRONG = "wrong"
    """It has to be mended."""
    NOTE = "note"
    """It may be meant like this."""


class Trouble(StrEnum):
    """Every kind of trouble that can be found."""

    # configuration
    CONFIG_MISSING = auto()
    CONFIG_WRONG = auto()
    ZONE_DIFFERS = auto()
    # the site's folder
    INIT_INTERRUPTED = auto()
    RESTORE_INTERRUPTED = auto()
    LEFTOVERS = auto()
    FOLDER_READ_ONLY = auto()
    FOLDER_NOT_YOURS = auto()
    OWNER_DIFFERS = auto()
    READABLE_BY_OTHERS = auto()
    DISK_FULL = auto()
    NETWORK_DISK = auto()
    # certificates
    CERTIFICATE_UNUSABLE = auto()
    CERTIFICATE_EXPIRED = auto()
    CERTIFICATE_ENDS_SOON = auto()
    CERTIFICATE_NOT_YET_VALID = auto()
    CERTIFICATE_FOREIGN = auto()
    CERTIFICATE_NAMES = auto()
    CERTIFICATE_NOT_IN_USE = auto()
    AUTHORITY_UNUSABLE = auto()
    AUTHORITY_ENDS_SOON = auto()
    # the database
    DATABASE_MISSING = auto()
    DATABASE_EMPTY = auto()
    DATABASE_UNREADABLE = auto()
    DATABASE_FOREIGN = auto()
    DATABASE_NEWER = auto()
    DATABASE_OLDER = auto()
    DATABASE_DAMAGED = auto()
    LOG_PINNED = auto()
    STATES_DIFFER = auto()
    RETAINED_WITHOUT_ORDER = auto()
    AUDIT_BROKEN = auto()
    REVOCATION_LOST = auto()
    KEY_MISSING = auto()
    KEY_WITHOUT_SHEET = auto()
    # clocks
    CLOCK_BEHIND = auto()
    DEVICE_CLOCK = auto()
    # the server and its addresses
    SERVER_STOPPED = auto()
    SERVER_KILLED = auto()
    SERVER_SILENT = auto()
    SERVER_OTHER_VERSION = auto()
    STORE_FAILING = auto()
    PORT_TAKEN = auto()
    ADDRESS_UNUSABLE = auto()
    UNREACHABLE = auto()
    ONLY_THIS_MACHINE = auto()
    FIREWALL = auto()
    # backups
    BACKUP_NONE = auto()
    BACKUP_OLD = auto()
    BACKUP_OFF = auto()
    BACKUP_FAILS = auto()
    # devices
    DEVICE_OWES = auto()
    OWED_SINCE_RESTORE = auto()
    TWO_PROGRAMS = auto()
    LOGINS_FAIL = auto()
    MESSAGES_DROPPED = auto()
    PACKET_TOO_LARGE = auto()
    NO_POSITION = auto()
    SHIFT_FORGOTTEN = auto()
    CASH_NOT_COUNTED = auto()
    # what waits for a person
    QUARANTINE = auto()
    EVENTS_PARKED = auto()
    ORDERS_STUCK = auto()
    CHANNEL_STALE = auto()
    NOTICES_FAIL = auto()
    CARRIER_CONTRADICTS = auto()


NAMED_MAX: Final = 5
"""Files, orders or faults that a finding names."""


def named(things: Sequence[str]) -> str:
    """Things as a finding names them: the first ones, and how many more there are."""
    return ", ".join(things[:NAMED_MAX]) + (f" and {len(things) - NAMED_MAX} more" if len(things) > NAMED_MAX else "")


class Finding(Struct, frozen=True, kw_only=True):
    """One trouble. `what` was found, `fix` says who does what; `command` mends it, and is None if no command can."""

    code: Trouble
    what: str
    fix: str
    command: str | None = None
    weight: Weight = Weight.WRONG
