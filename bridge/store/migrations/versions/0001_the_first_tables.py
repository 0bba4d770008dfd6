"""the first tables"""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "alerts",
        sa.Column("code", sa.String(), nullable=False),
        sa.Column("subject", sa.String(), nullable=False),
        sa.Column("severity", sa.String(), nullable=False),
        sa.Column("since_ms", sa.BigInteger(), nullable=False),
        sa.Column("text", sa.String(), nullable=False),
        sa.Column("fix", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("code", "subject", name=op.f("pk_alerts")),
    )
    op.create_table(
        "clocks",
        sa.Column("device", sa.String(), nullable=False),
        sa.Column("data", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("device", name=op.f("pk_clocks")),
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
        sa.PrimaryKeyConstraint("device", name=op.f("pk_devices")),
    )
    op.create_table(
        "events",
        sa.Column("pos", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=False, nullable=False),
        sa.Column("id", sa.LargeBinary(), nullable=False),
        sa.Column("device", sa.String(), nullable=False),
        sa.Column("role", sa.String(), nullable=False),
        sa.Column("type", sa.String(), nullable=False),
        sa.Column("log", sa.LargeBinary(), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("received_ms", sa.BigInteger(), nullable=False),
        sa.Column("event_ms", sa.BigInteger(), nullable=False),
        sa.Column("source", sa.String(), nullable=False),
        sa.Column("error_ms", sa.BigInteger(), nullable=False),
        sa.Column("order_id", sa.String(), nullable=True),
        sa.Column("code", sa.String(), nullable=True),
        sa.Column("at", sa.String(), nullable=True),
        sa.Column("fault", sa.String(), nullable=True),
        sa.Column("misload", sa.Boolean(), nullable=False),
        sa.Column("payload", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("pos", name=op.f("pk_events")),
        sa.UniqueConstraint("id", "device", name=op.f("uq_events_id")),
    )
    with op.batch_alter_table("events", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_events_order_id"), ["order_id", "pos"], unique=False)

    op.create_table(
        "jobs",
        sa.Column("job", sa.String(), nullable=False),
        sa.Column("rev", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("courier", sa.String(), nullable=False),
        sa.Column("orders", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("job", name=op.f("pk_jobs")),
        sqlite_with_rowid=False,
    )
    with op.batch_alter_table("jobs", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_jobs_state"), ["state"], unique=False)

    op.create_table(
        "labels",
        sa.Column("code", sa.String(), nullable=False),
        sa.Column("order_id", sa.String(), nullable=False),
        sa.Column("pos", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("code", name=op.f("pk_labels")),
        comment="derived: which order's parcel bears a code",
        sqlite_with_rowid=False,
    )
    op.create_table(
        "ledger",
        sa.Column("device", sa.String(), nullable=False),
        sa.Column("log", sa.LargeBinary(), nullable=False),
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
        "orders",
        sa.Column("order_id", sa.String(), nullable=False),
        sa.Column("rev", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("hash", sa.LargeBinary(), nullable=False),
        sa.Column("timed", sa.String(), nullable=False),
        sa.Column("at_ms", sa.BigInteger(), nullable=False),
        sa.Column("updated_ms", sa.BigInteger(), nullable=False),
        sa.Column("due_ms", sa.BigInteger(), nullable=True),
        sa.Column("status", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("order_id", name=op.f("pk_orders")),
        comment="derived",
        sqlite_with_rowid=False,
    )
    with op.batch_alter_table("orders", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_orders_due_ms"), ["due_ms"], unique=False)

    op.create_table(
        "parcels",
        sa.Column("order_id", sa.String(), nullable=False),
        sa.Column("parcel", sa.String(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("hash", sa.LargeBinary(), nullable=False),
        sa.Column("code", sa.String(), nullable=True),
        sa.Column("status", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("order_id", "parcel", name=op.f("pk_parcels")),
        comment="derived",
        sqlite_with_rowid=False,
    )
    op.create_table(
        "parked",
        sa.Column("pos", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=False, nullable=False),
        sa.Column("ref", sa.String(), nullable=False),
        sa.Column("order_id", sa.String(), nullable=True),
        sa.Column("since_ms", sa.BigInteger(), nullable=False),
        sa.Column("deadline_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("pos", name=op.f("pk_parked")),
        comment="derived: events that wait, and for what",
    )
    with op.batch_alter_table("parked", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_parked_ref"), ["ref"], unique=False)

    op.create_table(
        "placed",
        sa.Column("pos", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=False, nullable=False),
        sa.Column("order_id", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("pos", name=op.f("pk_placed")),
        comment="derived: orders of events that were parked before their order was known",
    )
    with op.batch_alter_table("placed", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_placed_order_id"), ["order_id"], unique=False)

    op.create_table(
        "positions",
        sa.Column("device", sa.String(), nullable=False),
        sa.Column("event_ms", sa.BigInteger(), nullable=False),
        sa.Column("lat_e7", sa.BigInteger(), nullable=False),
        sa.Column("lon_e7", sa.BigInteger(), nullable=False),
        sa.Column("accuracy_m", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("device", "event_ms", name=op.f("pk_positions")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "quarantine",
        sa.Column("no", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("device", sa.String(), nullable=False),
        sa.Column("event_type", sa.String(), nullable=True),
        sa.Column("received_ms", sa.BigInteger(), nullable=False),
        sa.Column("reason", sa.String(), nullable=False),
        sa.Column("detail", sa.String(), nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("pos", sa.BigInteger(), nullable=True),
        sa.Column("payload", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("no", name=op.f("pk_quarantine")),
    )
    with op.batch_alter_table("quarantine", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_quarantine_digest"), ["digest", "device"], unique=False)

    op.create_table(
        "receipts",
        sa.Column("pos", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=False, nullable=False),
        sa.Column("device", sa.String(), nullable=False),
        sa.Column("n", sa.Integer(), nullable=False),
        sa.Column("outcome", sa.String(), nullable=False),
        sa.Column("reason", sa.String(), nullable=True),
        sa.Column("payload", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("pos", name=op.f("pk_receipts")),
        comment="derived: the receipt that holds for each event",
    )
    op.create_table(
        "retained",
        sa.Column("topic", sa.String(), nullable=False),
        sa.Column("payload", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("topic", name=op.f("pk_retained")),
        comment="retained messages of devices; those of the bridge are a projection of the tables above",
    )
    op.create_table(
        "status_log",
        sa.Column("no", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("order_id", sa.String(), nullable=False),
        sa.Column("rev", sa.BigInteger(), nullable=False),
        sa.Column("updated_ms", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("hash", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("no", name=op.f("pk_status_log")),
        comment="append-only: every visible change",
    )


def downgrade() -> None:
    op.drop_table("status_log")
    op.drop_table("retained")
    op.drop_table("receipts")
    with op.batch_alter_table("quarantine", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_quarantine_digest"))

    op.drop_table("quarantine")
    op.drop_table("positions")
    with op.batch_alter_table("placed", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_placed_order_id"))

    op.drop_table("placed")
    with op.batch_alter_table("parked", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_parked_ref"))

    op.drop_table("parked")
    op.drop_table("parcels")
    with op.batch_alter_table("orders", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_orders_due_ms"))

    op.drop_table("orders")
    op.drop_table("ledger")
    op.drop_table("labels")
    with op.batch_alter_table("jobs", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_jobs_state"))

    op.drop_table("jobs")
    with op.batch_alter_table("events", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_events_order_id"))

    op.drop_table("events")
    op.drop_table("devices")
    op.drop_table("clocks")
    op.drop_table("alerts")
