"""With which carrier each parcel goes, which carrier a scan meant when it arrived, and lists of handovers. A parcel's carrier was that of its order before."""

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for name in ("carrier", "pickups"):
        op.add_column("events", sa.Column(name, sa.String(), nullable=True))
    op.add_column("orders", sa.Column("ship_by_ms", sa.BigInteger(), nullable=True))
    op.create_table(
        "consignments",
        sa.Column("order_id", sa.String(), autoincrement=False, nullable=False),
        sa.Column("parcel", sa.String(), autoincrement=False, nullable=False),
        *(sa.Column(name, sa.String(), nullable=False) for name in ("carrier", "service", "tracking")),
        sa.Column("ready_for", sa.String(), nullable=True),
        sa.Column("ship_by_ms", sa.BigInteger(), nullable=True),
        sa.Column("given_to", sa.String(), nullable=True),
        sa.Column("given_ms", sa.BigInteger(), nullable=True),
        sa.Column("vehicle", sa.String(), nullable=True),
        sa.Column("scans", sa.String(), nullable=False),
        sa.Column("weight_g", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("order_id", "parcel", name=op.f("pk_consignments")),
        comment="derived: parcels that go with a carrier",
        sqlite_with_rowid=False,
    )
    for name in ("ready_for", "given_ms"):
        op.create_index(op.f(f"ix_consignments_{name}"), "consignments", [name])
    op.create_table(
        "handovers",
        sa.Column("no", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("carrier", sa.String(), nullable=False),
        sa.Column("closed_ms", sa.BigInteger(), nullable=False),
        sa.Column("closed_by", sa.String(), nullable=False),
        *(sa.Column(name, sa.BigInteger(), nullable=False) for name in ("parcels", "wrong", "missing")),
        sa.Column("content", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("no", name=op.f("pk_handovers")),
        comment="closed lists of what carriers took",
    )
    op.create_table(
        "handed",
        sa.Column("order_id", sa.String(), autoincrement=False, nullable=False),
        sa.Column("parcel", sa.String(), autoincrement=False, nullable=False),
        sa.Column("scan", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("no", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("order_id", "parcel", "scan", name=op.f("pk_handed")),
        comment="scans that are on closed lists",
        sqlite_with_rowid=False,
    )
    op.create_index(op.f("ix_handed_no"), "handed", ["no"])
    # Orders with a carrier show it at their parcels now: the next start derives them anew.
    op.execute("INSERT INTO cursors (name, event_pos, status_no) SELECT 'derive', 0, 0 WHERE EXISTS (SELECT 1 FROM orders WHERE carrier <> '')")
