"""Files of carriers in, files for shops out: the orders of carriers' numbers, when each channel's last file came, what was exported, what carriers deny."""

import json
from typing import Any

import cbor2
import sqlalchemy as sa
from alembic import op

from bridge.domain.barcodes import Key, code_key

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None


def upgrade() -> None:
    _make("tracking_numbers", "derived: the orders of carriers' numbers", ["number", "order_id"])
    _make("channel_files", "when the last file of each channel came in", ["channel"], _text("name"), _number("at_ms"))
    spans = (_number("after_pos"), _number("upto_pos"), _number("at_ms"))
    _make("exports", "which changes the last file for a shop had", ["channel", "form"], *spans)
    _make("denials", "parcels that carriers say they lack", ["order_id", "parcel", "channel"], _text("status"), _number("at_ms"))
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


def _make(table: str, comment: str, keys: list[str], *columns: sa.Column[Any]) -> None:
    key_columns = [sa.Column(name, sa.String(), autoincrement=False, nullable=False) for name in keys]
    key = sa.PrimaryKeyConstraint(*keys, name=op.f(f"pk_{table}"))
    op.create_table(table, *key_columns, *columns, key, comment=comment, sqlite_with_rowid=False)


def _text(name: str) -> sa.Column[Any]:
    return sa.Column(name, sa.String(), nullable=False)


def _number(name: str) -> sa.Column[Any]:
    return sa.Column(name, sa.BigInteger(), nullable=False)
