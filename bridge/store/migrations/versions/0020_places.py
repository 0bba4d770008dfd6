"""Places where couriers come, and when their phones were there."""

import sqlalchemy as sa
from alembic import op

revision = "0020"
down_revision = "0018"
branch_labels = None
depends_on = None


def upgrade() -> None:
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
