"""the first tables"""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_Pos = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "alerts",
        sa.Column("code", sa.String(), autoincrement=False, nullable=False),
        sa.Column("subject", sa.String(), autoincrement=False, nullable=False),
        sa.Column("severity", sa.String(), nullable=False),
        sa.Column("since_ms", sa.BigInteger(), nullable=False),
        sa.Column("text", sa.String(), nullable=False),
        sa.Column("fix", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("code", "subject", name=op.f("pk_alerts")),
        comment="alerts that stand",
        sqlite_with_rowid=False,
    )
    op.create_table(
        "batches",
        sa.Column("no", _Pos, autoincrement=False, nullable=False),
        sa.Column("now_ms", sa.BigInteger(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("no", name=op.f("pk_batches")),
        comment="append-only: transactions and their times",
        sqlite_with_rowid=True,
    )
    op.create_table(
        "clocks",
        sa.Column("device", sa.String(), autoincrement=False, nullable=False),
        sa.Column("data", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("device", name=op.f("pk_clocks")),
        comment="what is known of each device's clock",
        sqlite_with_rowid=False,
    )
    op.create_table(
        "cursors",
        sa.Column("name", sa.String(), autoincrement=False, nullable=False),
        sa.Column("event_pos", sa.BigInteger(), nullable=False),
        sa.Column("status_no", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_cursors")),
        comment="how far each follower has read",
        sqlite_with_rowid=False,
    )
    op.create_table(
        "devices",
        sa.Column("device", sa.String(), nullable=False),
        sa.Column("role", sa.String(), nullable=False),
        sa.Column("courier", sa.String(), nullable=True),
        sa.Column("orders_prefix", sa.String(), nullable=True),
        sa.Column("at", sa.String(), nullable=True),
        sa.Column("password_hash", sa.String(), nullable=True),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.Column("rotated_ms", sa.BigInteger(), nullable=True),
        sa.Column("revoked_ms", sa.BigInteger(), nullable=True),
        sa.Column("certificate_sha256", sa.String(), nullable=True),
        sa.PrimaryKeyConstraint("device", name=op.f("pk_devices")),
    )
    op.create_table(
        "events",
        sa.Column("pos", _Pos, autoincrement=False, nullable=False),
        sa.Column("batch", sa.BigInteger(), nullable=False),
        sa.Column("id", sa.LargeBinary(), nullable=False),
        sa.Column("device", sa.String(), nullable=False),
        sa.Column("role", sa.String(), nullable=False),
        sa.Column("courier", sa.String(), nullable=True),
        sa.Column("type", sa.String(), nullable=False),
        sa.Column("log", sa.LargeBinary(), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("received_ms", sa.BigInteger(), nullable=False),
        sa.Column("event_ms", sa.BigInteger(), nullable=False),
        sa.Column("source", sa.String(), nullable=False),
        sa.Column("error_ms", sa.BigInteger(), nullable=False),
        sa.Column("warn", sa.String(), nullable=True),
        sa.Column("stream", sa.String(), nullable=True),
        sa.Column("order_id", sa.String(), nullable=True),
        sa.Column("code", sa.String(), nullable=True),
        sa.Column("at", sa.String(), nullable=True),
        sa.Column("fault", sa.String(), nullable=True),
        sa.Column("detail", sa.String(), nullable=True),
        sa.Column("misload", sa.Boolean(), nullable=False),
        sa.Column("payload", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("pos", name=op.f("pk_events")),
        sa.UniqueConstraint("id", "device", name=op.f("uq_events_id")),
        comment="append-only: every event, in the order of arrival",
        sqlite_with_rowid=True,
    )
    with op.batch_alter_table("events", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_events_order_id"), ["order_id", "pos"], unique=False)

    op.create_table(
        "incoming_ids",
        sa.Column("sid", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("packet_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.PrimaryKeyConstraint("sid", "packet_id", name=op.f("pk_incoming_ids")),
        comment="QoS 2 packet ids that a client has not released yet (MQTT 3.1.1 §4.3.3)",
        sqlite_with_rowid=False,
    )
    op.create_table(
        "jobs",
        sa.Column("job", sa.String(), autoincrement=False, nullable=False),
        sa.Column("rev", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("courier", sa.String(), nullable=False),
        sa.Column("orders", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("job", name=op.f("pk_jobs")),
        comment="derived: couriers' jobs",
        sqlite_with_rowid=False,
    )
    with op.batch_alter_table("jobs", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_jobs_state"), ["state"], unique=False)

    op.create_table(
        "labels",
        sa.Column("code", sa.String(), autoincrement=False, nullable=False),
        sa.Column("order_id", sa.String(), nullable=False),
        sa.Column("pos", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("code", name=op.f("pk_labels")),
        comment="derived: which order's parcel bears a code",
        sqlite_with_rowid=False,
    )
    op.create_table(
        "ledger",
        sa.Column("device", sa.String(), autoincrement=False, nullable=False),
        sa.Column("log", sa.LargeBinary(), autoincrement=False, nullable=False),
        sa.Column("high", sa.BigInteger(), nullable=False),
        sa.Column("owed", sa.BigInteger(), nullable=False),
        sa.Column("forgotten", sa.BigInteger(), nullable=False),
        sa.Column("ranges", sa.LargeBinary(), nullable=False),
        sa.Column("updated_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("device", "log", name=op.f("pk_ledger")),
        comment="derived: what came of each device's log",
        sqlite_with_rowid=False,
    )
    op.create_table(
        "message_log",
        sa.Column("pos", _Pos, autoincrement=False, nullable=False),
        sa.Column("topic", sa.String(), nullable=False),
        sa.Column("payload", sa.LargeBinary(), nullable=False),
        sa.Column("qos", sa.BigInteger(), nullable=False),
        sa.Column("sid", sa.BigInteger(), nullable=True),
        sa.Column("at_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("pos", name=op.f("pk_message_log")),
        comment="QoS 1 and 2 messages that a persistent session is owed, once each; sid: a retained message for this new subscriber alone",
        sqlite_with_rowid=True,
    )
    op.create_table(
        "orders",
        sa.Column("order_id", sa.String(), autoincrement=False, nullable=False),
        sa.Column("rev", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("hash", sa.LargeBinary(), nullable=False),
        sa.Column("timed", sa.String(), nullable=False),
        sa.Column("at_ms", sa.BigInteger(), nullable=False),
        sa.Column("updated_ms", sa.BigInteger(), nullable=False),
        sa.Column("due_ms", sa.BigInteger(), nullable=True),
        sa.Column("status", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("order_id", name=op.f("pk_orders")),
        comment="derived: orders as they are shown",
        sqlite_with_rowid=False,
    )
    with op.batch_alter_table("orders", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_orders_due_ms"), ["due_ms"], unique=False)

    op.create_table(
        "parcels",
        sa.Column("order_id", sa.String(), autoincrement=False, nullable=False),
        sa.Column("parcel", sa.String(), autoincrement=False, nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("hash", sa.LargeBinary(), nullable=False),
        sa.Column("code", sa.String(), nullable=True),
        sa.Column("status", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("order_id", "parcel", name=op.f("pk_parcels")),
        comment="derived: parcels as they are shown",
        sqlite_with_rowid=False,
    )
    op.create_table(
        "parked",
        sa.Column("pos", _Pos, autoincrement=False, nullable=False),
        sa.Column("ref_kind", sa.String(), nullable=False),
        sa.Column("ref", sa.String(), nullable=False),
        sa.Column("order_id", sa.String(), nullable=True),
        sa.Column("since_ms", sa.BigInteger(), nullable=False),
        sa.Column("deadline_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("pos", name=op.f("pk_parked")),
        comment="derived: events that wait",
        sqlite_with_rowid=True,
    )
    with op.batch_alter_table("parked", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_parked_ref"), ["ref", "ref_kind"], unique=False)

    op.create_table(
        "placed",
        sa.Column("pos", _Pos, autoincrement=False, nullable=False),
        sa.Column("order_id", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("pos", name=op.f("pk_placed")),
        comment="derived: orders of events that were parked before their order was known",
        sqlite_with_rowid=True,
    )
    with op.batch_alter_table("placed", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_placed_order_id"), ["order_id"], unique=False)

    op.create_table(
        "positions",
        sa.Column("device", sa.String(), autoincrement=False, nullable=False),
        sa.Column("event_ms", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("lat_e7", sa.BigInteger(), nullable=False),
        sa.Column("lon_e7", sa.BigInteger(), nullable=False),
        sa.Column("accuracy_m", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("device", "event_ms", name=op.f("pk_positions")),
        comment="where couriers' phones were",
        sqlite_with_rowid=False,
    )
    op.create_table(
        "quarantine",
        sa.Column("no", _Pos, autoincrement=True, nullable=False),
        sa.Column("device", sa.String(), nullable=False),
        sa.Column("event_type", sa.String(), nullable=True),
        sa.Column("received_ms", sa.BigInteger(), nullable=False),
        sa.Column("reason", sa.String(), nullable=False),
        sa.Column("detail", sa.String(), nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("pos", sa.BigInteger(), nullable=True),
        sa.Column("payload", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("no", name=op.f("pk_quarantine")),
        comment="messages that can't be applied; derived if they are in the event log",
        sqlite_with_rowid=True,
    )
    with op.batch_alter_table("quarantine", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_quarantine_digest"), ["digest", "device"], unique=False)
        batch_op.create_index(batch_op.f("ix_quarantine_pos"), ["pos"], unique=False)

    op.create_table(
        "receipts",
        sa.Column("pos", _Pos, autoincrement=False, nullable=False),
        sa.Column("device", sa.String(), nullable=False),
        sa.Column("n", sa.BigInteger(), nullable=False),
        sa.Column("outcome", sa.String(), nullable=False),
        sa.Column("reason", sa.String(), nullable=True),
        sa.Column("payload", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("pos", name=op.f("pk_receipts")),
        comment="derived: the receipt that holds for each event",
        sqlite_with_rowid=True,
    )
    op.create_table(
        "refused",
        sa.Column("no", _Pos, autoincrement=True, nullable=False),
        sa.Column("batch", sa.BigInteger(), nullable=False),
        sa.Column("pos", sa.BigInteger(), nullable=False),
        sa.Column("device", sa.String(), nullable=False),
        sa.Column("log", sa.LargeBinary(), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("no", name=op.f("pk_refused")),
        comment="append-only: refused messages, which count in the ledger of their device",
        sqlite_with_rowid=True,
    )
    op.create_table(
        "retained",
        sa.Column("topic", sa.String(), autoincrement=False, nullable=False),
        sa.Column("payload", sa.LargeBinary(), nullable=False),
        sa.Column("qos", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("topic", name=op.f("pk_retained")),
        comment="retained messages that came from outside",
        sqlite_with_rowid=False,
    )
    op.create_table(
        "sessions",
        sa.Column("sid", _Pos, autoincrement=False, nullable=False),
        sa.Column("device", sa.String(), nullable=False),
        sa.Column("client_id", sa.String(), nullable=False),
        sa.Column("next_pos", sa.BigInteger(), nullable=False),
        sa.Column("next_index", sa.BigInteger(), nullable=False),
        sa.Column("slots", sa.LargeBinary(), nullable=False),
        sa.Column("dropped", sa.BigInteger(), nullable=False),
        sa.Column("seen_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("sid", name=op.f("pk_sessions")),
        sa.UniqueConstraint("device", "client_id", name=op.f("uq_sessions_device")),
        comment="persistent sessions: what waits begins at next_pos with delivery index next_index; slots are what is in flight before it",
        sqlite_with_rowid=True,
    )
    op.create_table(
        "status_log",
        sa.Column("no", _Pos, autoincrement=True, nullable=False),
        sa.Column("order_id", sa.String(), nullable=False),
        sa.Column("rev", sa.BigInteger(), nullable=False),
        sa.Column("updated_ms", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("hash", sa.LargeBinary(), nullable=False),
        sa.Column("batch", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("no", name=op.f("pk_status_log")),
        comment="append-only: every visible change",
        sqlite_with_rowid=True,
    )
    op.create_table(
        "subscriptions",
        sa.Column("sid", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("topic_filter", sa.String(), autoincrement=False, nullable=False),
        sa.Column("from_pos", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("to_pos", sa.BigInteger(), nullable=True),
        sa.Column("qos", sa.BigInteger(), nullable=False),
        sa.Column("retained_after", sa.String(), nullable=True),
        sa.PrimaryKeyConstraint("sid", "topic_filter", "from_pos", name=op.f("pk_subscriptions")),
        comment="intervals of the message log in which a session is subscribed to a filter; open while to_pos is null. retained_after: the last retained topic that was handed over; null once all were",
        sqlite_with_rowid=False,
    )
