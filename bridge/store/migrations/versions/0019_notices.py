"""What customers were told, and how far it was sent out. Of what happened before, nothing is known to have been told, and nothing older than a day is told."""

import sqlalchemy as sa
from alembic import op

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None


def upgrade() -> None:
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
