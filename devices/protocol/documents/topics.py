"""The table of topics."""

from __future__ import annotations

from devices.protocol.topics import TOPIC_TABLE


def topic_table() -> str:
    """The table of topics in Markdown."""
    rows = [("topic", "who publishes", "QoS", "retained", "payload"), ("---",) * 5]
    rows += [(f"`{row.shape}`", row.publisher, row.qos, row.retained, f"`{row.payload}`") for row in TOPIC_TABLE]
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)
