"""identity and roles"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
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
