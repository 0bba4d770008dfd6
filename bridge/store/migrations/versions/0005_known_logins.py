"""Which devices have logged in lately, and from which addresses."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "known_logins",
        sa.Column("device", sa.String(), autoincrement=False, nullable=False),
        sa.Column("address", sa.String(), autoincrement=False, nullable=False),
        sa.Column("seen_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("device", "address", name=op.f("pk_known_logins")),
        comment="devices that have logged in lately, and from where: they do not wait when others at their address guess passwords",
        sqlite_with_rowid=False,
    )
    with op.batch_alter_table("known_logins", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_known_logins_seen_ms"), ["seen_ms"], unique=False)
