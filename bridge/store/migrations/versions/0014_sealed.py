"""Personal data, sealed; what was forgotten, and what must not be yet. What is in quarantine and what people typed is sealed at the next start."""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "sealed",
        sa.Column("pos", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=False, nullable=False),
        sa.Column("order_id", sa.String(), nullable=True),
        sa.Column("received_ms", sa.BigInteger(), nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        sa.Column("mac", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("pos", name=op.f("pk_sealed")),
        comment="sealed: who customers are, notes, and fields that the contract does not have",
    )
    op.create_index(op.f("ix_sealed_order_id"), "sealed", ["order_id"])
    op.create_index(op.f("ix_sealed_received_ms"), "sealed", ["received_ms"])
    op.create_table(
        "contact_hashes",
        sa.Column("pos", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=False, nullable=False),
        sa.Column("phone", sa.LargeBinary(), nullable=True),
        sa.Column("last4", sa.LargeBinary(), nullable=True),
        sa.Column("surname", sa.LargeBinary(), nullable=True),
        sa.PrimaryKeyConstraint("pos", name=op.f("pk_contact_hashes")),
        comment="keyed hashes by which orders are sought",
    )
    for name, comment in (
        ("forgotten", "orders whose personal data was destroyed"),
        ("legal_holds", "orders that must not be forgotten yet"),
        ("forget_requests", "orders that are to be forgotten as soon as they may be"),
    ):
        op.create_table(
            name,
            sa.Column("order_id", sa.String(), autoincrement=False, nullable=False),
            sa.Column("at_ms", sa.BigInteger(), nullable=False),
            sa.PrimaryKeyConstraint("order_id", name=op.f(f"pk_{name}")),
            comment=comment,
            sqlite_with_rowid=False,
        )
    op.add_column("quarantine", sa.Column("is_sealed", sa.Boolean(), nullable=False, server_default=sa.false()))
    op.add_column("quarantine", sa.Column("expires_ms", sa.BigInteger(), nullable=True))
    op.add_column("quarantine", sa.Column("order_id", sa.String(), nullable=True))
    op.create_index(op.f("ix_quarantine_order_id"), "quarantine", ["order_id"])
    op.add_column("audit", sa.Column("sealed", sa.LargeBinary(), nullable=True))
    op.add_column("audit", sa.Column("sealed_sha256", sa.LargeBinary(), nullable=True))
    op.create_table(
        "audit_start",
        sa.Column("no", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=False, nullable=False),
        sa.Column("chain", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("no", name=op.f("pk_audit_start")),
        comment="the last entry of the audit log whose time to be kept was over",
    )
