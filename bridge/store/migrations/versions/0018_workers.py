"""Whose pseudonym is whose, names of couriers, and who has parcels on board."""

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "workers",
        sa.Column("pseudonym", sa.String(), autoincrement=False, nullable=False),
        sa.Column("badge_hash", sa.LargeBinary(), nullable=False),
        sa.Column("badge", sa.LargeBinary(), nullable=False),
        sa.Column("name", sa.LargeBinary(), nullable=True),
        sa.Column("since_ms", sa.BigInteger(), nullable=False),
        sa.Column("last_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("pseudonym", name=op.f("pk_workers")),
        comment="whose pseudonym is whose: badges and names are sealed",
        sqlite_with_rowid=False,
    )
    op.create_index(op.f("ix_workers_badge_hash"), "workers", ["badge_hash"])
    op.create_index(op.f("ix_workers_last_ms"), "workers", ["last_ms"])
    op.create_table(
        "courier_names",
        sa.Column("courier", sa.String(), autoincrement=False, nullable=False),
        sa.Column("name", sa.LargeBinary(), nullable=False),
        sa.Column("at_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("courier", name=op.f("pk_courier_names")),
        comment="sealed: the names of couriers",
        sqlite_with_rowid=False,
    )
    op.add_column("carried", sa.Column("is_out", sa.Boolean(), nullable=False, server_default=sa.true()))
