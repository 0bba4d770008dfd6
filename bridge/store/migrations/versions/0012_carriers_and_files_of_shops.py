"""The carrier that people filter orders by, and the files that came in from watched folders. No order has a carrier yet: the contract had none before."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("orders", sa.Column("carrier", sa.String(), nullable=False, server_default=""))
    op.create_table(
        "imported_files",
        sa.Column("channel", sa.String(), autoincrement=False, nullable=False),
        sa.Column("sha256", sa.String(), autoincrement=False, nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("at_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("channel", "sha256", name=op.f("pk_imported_files")),
        comment="files that came in from a watched folder",
        sqlite_with_rowid=False,
    )
