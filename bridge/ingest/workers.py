"""Workers: what a device calls them is a badge, and may be a name. A random pseudonym is stored in its place; the badge stands in one table, sealed.

A badge gets another pseudonym after `Rules.pseudonym_ms`, and the row that links the two is deleted `Rules.worker_keep_ms` after its last use. Then nobody can
say any more whose scans they were. The log alone says which pseudonym an event has, so that a replay needs neither the table nor a key.
"""

from __future__ import annotations

from base64 import b32encode
from typing import Final, NamedTuple

from bridge.domain.encoding import text
from bridge.ingest.ports import Transaction
from bridge.ingest.relation import Origin, Relation, Update, Writes
from bridge.ingest.rules import Rules
from bridge.ingest.sealing import Recogniser, Sealer

SEEN_EVERY_MS: Final = 3_600_000
"""How exactly the last use of a badge is stored."""
PSEUDONYM_CHARS: Final = 10
_RANDOM_BYTES: Final = 7
"""Enough for so many characters of five bits."""
TOO_MANY: Final = "w-others"
"""Stands for every new badge while the table is full: a device sends something else than badges then."""
ABOUT_NAME: Final = b"name of a worker"
"""What a sealed name is about: it follows its badge from one pseudonym to the next."""


class WorkerRow(NamedTuple):
    """A badge, what stands for it in the log from `since_ms` on, and the name of the person, if one was given. `last_ms` is its last use, to the hour.

    `badge_hash` is keyed; the badge and the name are sealed.
    """

    pseudonym: str
    badge_hash: bytes
    badge: bytes
    name: bytes | None
    since_ms: int
    last_ms: int


class CourierNameRow(NamedTuple):
    """The sealed name of a courier."""

    courier: str
    name: bytes
    at_ms: int


WORKERS: Final = Relation(
    name="workers",
    row=WorkerRow,
    key=("pseudonym",),
    origin=Origin.KEPT,
    indexes=(("badge_hash",), ("last_ms",)),
    note="whose pseudonym is whose: badges and names are sealed",
)
COURIER_NAMES: Final = Relation(name="courier_names", row=CourierNameRow, key=("courier",), origin=Origin.KEPT, note="sealed: the names of couriers")
_USED: Final = Update(WORKERS, ("last_ms",), ("pseudonym",))


class Known(NamedTuple):
    """What stands for a badge until a time.

    In CBOR, `raw` is the badge, `head` the key `by` and the head of the text before it, and `stored` what is stored in the place of both.
    """

    pseudonym: str
    raw: bytes
    head: bytes
    stored: bytes
    until_ms: int


class Workers:
    """The badges that were used last.

    Args:
        badges_max: how many stay in memory.
    """

    __slots__ = ("_badges_max", "_rows", "known")

    def __init__(self, badges_max: int) -> None:
        self._badges_max = badges_max
        self.known: dict[str, Known] = {}
        self._rows: int | None = None

    def forget(self) -> None:
        """Drop everything: a pseudonym may have come into memory and not into the table, or left the table."""
        self.known.clear()
        self._rows = None

    def find(self, badge: str, now_ms: int, rules: Rules, tx: Transaction, writes: Writes) -> Known:
        """What stands for a badge now; a new one gets its row."""
        known = self.known.get(badge)
        if known is not None and now_ms < known.until_ms:
            return known
        hashes = hashes_of(rules.sealer, badge)
        stored = [*writes.keyed(WORKERS).values(), *tx.rows(WORKERS, badge_hash=hashes)]
        row = max((row for row in stored if row.badge_hash in hashes), key=_since, default=None)
        if row is None or now_ms - row.since_ms >= rules.pseudonym_ms or now_ms - row.last_ms >= rules.worker_keep_ms:
            name = row.name if row is not None else None  # the name that was given to a badge stays its name
            row = self._add(tx, rules, writes, row_of(rules.sealer, badge, name, now_ms))
        elif now_ms - row.last_ms >= SEEN_EVERY_MS:
            row = row._replace(last_ms=now_ms)
            writes.update(_USED, now_ms, row.pseudonym)
        until_ms = min(row.since_ms + rules.pseudonym_ms, row.last_ms + SEEN_EVERY_MS)
        raw = badge.encode()
        head = _BY + text(badge).removesuffix(raw)
        known = Known(row.pseudonym, raw, head, _BY + text(row.pseudonym), until_ms)
        if len(self.known) >= self._badges_max:
            self.known.clear()
        self.known[badge] = known
        return known

    def _add(self, tx: Transaction, rules: Rules, writes: Writes, row: WorkerRow) -> WorkerRow:
        if self._rows is None:
            self._rows = len(tx.rows(WORKERS))
        if self._rows >= rules.workers_max:
            return row._replace(pseudonym=TOO_MANY)
        self._rows += 1
        writes.keyed(WORKERS)[row.pseudonym] = row
        return row


_BY: Final = text("by")


def _since(row: WorkerRow) -> int:
    return row.since_ms


def row_of(sealer: Sealer, badge: str, name: bytes | None, now_ms: int) -> WorkerRow:
    """A badge with a new pseudonym. `name` is sealed."""
    pseudonym = "w-" + b32encode(sealer.draw(_RANDOM_BYTES)).decode().lower()[:PSEUDONYM_CHARS]
    return WorkerRow(pseudonym, hash_of(sealer, badge), sealer.seal(badge.encode(), about_badge(pseudonym)), name, now_ms, now_ms)


def hash_of(recogniser: Recogniser, badge: str) -> bytes:
    """The keyed hash by which a badge is found."""
    return recogniser.mac(b"badge\0" + badge.encode())


def hashes_of(recogniser: Recogniser, badge: str) -> list[bytes]:
    """Those that it may have been stored under: the site's key may have been another one."""
    return recogniser.macs(b"badge\0" + badge.encode())


def about_badge(pseudonym: str) -> bytes:
    """What a sealed badge is about."""
    return b"badge\0" + pseudonym.encode()


def about_courier(courier: str) -> bytes:
    """What the sealed name of a courier is about."""
    return b"courier\0" + courier.encode()
