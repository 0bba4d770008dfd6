"""persistent sessions, the message log, and client certificates"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_Pos = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "sessions",
        sa.Column("sid", _Pos, autoincrement=False, nullable=False),
        sa.Column("device", sa.String(), nullable=False),
        sa.Column("client_id", sa.String(), nullable=False),
        sa.Column("next_pos", sa.BigInteger(), nullable=False),
        sa.Column("next_index", sa.BigInteger(), nullable=False),
        sa.Column("slots", sa.LargeBinary(), nullable=False),
        sa.Column("dropped", sa.BigInteger(), nullable=False),
        sa.Column("seen_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("sid", name=op.f("pk_sessions")),
        sa.UniqueConstraint("device", "client_id", name=op.f("uq_sessions_device")),
    )
    op.create_table(
        "subscriptions",
        sa.Column("sid", _Pos, nullable=False),
        sa.Column("topic_filter", sa.String(), nullable=False),
        sa.Column("from_pos", sa.BigInteger(), nullable=False),
        sa.Column("to_pos", sa.BigInteger(), nullable=True),
        sa.Column("qos", sa.Integer(), nullable=False),
        sa.Column("retained_after", sa.String(), nullable=True),
        sa.PrimaryKeyConstraint("sid", "topic_filter", "from_pos", name=op.f("pk_subscriptions")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "message_log",
        sa.Column("pos", _Pos, autoincrement=False, nullable=False),
        sa.Column("topic", sa.String(), nullable=False),
        sa.Column("payload", sa.LargeBinary(), nullable=False),
        sa.Column("qos", sa.Integer(), nullable=False),
        sa.Column("sid", sa.BigInteger(), nullable=True),
        sa.Column("at_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("pos", name=op.f("pk_message_log")),
    )
    op.create_table(
        "incoming_ids",
        sa.Column("sid", _Pos, nullable=False),
        sa.Column("packet_id", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("sid", "packet_id", name=op.f("pk_incoming_ids")),
        sqlite_with_rowid=False,
    )
    op.add_column("retained", sa.Column("qos", sa.Integer(), server_default="1", nullable=False))
    op.add_column("devices", sa.Column("certificate_sha256", sa.String(), nullable=True))


def downgrade() -> None:
    op.drop_column("devices", "certificate_sha256")
    op.drop_column("retained", "qos")
    op.drop_table("incoming_ids")
    op.drop_table("message_log")
    op.drop_table("subscriptions")
    op.drop_table("sessions")
