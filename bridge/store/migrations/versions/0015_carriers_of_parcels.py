"""With which carrier each parcel goes, and which carrier a scan meant when it arrived. Nobody has said so before: a parcel's carrier is that of its order."""

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for name in ("carrier", "pickups"):
        op.add_column("events", sa.Column(name, sa.String(), nullable=True))
    op.add_column("orders", sa.Column("ship_by_ms", sa.BigInteger(), nullable=True))
    for name in ("carrier", "service", "tracking", "scans"):
        op.add_column("parcels", sa.Column(name, sa.String(), nullable=False, server_default=""))
    for name in ("ready_for", "given_to", "vehicle"):
        op.add_column("parcels", sa.Column(name, sa.String(), nullable=True))
    for name in ("ship_by_ms", "given_ms", "weight_g"):
        op.add_column("parcels", sa.Column(name, sa.BigInteger(), nullable=True))
    for name in ("ready_for", "given_ms"):
        op.create_index(op.f(f"ix_parcels_{name}"), "parcels", [name], sqlite_where=sa.column(name).is_not(None), postgresql_where=sa.column(name).is_not(None))
