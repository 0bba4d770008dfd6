"""Couriers: shifts and cash as they were told (what the log has of them is derived at the next start), places, and when phones were there.

What customers were told, and how far it was sent out: of what happened before, nothing is known to have been told, and nothing older than a day is told.
"""

import sqlalchemy as sa
from alembic import op

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "courier_shifts",
        sa.Column("pos", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=False, nullable=False),
        sa.Column("courier", sa.String(), nullable=False),
        sa.Column("at_ms", sa.BigInteger(), nullable=False),
        sa.Column("id", sa.LargeBinary(), nullable=False),
        sa.Column("type", sa.String(), nullable=False),
        sa.Column("by_desk", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("pos", name=op.f("pk_courier_shifts")),
        comment="derived: when couriers' shifts and breaks began and ended, as it was told",
    )
    op.create_table(
        "cash",
        sa.Column("pos", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=False, nullable=False),
        sa.Column("courier", sa.String(), nullable=False),
        sa.Column("at_ms", sa.BigInteger(), nullable=False),
        sa.Column("id", sa.LargeBinary(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("amount_minor", sa.BigInteger(), nullable=False),
        *(sa.Column(name, sa.String(), nullable=False) for name in ("currency", "tender")),
        *(sa.Column(name, sa.String(), nullable=True) for name in ("order_id", "reason")),
        sa.PrimaryKeyConstraint("pos", name=op.f("pk_cash")),
        comment="derived: money that couriers collected, and that was counted",
    )
    for table in ("courier_shifts", "cash"):
        for column in ("courier", "at_ms"):
            op.create_index(op.f(f"ix_{table}_{column}"), table, [column])
    op.execute("INSERT INTO cursors (name, event_pos, status_no) SELECT 'derive', 0, 0 WHERE EXISTS (SELECT 1 FROM events WHERE courier IS NOT NULL)")
    op.create_table(
        "notices",
        sa.Column("no", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("id", sa.LargeBinary(), nullable=False),
        sa.Column("order_id", sa.String(), nullable=False),
        sa.Column("parcel", sa.String(), nullable=False),
        sa.Column("parcel_now", sa.String(), nullable=False),
        sa.Column("moment", sa.String(), nullable=False),
        sa.Column("nth", sa.BigInteger(), nullable=False),
        sa.Column("occurrence", sa.BigInteger(), nullable=False),
        sa.Column("is_correction", sa.Boolean(), nullable=False),
        sa.Column("stands", sa.Boolean(), nullable=False),
        sa.Column("at_ms", sa.BigInteger(), nullable=False),
        sa.Column("told_ms", sa.BigInteger(), nullable=False),
        sa.Column("sent_ms", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("no", name=op.f("pk_notices")),
        comment="what customers were told, in this order",
    )
    op.create_index(op.f("ix_notices_order_id"), "notices", ["order_id"])
    op.create_index(op.f("ix_notices_told_ms"), "notices", ["told_ms"])
    op.create_table(
        "notices_aside",
        sa.Column("id", sa.LargeBinary(), autoincrement=False, nullable=False),
        sa.Column("order_id", sa.String(), nullable=False),
        sa.Column("aside_ms", sa.BigInteger(), nullable=False),
        sa.Column("error", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_notices_aside")),
        comment="notices that could not be sent, and why",
        sqlite_with_rowid=False,
    )
    op.add_column("cursors", sa.Column("notice_no", sa.BigInteger(), nullable=False, server_default="0"))
    op.create_table(
        "places",
        sa.Column("place", sa.String(), autoincrement=False, nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("hours", sa.String(), nullable=False),
        sa.Column("radius_m", sa.BigInteger(), nullable=True),
        sa.Column("dwell_s", sa.BigInteger(), nullable=True),
        sa.Column("rings", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("place", name=op.f("pk_places")),
        comment="docks, hubs, lockers, stations and zones",
        sqlite_with_rowid=False,
    )
    op.create_table(
        "visits",
        sa.Column("device", sa.String(), autoincrement=False, nullable=False),
        sa.Column("place", sa.String(), autoincrement=False, nullable=False),
        sa.Column("arrived_ms", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("left_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("device", "place", "arrived_ms", name=op.f("pk_visits")),
        comment="from the positions: when couriers' phones were at places",
        sqlite_with_rowid=False,
    )
    op.create_index(op.f("ix_visits_arrived_ms"), "visits", ["arrived_ms"])
    op.create_index(op.f("ix_visits_left_ms"), "visits", ["left_ms"])
    op.create_index(op.f("ix_positions_event_ms"), "positions", ["event_ms"])
