"""Files of carriers in, files for shops out: the orders of carriers' numbers, when each channel's last file came, what was exported, what carriers deny."""

import json
from typing import Any

import cbor2
import sqlalchemy as sa
from alembic import op

from bridge.domain.barcodes import Key, code_key

revision = "0016"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    _make("tracking_numbers", "derived: the orders of carriers' numbers", _key("number"), _key("order_id"))
    at = sa.Column("at_ms", sa.BigInteger(), nullable=False)
    _make("channel_files", "when the last file of each channel came in", _key("channel"), _text("name"), at.copy())
    positions = (sa.Column(name, sa.BigInteger(), nullable=False) for name in ("after_pos", "upto_pos"))
    _make("exports", "which changes the last file for a shop had", _key("channel"), _key("form"), *positions, at.copy())
    _make("denials", "parcels that carriers say they lack", _key("order_id"), _key("parcel"), _key("channel"), _text("status"), at.copy())
    connection = op.get_bind()
    query = "SELECT e.order_id, e.payload FROM events e WHERE e.type IN ('created', 'amended') AND e.order_id IS NOT NULL"
    rows = set()
    for order_id, payload in connection.exec_driver_sql(query):
        number = (json.loads(payload) if payload[:1] == b"{" else cbor2.loads(payload))["body"].get("tracking")
        key = code_key("".join(number.split()), plain=True) if number else None
        if isinstance(key, Key):
            rows.add((key.text, order_id))
    if rows:
        connection.exec_driver_sql("INSERT INTO tracking_numbers (number, order_id) VALUES (?, ?)", sorted(rows))


def _make(table: str, comment: str, *columns: sa.Column[Any]) -> None:
    keys = [column.name for column in columns if column.info.get("key")]
    op.create_table(table, *columns, sa.PrimaryKeyConstraint(*keys, name=op.f(f"pk_{table}")), comment=comment, sqlite_with_rowid=False)


def _key(name: str) -> sa.Column[Any]:
    return sa.Column(name, sa.String(), autoincrement=False, nullable=False, info={"key": True})


def _text(name: str) -> sa.Column[Any]:
    return sa.Column(name, sa.String(), nullable=False)
