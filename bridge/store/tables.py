"""The tables. `events` is append-only and the truth; everything marked derived can be rebuilt from it (`dockbridge db rebuild`).

Times are milliseconds since 1970 UTC. `pos` is an event's place in the log: the order of arrival.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, Column, Index, Integer, LargeBinary, MetaData, String, Table, UniqueConstraint

metadata = MetaData(
    naming_convention={"ix": "ix_%(table_name)s_%(column_0_name)s", "uq": "uq_%(table_name)s_%(column_0_name)s", "pk": "pk_%(table_name)s"},
)

_Pos = BigInteger().with_variant(Integer, "sqlite")

events = Table(
    "events",
    metadata,
    Column("pos", _Pos, primary_key=True, autoincrement=False),
    Column("id", LargeBinary, nullable=False),
    Column("device", String, nullable=False),
    Column("role", String, nullable=False),
    Column("type", String, nullable=False),
    Column("log", LargeBinary, nullable=False),
    Column("seq", BigInteger, nullable=False),
    Column("received_ms", BigInteger, nullable=False),
    Column("event_ms", BigInteger, nullable=False),
    Column("source", String, nullable=False),
    Column("error_ms", BigInteger, nullable=False),
    Column("order_id", String),
    Column("code", String),
    Column("at", String),
    Column("fault", String),
    Column("misload", Boolean, nullable=False),
    Column("payload", LargeBinary, nullable=False),
    # id first: ids carry their time (UUIDv7), so that the index grows at its end.
    UniqueConstraint("id", "device"),
    Index(None, "order_id", "pos"),
)

placed = Table(
    "placed",
    metadata,
    Column("pos", _Pos, primary_key=True, autoincrement=False),
    Column("order_id", String, nullable=False, index=True),
    comment="derived: orders of events that were parked before their order was known",
)

receipts = Table(
    "receipts",
    metadata,
    Column("pos", _Pos, primary_key=True, autoincrement=False),
    Column("device", String, nullable=False),
    Column("n", Integer, nullable=False),
    Column("outcome", String, nullable=False),
    Column("reason", String),
    Column("payload", LargeBinary, nullable=False),
    comment="derived: the receipt that holds for each event",
)

orders = Table(
    "orders",
    metadata,
    Column("order_id", String, primary_key=True),
    Column("rev", BigInteger, nullable=False),
    Column("state", String, nullable=False),
    Column("hash", LargeBinary, nullable=False),
    Column("timed", String, nullable=False),
    Column("at_ms", BigInteger, nullable=False),
    Column("updated_ms", BigInteger, nullable=False),
    Column("due_ms", BigInteger, index=True),
    Column("status", LargeBinary, nullable=False),
    comment="derived",
    sqlite_with_rowid=False,
)

parcels = Table(
    "parcels",
    metadata,
    Column("order_id", String, primary_key=True),
    Column("parcel", String, primary_key=True),
    Column("state", String, nullable=False),
    Column("hash", LargeBinary, nullable=False),
    Column("code", String),
    Column("status", LargeBinary, nullable=False),
    comment="derived",
    sqlite_with_rowid=False,
)

status_log = Table(
    "status_log",
    metadata,
    Column("no", _Pos, primary_key=True, autoincrement=True),
    Column("order_id", String, nullable=False),
    Column("rev", BigInteger, nullable=False),
    Column("updated_ms", BigInteger, nullable=False),
    Column("state", String, nullable=False),
    Column("hash", LargeBinary, nullable=False),
    comment="append-only: every visible change",
)

labels = Table(
    "labels",
    metadata,
    Column("code", String, primary_key=True),
    Column("order_id", String, nullable=False),
    Column("pos", BigInteger, nullable=False),
    comment="derived: which order's parcel bears a code",
    sqlite_with_rowid=False,
)

parked = Table(
    "parked",
    metadata,
    Column("pos", _Pos, primary_key=True, autoincrement=False),
    Column("ref", String, nullable=False, index=True),
    Column("order_id", String),
    Column("since_ms", BigInteger, nullable=False),
    Column("deadline_ms", BigInteger, nullable=False),
    comment="derived: events that wait, and for what",
)

quarantine = Table(
    "quarantine",
    metadata,
    Column("no", _Pos, primary_key=True, autoincrement=True),
    Column("device", String, nullable=False),
    Column("event_type", String),
    Column("received_ms", BigInteger, nullable=False),
    Column("reason", String, nullable=False),
    Column("detail", String, nullable=False),
    Column("digest", LargeBinary, nullable=False),
    Column("pos", BigInteger),
    Column("payload", LargeBinary, nullable=False),
    Index(None, "digest", "device"),
)

ledger = Table(
    "ledger",
    metadata,
    Column("device", String, primary_key=True),
    Column("log", LargeBinary, primary_key=True),
    Column("high", BigInteger, nullable=False),
    Column("owed", BigInteger, nullable=False),
    Column("forgotten", BigInteger, nullable=False),
    Column("ranges", LargeBinary, nullable=False),
    Column("updated_ms", BigInteger, nullable=False),
    comment="derived: what came of each device's log",
    sqlite_with_rowid=False,
)

clocks = Table(
    "clocks",
    metadata,
    Column("device", String, primary_key=True),
    Column("data", LargeBinary, nullable=False),
    sqlite_with_rowid=False,
)

jobs = Table(
    "jobs",
    metadata,
    Column("job", String, primary_key=True),
    Column("rev", BigInteger, nullable=False),
    Column("state", String, nullable=False, index=True),
    Column("courier", String, nullable=False),
    Column("orders", LargeBinary, nullable=False),
    sqlite_with_rowid=False,
)

alerts = Table(
    "alerts",
    metadata,
    Column("code", String, primary_key=True),
    Column("subject", String, primary_key=True),
    Column("severity", String, nullable=False),
    Column("since_ms", BigInteger, nullable=False),
    Column("text", String, nullable=False),
    Column("fix", String, nullable=False),
)

positions = Table(
    "positions",
    metadata,
    Column("device", String, primary_key=True),
    Column("event_ms", BigInteger, primary_key=True),
    Column("lat_e7", BigInteger, nullable=False),
    Column("lon_e7", BigInteger, nullable=False),
    Column("accuracy_m", Integer, nullable=False),
    sqlite_with_rowid=False,
)

retained = Table(
    "retained",
    metadata,
    Column("topic", String, primary_key=True),
    Column("payload", LargeBinary, nullable=False),
    Column("qos", Integer, nullable=False, server_default="1"),
    comment="retained messages of devices; those of the bridge are a projection of the tables above",
)

sessions = Table(
    "sessions",
    metadata,
    Column("sid", _Pos, primary_key=True, autoincrement=False),
    Column("device", String, nullable=False),
    Column("client_id", String, nullable=False),
    Column("next_pos", BigInteger, nullable=False),
    Column("next_index", BigInteger, nullable=False),
    Column("slots", LargeBinary, nullable=False),
    Column("dropped", BigInteger, nullable=False),
    Column("seen_ms", BigInteger, nullable=False),
    UniqueConstraint("device", "client_id"),
    comment="persistent sessions (MQTT 3.1.1 §4.1): what waits begins at next_pos with delivery index next_index; slots are what is in flight before it",
)

subscriptions = Table(
    "subscriptions",
    metadata,
    Column("sid", _Pos, primary_key=True),
    Column("topic_filter", String, primary_key=True),
    Column("from_pos", BigInteger, primary_key=True),
    Column("to_pos", BigInteger),
    Column("qos", Integer, nullable=False),
    Column("retained_after", String),
    comment="intervals of the message log in which a session is subscribed to a filter; open where to_pos is null. "
    "retained_after: the last retained topic that was handed to it; null where all were",
    sqlite_with_rowid=False,
)

message_log = Table(
    "message_log",
    metadata,
    Column("pos", _Pos, primary_key=True, autoincrement=False),
    Column("topic", String, nullable=False),
    Column("payload", LargeBinary, nullable=False),
    Column("qos", Integer, nullable=False),
    Column("sid", BigInteger),
    Column("at_ms", BigInteger, nullable=False),
    comment="QoS 1 and 2 messages that a persistent session is owed, once each; sid: a retained message for this new subscriber alone",
)

incoming_ids = Table(
    "incoming_ids",
    metadata,
    Column("sid", _Pos, primary_key=True),
    Column("packet_id", Integer, primary_key=True),
    comment="QoS 2 packet ids that a client has not released yet (MQTT 3.1.1 §4.3.3)",
    sqlite_with_rowid=False,
)

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

DERIVED = (placed, receipts, orders, parcels, labels, parked)
"""What `db rebuild` makes anew from the log."""
