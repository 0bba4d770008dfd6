"""Which devices have logged in lately, and from which addresses: the broker's `logins.Known`. Passwords are no part of it.

A login is noted in memory and stored now and then, on the writer's thread. If the server is killed in between, the device is only as unknown as it was before.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from itertools import islice
from typing import Any, Final, NamedTuple

from bridge.domain.codes.rules import DAY_MS
from bridge.ingest.ports import StoreUnavailable
from bridge.ingest.relation import Origin, Relation, Writes
from bridge.store.loop_reader import LoopReader
from bridge.store.sql import SqlStore

KEPT_MS: Final = 30 * DAY_MS
"""How long a device is known at an address after its last login from there."""
RENEWED_MS: Final = DAY_MS
"""A login of a known device is stored again after this time: one that comes back every minute does not write every minute."""
ADDRESSES_PER_DEVICE_MAX: Final = 8
"""Addresses at which one device is known. A phone has a new one every day; the oldest is forgotten."""
KNOWN_MAX: Final = 100_000
"""Pairs of device and address that are stored; the oldest are forgotten."""
UNSAVED_MAX: Final = 10_000
"""Logins that wait to be stored. Those beyond are noted when the device logs in again."""
SAVED_AT_ONCE_MAX: Final = 200


class KnownLoginRow(NamedTuple):
    """A device that logged in from an address."""

    device: str
    address: str
    seen_ms: int


KNOWN_LOGINS: Final = Relation(
    name="known_logins",
    row=KnownLoginRow,
    key=("device", "address"),
    origin=Origin.KEPT,
    indexes=(("seen_ms",),),
    note="devices that have logged in lately, and from where: they do not wait when others at their address guess passwords",
)
_SEEN: Final = "SELECT seen_ms FROM known_logins WHERE device = ? AND address = ?"
_DROP_REVOKED: Final = "DELETE FROM known_logins WHERE device IN (SELECT device FROM devices WHERE revoked_ms IS NOT NULL)"
_DROP_OLDEST_OF_DEVICE: Final = """
    DELETE FROM known_logins WHERE device = ?1 AND address NOT IN
        (SELECT address FROM known_logins WHERE device = ?1 ORDER BY seen_ms DESC, address LIMIT ?2)
"""
_DROP_OLDEST: Final = """
    DELETE FROM known_logins WHERE (device, address) IN
        (SELECT device, address FROM known_logins ORDER BY seen_ms, device, address LIMIT max(0, (SELECT count(*) FROM known_logins) - ?))
"""


class KnownLogins:
    """Used on the event loop.

    Args:
        on_writer: runs a function on the writer's thread, the only one that writes to the database.
    """

    def __init__(self, reader: LoopReader, store: SqlStore, on_writer: Callable[[Callable[[], Any]], Awaitable[Any]], now_ms: Callable[[], int]) -> None:
        self._reader = reader
        self._store = store
        self._on_writer = on_writer
        self._now_ms = now_ms
        self._unsaved: dict[tuple[str, str], int] = {}

    def has(self, device: str, address: str) -> bool:
        """Whether a device has logged in from an address lately. While the store can't be read, no device has."""
        return (device, address) in self._unsaved or self._was_seen_since(self._now_ms() - KEPT_MS, device, address)

    def add(self, device: str, address: str) -> None:
        """A device has logged in."""
        now_ms = self._now_ms()
        if len(self._unsaved) < UNSAVED_MAX and not self._was_seen_since(now_ms - RENEWED_MS, device, address):
            self._unsaved.setdefault((device, address), now_ms)

    async def save(self) -> None:
        """Store what is new, and forget what is old.

        Raises:
            StoreUnavailable: if the store can't take writes now; the rest can be stored later.
        """
        while self._unsaved:
            rows = [KnownLoginRow(*pair, seen_ms) for pair, seen_ms in islice(self._unsaved.items(), SAVED_AT_ONCE_MAX)]
            await self._on_writer(partial(self._write, rows, self._now_ms() - KEPT_MS))
            for row in rows:
                self._unsaved.pop((row.device, row.address), None)

    def _was_seen_since(self, since_ms: int, device: str, address: str) -> bool:
        try:
            found = self._reader.rows(_SEEN, (device, address))
        except StoreUnavailable:
            return False
        return bool(found) and found[0][0] >= since_ms

    def _write(self, rows: Sequence[KnownLoginRow], before_ms: int) -> None:
        writes = Writes()
        writes.rows(KNOWN_LOGINS).extend(rows)
        with self._store.transaction() as tx:
            tx.write(writes)
            tx.drop_before(KNOWN_LOGINS, "seen_ms", before_ms)
            driver: Any = tx.connection.connection.dbapi_connection
            driver.execute(_DROP_REVOKED)
            driver.executemany(_DROP_OLDEST_OF_DEVICE, [(device, ADDRESSES_PER_DEVICE_MAX) for device in sorted({row.device for row in rows})])
            driver.execute(_DROP_OLDEST, (KNOWN_MAX,))
