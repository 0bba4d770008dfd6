"""The tables, built from the relations. `events` is append-only and the source of truth; derived tables can be rebuilt from it (`dockbridge db rebuild`).

Times are milliseconds since 1970 UTC. `pos` is an event's position in the log: the order of arrival.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple, get_args, get_type_hints

from sqlalchemy import BigInteger, Boolean, Column, Engine, Index, Integer, LargeBinary, MetaData, String, Table, UniqueConstraint
from sqlalchemy.types import TypeEngine

from bridge.ingest.aboard import CARRIED
from bridge.ingest.articles import ARTICLE_CODES, ARTICLES
from bridge.ingest.audit import AUDIT, AUDIT_START
from bridge.ingest.channel_files import CHANNEL_FILES, DENIALS, EXPORTS
from bridge.ingest.codes import CODE_RULES, CODES, INSIDE, PLACED, WAITING
from bridge.ingest.couriers import CASH, TOLD
from bridge.ingest.cursors import CURSORS
from bridge.ingest.epochs import EPOCHS, SITE
from bridge.ingest.handovers import HANDED, HANDOVERS
from bridge.ingest.imported_files import IMPORTED_FILES
from bridge.ingest.locating import DROPPED_POINTS
from bridge.ingest.log import BATCHES, EVENTS, REFUSED
from bridge.ingest.memory import CLOCKS, LEDGER, SHIFTS
from bridge.ingest.people import PEOPLE, PERSON_TOKENS, RECOVERY_CODES, SECOND_FACTORS
from bridge.ingest.places import PLACES
from bridge.ingest.relation import Origin, Relation
from bridge.ingest.retained import RETAINED
from bridge.ingest.sealing import CONTACT_HASHES, FORGET_REQUESTS, FORGOTTEN, LEGAL_HOLDS, SEALED
from bridge.ingest.sessions import INCOMING_IDS, MESSAGE_LOG, SESSIONS, SUBSCRIPTIONS, WILLS
from bridge.ingest.waiting import PARKED
from bridge.ingest.workers import COURIER_NAMES, WORKERS
from bridge.projections.alert_marks import ALERT_ACKS, ALERT_SILENCES
from bridge.projections.alerts import ALERTS
from bridge.projections.consignments import CONSIGNMENTS
from bridge.projections.jobs import JOBS
from bridge.projections.mispicks import MISPICKS
from bridge.projections.notices import NOTICES, NOTICES_ASIDE
from bridge.projections.orders import ORDERS, PARCELS, STATUS_LOG
from bridge.projections.quarantine import QUARANTINE
from bridge.projections.receipts import RECEIPTS
from bridge.projections.tracking_numbers import TRACKING_NUMBERS
from bridge.projections.visits import POSITIONS, VISITS
from bridge.store.known_logins import KNOWN_LOGINS


class ClaimRow(NamedTuple):
    """A claim that is not redeemed: `token_sha256` is in hex; `handed` is how often a secret was sent for it that was not acknowledged."""

    device: str
    token_sha256: str
    created_ms: int
    expires_ms: int
    handed: int


CLAIMS: Final = Relation(name="claims", row=ClaimRow, key=("device",), origin=Origin.KEPT, note="claims that are not redeemed")

RELATIONS: Final[tuple[Relation, ...]] = (
    *(EVENTS, BATCHES, REFUSED, PLACED, RECEIPTS, ORDERS, PARCELS, STATUS_LOG, PARKED, QUARANTINE, LEDGER, SHIFTS, CLOCKS, JOBS, ALERTS, POSITIONS),
    *(CODES, WAITING, INSIDE, CODE_RULES, CARRIED, MISPICKS, ARTICLES, ARTICLE_CODES, DROPPED_POINTS),
    *(RETAINED, SESSIONS, SUBSCRIPTIONS, MESSAGE_LOG, INCOMING_IDS, WILLS, CURSORS, EPOCHS, SITE, KNOWN_LOGINS, AUDIT, ALERT_ACKS, ALERT_SILENCES),
    *(CLAIMS, IMPORTED_FILES, PEOPLE, PERSON_TOKENS, AUDIT_START),
    *(HANDOVERS, HANDED, CONSIGNMENTS),
    *(SEALED, CONTACT_HASHES, FORGOTTEN, LEGAL_HOLDS, FORGET_REQUESTS),
    *(SECOND_FACTORS, RECOVERY_CODES),
    *(TRACKING_NUMBERS, CHANNEL_FILES, EXPORTS, DENIALS),
    *(WORKERS, COURIER_NAMES, TOLD, CASH),
    *(NOTICES, NOTICES_ASIDE),
    *(PLACES, VISITS),
)
"""Everything that is stored, except the enrolled devices."""

metadata = MetaData(
    naming_convention={"ix": "ix_%(table_name)s_%(column_0_name)s", "uq": "uq_%(table_name)s_%(column_0_name)s", "pk": "pk_%(table_name)s"},
)

_Pos = BigInteger().with_variant(Integer, "sqlite")
"""SQLite's own row number, if it is the only key."""
_TYPES: Final[dict[type, type[TypeEngine[Any]]]] = {int: BigInteger, str: String, bytes: LargeBinary, bool: Boolean}


def table_of(relation: Relation, into: MetaData = metadata) -> Table:
    """The table of a relation: its columns are the fields of its row, in their order."""
    hints = get_type_hints(relation.row)
    is_row_number = len(relation.key) == 1 and (relation.numbered or hints[relation.key[0]] is int)
    columns: list[Any] = [Column(relation.key[0], _Pos, primary_key=True, autoincrement=True)] if relation.numbered else []
    for name in relation.columns:
        kinds = [k for k in (get_args(hints[name]) or (hints[name],)) if k is not type(None)]
        is_key = name in relation.key
        kind = _Pos if is_key and is_row_number else _TYPES[kinds[0]]
        columns.append(Column(name, kind, primary_key=is_key, nullable=type(None) in get_args(hints[name]), autoincrement=False if is_key else "auto"))
    return Table(
        relation.name,
        into,
        *columns,
        *(UniqueConstraint(*names) for names in relation.unique),
        *(Index(None, *names) for names in relation.indexes),
        comment=relation.note,
        sqlite_with_rowid=is_row_number,
    )


TABLES: Final = {relation: table_of(relation) for relation in RELATIONS}

devices = Table(
    "devices",
    metadata,
    Column("device", String, primary_key=True),
    Column("role", String, nullable=False),
    Column("courier", String),
    Column("orders_prefix", String),
    Column("at", String),
    Column("password_hash", String),
    Column("created_ms", BigInteger, nullable=False),
    Column("rotated_ms", BigInteger),
    Column("revoked_ms", BigInteger),
    Column("certificate_sha256", String),
)


def make_missing(engine: Engine, relations: Sequence[Relation]) -> None:
    """Make the tables of relations that no migration has made yet. What of them is derived, `db rebuild` fills from the log."""
    missing = MetaData(naming_convention=metadata.naming_convention)
    for relation in relations:
        if relation not in TABLES:
            table_of(relation, missing)
    if missing.tables:
        missing.create_all(engine)


DERIVED: Final = tuple(r for r in RELATIONS if r.origin is Origin.DERIVED)
"""What `db rebuild` rebuilds from the log."""

events, batches, refused = TABLES[EVENTS], TABLES[BATCHES], TABLES[REFUSED]
placed, receipts, orders, parcels, status_log = TABLES[PLACED], TABLES[RECEIPTS], TABLES[ORDERS], TABLES[PARCELS], TABLES[STATUS_LOG]
mispicks, dropped_points = TABLES[MISPICKS], TABLES[DROPPED_POINTS]
parked, quarantine, ledger, jobs, alerts = TABLES[PARKED], TABLES[QUARANTINE], TABLES[LEDGER], TABLES[JOBS], TABLES[ALERTS]
audit, claims, imported_files = TABLES[AUDIT], TABLES[CLAIMS], TABLES[IMPORTED_FILES]
people, person_tokens = TABLES[PEOPLE], TABLES[PERSON_TOKENS]
second_factors, recovery_codes = TABLES[SECOND_FACTORS], TABLES[RECOVERY_CODES]
codes, tracking_numbers = TABLES[CODES], TABLES[TRACKING_NUMBERS]
channel_files, exports, denials = TABLES[CHANNEL_FILES], TABLES[EXPORTS], TABLES[DENIALS]
handovers, handed, consignments = TABLES[HANDOVERS], TABLES[HANDED], TABLES[CONSIGNMENTS]
audit_start, sealed, contact_hashes = TABLES[AUDIT_START], TABLES[SEALED], TABLES[CONTACT_HASHES]
workers, courier_names = TABLES[WORKERS], TABLES[COURIER_NAMES]
positions, places, visits = TABLES[POSITIONS], TABLES[PLACES], TABLES[VISITS]
courier_shifts, cash, carried = TABLES[TOLD], TABLES[CASH], TABLES[CARRIED]
notices, notices_aside, cursors = TABLES[NOTICES], TABLES[NOTICES_ASIDE], TABLES[CURSORS]
forgotten, legal_holds, forget_requests = TABLES[FORGOTTEN], TABLES[LEGAL_HOLDS], TABLES[FORGET_REQUESTS]
alert_acks, alert_silences = TABLES[ALERT_ACKS], TABLES[ALERT_SILENCES]
articles, article_codes = TABLES[ARTICLES], TABLES[ARTICLE_CODES]
retained, sessions, message_log, epochs, site = TABLES[RETAINED], TABLES[SESSIONS], TABLES[MESSAGE_LOG], TABLES[EPOCHS], TABLES[SITE]
SESSION_STATE: Final = tuple(TABLES[r] for r in (SESSIONS, SUBSCRIPTIONS, MESSAGE_LOG, INCOMING_IDS, WILLS))
"""What belongs to the sessions of clients."""
