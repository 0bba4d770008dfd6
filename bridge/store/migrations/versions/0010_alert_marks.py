"""Which alerts are acknowledged, and which are silenced."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for table, time, comment in (
        ("alert_acks", "since_ms", "alerts that somebody looks at"),
        ("alert_silences", "until_ms", "alerts that don't disturb for a while"),
    ):
        op.create_table(
            table,
            sa.Column("code", sa.String(), autoincrement=False, nullable=False),
            sa.Column("subject", sa.String(), autoincrement=False, nullable=False),
            sa.Column(time, sa.BigInteger(), nullable=False),
            sa.Column("at_ms", sa.BigInteger(), nullable=False),
            sa.Column("who", sa.String(), nullable=False),
            sa.Column("reason", sa.String(), nullable=False),
            sa.PrimaryKeyConstraint("code", "subject", name=op.f(f"pk_{table}")),
            comment=comment,
            sqlite_with_rowid=False,
        )
