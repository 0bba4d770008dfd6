"""What people filter orders by: flags, channel and promise."""

import json

import cbor2
import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("orders", sa.Column("flags", sa.String(), nullable=False, server_default=""))
    op.add_column("orders", sa.Column("channel", sa.String(), nullable=False, server_default=""))
    op.add_column("orders", sa.Column("promise_ms", sa.BigInteger(), nullable=True))
    connection = op.get_bind()
    # Of several creations of an order the earliest counts, as in the fold; a creation that was rejected or voided does not.
    created = {}
    query = "SELECT e.order_id, e.payload FROM events e JOIN receipts r ON r.pos = e.pos WHERE e.type = 'created' AND r.outcome <> 'rejected' ORDER BY e.event_ms DESC"
    for order_id, payload in connection.exec_driver_sql(query):
        body = (json.loads(payload) if payload[:1] == b"{" else cbor2.loads(payload))["body"]
        created[order_id] = (body["channel"], body.get("promise_ms"))
    known = connection.exec_driver_sql("SELECT order_id, status FROM orders WHERE state <> ''").fetchall()
    rows = [(" ".join(cbor2.loads(status)["flags"]), *created.get(order_id, ("", None)), order_id) for order_id, status in known]
    if rows:
        connection.exec_driver_sql("UPDATE orders SET flags = ?, channel = ?, promise_ms = ? WHERE order_id = ?", rows)
