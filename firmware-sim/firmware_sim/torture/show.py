"""A run for a terminal, and as plain data."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any, Final

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from firmware_sim.torture.ledger import LOSSES, Class, Counts
from firmware_sim.torture.run import Tortured

WORDS: Final = {
    "sent": "sent",
    "acknowledged": "acknowledged",
    "given_up": "given up",
    "stored": "stored",
    "due": "deliveries due",
    "delivered": "delivered",
    "again": "delivered again at QoS 1",
    "unanswered": "never answered",
    "stored_twice": "stored twice",
    "delivered_twice": "delivered twice at QoS 2",
    "out_of_order": "out of order",
    "wrong_qos": "with a wrong QoS",
    "lost_stored": "lost: not stored",
    "lost_delivered": "lost: not delivered",
}
"""The ledger's rows, as people read them."""
KINDS: Final = {"message": "messages", "event": "order events"}
EXPLAINED: Final = (
    "acknowledged: by PUBACK or PUBREC. Given up: at QoS 2 without an answer when the server lost the publisher's session; nobody can know.",
    "Deliveries are counted for each subscriber; due is what was acknowledged and its filter takes. Of an order event the order's status is due.",
    "Again: QoS 1 may deliver twice. Out of order: at one subscriber, first after a later one of the same publisher, topic and QoS.",
)


def render(result: Tortured) -> RenderableType:
    """The ledger, with a verdict."""
    classes = result.ledger.classes
    table = Table("", *(_head(c) for c in classes), box=None, pad_edge=False)
    for column in table.columns[1:]:
        column.justify = "right"
    for name, words in WORDS.items():
        table.add_row(words, *(_cell(name, counts) for counts in classes.values()))
    kills = ", ".join(f"{where} {n}" for where, n in result.kills.items()) or "none"
    parts: list[RenderableType] = [
        table,
        Text(),
        Text(f"kills         {sum(result.kills.values())}: {kills}"),
        Text(f"sessions lost {result.ledger.sessions_lost}", style="bold red" if result.ledger.sessions_lost else ""),
        Text(f"never sent    {result.ledger.foreign}", style="bold red" if result.ledger.foreign else ""),
        *(Text(line, style="dim") for line in EXPLAINED),
    ]
    verdict = "nothing was lost, doubled or out of order" if result.ledger.ok else "something was lost, doubled or out of order; --json names examples"
    parts.append(Text(f"{verdict}; {result.seconds:.0f} s", style="bold green" if result.ledger.ok else "bold red"))
    return Group(*parts)


def to_json(result: Tortured) -> dict[str, Any]:
    """A run as plain data."""
    ledger = result.ledger
    return {
        "ok": ledger.ok,
        "seed": result.seed,
        "kills": result.kills,
        "ledger": [{"kind": c.kind, "qos": c.qos, **asdict(counts)} for c, counts in ledger.classes.items()],
        "sessions_lost": ledger.sessions_lost,
        "never_sent": ledger.foreign,
        "examples": ledger.examples,
        "seconds": round(result.seconds, 3),
    }


def _head(group: Class) -> str:
    return f"{KINDS[group.kind]}, QoS {group.qos}"


def _cell(name: str, counts: Counts) -> Text:
    value = getattr(counts, name)
    return Text("–" if value is None else f"{value:,}", style="bold red" if name in LOSSES and value else "")
