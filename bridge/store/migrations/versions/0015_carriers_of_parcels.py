"""With which carrier each parcel goes, and which carrier a scan meant when it arrived. Nobody has said so before: a parcel's carrier is that of its order."""

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("events", sa.Column("carrier", sa.String(), nullable=True))
    for name in ("carrier", "service", "tracking"):
        op.add_column("parcels", sa.Column(name, sa.String(), nullable=False, server_default=""))
