"""The second edition: where events belong, what is known of codes, terms of payment, who carries an order, mispicks, shifts, and roles.

The first start after it derives everything again (`replaying.derive_after_upgrade`).
"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_Pos = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.drop_table("labels")
    op.drop_table("placed")
    op.drop_table("parcels")
    # The column only said what follows from the codes. Dropping it in place is quicker than to copy the whole log.
    op.execute("ALTER TABLE events DROP COLUMN misload")
    op.create_table(
        "placed",
        sa.Column("pos", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("order_id", sa.String(), autoincrement=False, nullable=False),
        sa.Column("refusal", sa.String(), nullable=True),
        sa.Column("warn", sa.String(), nullable=False),
        sa.Column("inside", sa.String(), nullable=True),
        sa.PrimaryKeyConstraint("pos", "order_id", name=op.f("pk_placed")),
        comment="derived: where events belong, if not where they arrived",
        sqlite_with_rowid=False,
    )
    with op.batch_alter_table("placed", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_placed_order_id"), ["order_id"], unique=False)

    op.create_table(
        "parcels",
        sa.Column("order_id", sa.String(), autoincrement=False, nullable=False),
        sa.Column("parcel", sa.String(), autoincrement=False, nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("hash", sa.LargeBinary(), nullable=False),
        sa.Column("codes", sa.String(), nullable=False),
        sa.Column("status", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("order_id", "parcel", name=op.f("pk_parcels")),
        comment="derived: parcels as they are shown",
        sqlite_with_rowid=False,
    )
    op.create_table(
        "codes",
        sa.Column("code", sa.String(), autoincrement=False, nullable=False),
        sa.Column("order_id", sa.String(), autoincrement=False, nullable=False),
        sa.Column("is_beside", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("code", "order_id", name=op.f("pk_codes")),
        comment="derived: the orders that know of a code",
        sqlite_with_rowid=False,
    )
    with op.batch_alter_table("codes", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_codes_order_id"), ["order_id"], unique=False)

    op.create_table(
        "waiting",
        sa.Column("ref", sa.String(), autoincrement=False, nullable=False),
        sa.Column("ref_kind", sa.String(), autoincrement=False, nullable=False),
        sa.Column("pos", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.PrimaryKeyConstraint("ref", "ref_kind", "pos", name=op.f("pk_waiting")),
        comment="derived: what events in no order wait for",
        sqlite_with_rowid=False,
    )
    with op.batch_alter_table("waiting", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_waiting_pos"), ["pos"], unique=False)

    op.create_table(
        "inside",
        sa.Column("parent", sa.String(), autoincrement=False, nullable=False),
        sa.Column("child", sa.String(), autoincrement=False, nullable=False),
        sa.Column("pos", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.PrimaryKeyConstraint("parent", "child", "pos", name=op.f("pk_inside")),
        comment="derived: events about containers",
        sqlite_with_rowid=False,
    )
    with op.batch_alter_table("inside", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_inside_child"), ["child"], unique=False)
        batch_op.create_index(batch_op.f("ix_inside_pos"), ["pos"], unique=False)

    op.create_table(
        "code_rules",
        sa.Column("from_ms", _Pos, autoincrement=False, nullable=False),
        sa.Column("containers", sa.String(), nullable=False),
        sa.Column("look_ahead_ms", sa.BigInteger(), nullable=False),
        sa.Column("reuse_after_ms", sa.BigInteger(), nullable=False),
        sa.Column("forget_after_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("from_ms", name=op.f("pk_code_rules")),
        comment="the rules about codes, and from when they hold",
        sqlite_with_rowid=True,
    )
    op.add_column("events", sa.Column("terms", sa.String(), nullable=True))
    op.create_table(
        "carried",
        sa.Column("courier", sa.String(), autoincrement=False, nullable=False),
        sa.Column("order_id", sa.String(), autoincrement=False, nullable=False),
        sa.PrimaryKeyConstraint("courier", "order_id", name=op.f("pk_carried")),
        comment="derived: orders out for delivery, and the couriers who have them",
        sqlite_with_rowid=False,
    )
    op.create_table(
        "mispicks",
        sa.Column("pos", _Pos, autoincrement=False, nullable=False),
        sa.Column("hour_ms", sa.BigInteger(), nullable=False),
        sa.Column("article", sa.String(), nullable=True),
        sa.Column("place", sa.String(), nullable=True),
        sa.Column("reason", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("pos", name=op.f("pk_mispicks")),
        comment="derived: refused scans that their worker put right",
        sqlite_with_rowid=True,
    )
    with op.batch_alter_table("mispicks", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_mispicks_hour_ms"), ["hour_ms"], unique=False)
    op.create_table(
        "shifts",
        sa.Column("device", sa.String(), autoincrement=False, nullable=False),
        sa.Column("changed_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("device", name=op.f("pk_shifts")),
        comment="derived: each device's last change of shift",
        sqlite_with_rowid=False,
    )
    op.add_column("ledger", sa.Column("reused", sa.BigInteger(), nullable=False, server_default="0"))
    # No version could enrol a device with the role guest, and none lets one in. A row that was written by hand has sent nothing.
    op.execute("DELETE FROM devices WHERE role = 'guest'")
    # A system without a prefix keeps serving all orders: that is what NULL means in devices.orders_prefix.
