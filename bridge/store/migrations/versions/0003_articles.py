"""The site's list of articles, and which of them a pick scanned."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # Adding a column in place is quicker than to copy the whole log.
    op.execute("ALTER TABLE events ADD COLUMN article VARCHAR")
    op.create_table(
        "articles",
        sa.Column("sku", sa.String(), autoincrement=False, nullable=False),
        sa.Column("name_zh", sa.String(), nullable=True),
        sa.Column("name_en", sa.String(), nullable=True),
        sa.Column("bin", sa.String(), nullable=True),
        sa.Column("picture", sa.String(), nullable=True),
        sa.Column("flags", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("sku", name=op.f("pk_articles")),
        comment="articles, as they were imported",
        sqlite_with_rowid=False,
    )
    op.create_table(
        "article_codes",
        sa.Column("code", sa.String(), autoincrement=False, nullable=False),
        sa.Column("sku", sa.String(), nullable=False),
        sa.Column("qty", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("code", name=op.f("pk_article_codes")),
        comment="the codes of articles, and the pieces in each package",
        sqlite_with_rowid=False,
    )
    with op.batch_alter_table("article_codes", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_article_codes_sku"), ["sku"], unique=False)
