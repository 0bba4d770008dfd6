"""the rules of the floor: an order's terms of payment, who carries an order, and mispicks"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_Pos = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
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
