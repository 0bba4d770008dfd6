"""Whose database it is, and its epochs: how often it was restored from a backup.

What was said in an earlier epoch may be undone, and `n` and `rev` may be lower than they were. So every receipt, status and assignment carries the epoch, if
there was a restore. What is stored never does: a rebuild makes the same rows in any epoch.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

from bridge.domain.encoding import in_order
from bridge.ingest.relation import Origin, Relation


class SiteRow(NamedTuple):
    """The site that a database belongs to."""

    name: str


class EpochRow(NamedTuple):
    """When an epoch began."""

    epoch: int
    begun_ms: int


SITE: Final = Relation(name="site", row=SiteRow, key=("name",), origin=Origin.KEPT, note="the site that this database belongs to")
EPOCHS: Final = Relation(name="epochs", row=EpochRow, key=("epoch",), origin=Origin.KEPT, note="when the database was restored")


def in_epoch(plain: dict[str, Any], epoch: int) -> dict[str, Any]:
    """A payload with its epoch, keys in deterministic order (RFC 8949 §4.2.1); as it is in epoch 0."""
    return in_order({**plain, "epoch": epoch}) if epoch else plain
