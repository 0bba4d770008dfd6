"""Second factors of people's logins, sealed, and the hashes of their recovery codes. Nobody has one yet."""

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "second_factors",
        sa.Column("person", sa.String(), autoincrement=False, nullable=False),
        sa.Column("secret", sa.LargeBinary(), nullable=False),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.Column("last_step", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("person", name=op.f("pk_second_factors")),
        comment="sealed: second factors of people",
        sqlite_with_rowid=False,
    )
    op.create_table(
        "recovery_codes",
        sa.Column("person", sa.String(), autoincrement=False, nullable=False),
        sa.Column("code_sha256", sa.String(), autoincrement=False, nullable=False),
        sa.PrimaryKeyConstraint("person", "code_sha256", name=op.f("pk_recovery_codes")),
        comment="hashes of people's recovery codes",
        sqlite_with_rowid=False,
    )
