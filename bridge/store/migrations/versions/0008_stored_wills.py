"""Wills of connected clients, which a start publishes after a crash."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "wills",
        sa.Column("device", sa.String(), autoincrement=False, nullable=False),
        sa.Column("client_id", sa.String(), autoincrement=False, nullable=False),
        sa.Column("topic", sa.String(), nullable=False),
        sa.Column("payload", sa.LargeBinary(), nullable=False),
        sa.Column("qos", sa.BigInteger(), nullable=False),
        sa.Column("retain", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("device", "client_id", name=op.f("pk_wills")),
        comment="wills of connected clients, except those that say only that their device is offline; a start publishes what a crash left (MQTT 3.1.1 §3.1.2.5)",
        sqlite_with_rowid=False,
    )
