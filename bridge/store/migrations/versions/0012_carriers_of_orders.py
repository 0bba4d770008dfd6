"""The carrier that people filter orders by. No order has one yet: the contract had no carrier before."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("orders", sa.Column("carrier", sa.String(), nullable=False, server_default=""))
