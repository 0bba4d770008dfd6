"""Points of phones that were not used, by reason."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "dropped_points",
        sa.Column("device", sa.String(), autoincrement=False, nullable=False),
        sa.Column("reason", sa.String(), autoincrement=False, nullable=False),
        sa.Column("points", sa.BigInteger(), nullable=False),
        sa.Column("last_ms", sa.BigInteger(), nullable=False),
        sa.Column("detail", sa.String(), nullable=True),
        sa.PrimaryKeyConstraint("device", "reason", name=op.f("pk_dropped_points")),
        comment="points of phones that were not used, by reason",
        sqlite_with_rowid=False,
    )
