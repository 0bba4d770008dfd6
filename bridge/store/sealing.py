"""What is sealed in a database: with which keys, and how it gets another one; and what stood open from before there were keys, sealed once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from sqlalchemy import ColumnElement, Connection, Engine, Table, and_, func, select, update

from bridge.ingest.sealing import WHOLE, about_event, about_message, hashes_of, mac_of
from bridge.ingest.workers import about_badge
from bridge.ingest.workers import hash_of as badge_hash
from bridge.store import tables as t
from bridge.store.sqlite import translated
from bridge.vault import ID_BYTES, Vault
from devices.protocol.messages import load

ROWS_AT_ONCE: Final = 1_000


def seal_after_upgrade(engine: Engine, vault: Vault) -> None:
    """Seal the payloads in quarantine that are not sealed yet. Without any, this costs one look-up.

    Raises:
        StoreUnavailable: if the database can't be written.
    """
    q = t.quarantine.c
    open_rows = select(q.no, q.device, q.digest, q.payload).where(q.pos.is_(None), q.is_sealed.is_(False)).order_by(q.no).limit(ROWS_AT_ONCE)
    while True:
        with translated(), engine.begin() as connection:
            rows = connection.execute(open_rows).all()
            if not rows:
                return
            for row in rows:
                sealed = vault.seal(row.payload, about_message(row.device, row.digest))
                connection.execute(update(t.quarantine).where(q.no == row.no).values(payload=sealed, is_sealed=True))


class _Column(NamedTuple):
    """A column of sealed parts, and the columns that name a row."""

    table: Table
    sealed: Any
    key: tuple[Any, ...]


SEALED_COLUMNS: Final = (
    _Column(t.sealed, t.sealed.c.sealed, (t.sealed.c.pos,)),
    _Column(t.quarantine, t.quarantine.c.payload, (t.quarantine.c.no,)),
    _Column(t.audit, t.audit.c.sealed, (t.audit.c.no,)),
    _Column(t.workers, t.workers.c.badge, (t.workers.c.pseudonym,)),
    _Column(t.workers, t.workers.c.name, (t.workers.c.pseudonym,)),
    _Column(t.courier_names, t.courier_names.c.name, (t.courier_names.c.courier,)),
    _Column(t.second_factors, t.second_factors.c.secret, (t.second_factors.c.person,)),
)
"""Every column that holds sealed parts."""


def _is_sealed(column: _Column) -> ColumnElement[bool]:
    is_sealed: ColumnElement[bool] = column.table.c.is_sealed.is_(True) if column.table is t.quarantine else column.sealed.is_not(None)
    return is_sealed


def rows_by_key(reader: Engine) -> dict[bytes, int]:
    """How many rows are sealed with each key, by its id."""
    found: Counter[bytes] = Counter()
    with translated(), reader.connect() as connection:
        for column in SEALED_COLUMNS:
            key_id = func.substr(column.sealed, 2, ID_BYTES)
            for each, rows in connection.execute(select(key_id, func.count()).where(_is_sealed(column)).group_by(key_id)):
                found[bytes(each)] += rows
    return dict(found)


def wrap_anew(engine: Engine, vault: Vault, *, rows_max: int) -> int:
    """Wrap the keys of some parts that have another key with the newest one, and hash anew what orders are sought by. Parts whose key is missing stay as they
    are. Returns how many were wrapped.

    Raises:
        StoreUnavailable: if the database can't be written.
    """
    known = [key.id for key in vault.keys if key.id != vault.current.id]
    with translated(), engine.begin() as connection:
        for column in SEALED_COLUMNS if known else ():
            key_id = func.substr(column.sealed, 2, ID_BYTES)
            rows = connection.execute(select(*column.key, column.sealed).where(_is_sealed(column), key_id.in_(known)).limit(rows_max)).all()
            for *key, sealed in rows:
                these = and_(*(c == value for c, value in zip(column.key, key, strict=True)))
                connection.execute(update(column.table).where(these).values({column.sealed.name: vault.wrap_anew(sealed)}))
            if column.table is t.sealed:
                _recognise_anew(connection, vault, [row[0] for row in rows])
            if column.sealed is t.workers.c.badge:
                _find_anew(connection, vault, [row[0] for row in rows])
            if rows:
                return len(rows)
    return 0


def _find_anew(connection: Connection, vault: Vault, pseudonyms: Sequence[str]) -> None:
    """Make the hashes by which badges are found anew, with the newest key."""
    of = t.workers.c.pseudonym
    for pseudonym, badge in connection.execute(select(of, t.workers.c.badge).where(of.in_(pseudonyms))).all():
        digest = badge_hash(vault, vault.open(badge, about_badge(pseudonym)).decode())
        connection.execute(update(t.workers).where(of == pseudonym).values(badge_hash=digest))


def _recognise_anew(connection: Connection, vault: Vault, positions: Sequence[int]) -> None:
    """Make the MACs and hashes of parts anew, with the newest key."""
    columns = (t.sealed.c.pos, t.sealed.c.sealed, t.sealed.c.mac, t.events.c.device, t.events.c.id)
    rows = connection.execute(select(*columns).join(t.events, t.events.c.pos == t.sealed.c.pos).where(t.sealed.c.pos.in_(positions))).all()
    for pos, sealed, mac, device, event_id in rows:
        parts = load(vault.open(sealed, about_event(device, event_id)))
        said = {name: value for name, value in parts.items() if name != WHOLE}
        if mac:
            connection.execute(update(t.sealed).where(t.sealed.c.pos == pos).values(mac=mac_of(vault, said)))
        hashes = hashes_of(vault, pos, said.get("contact", {}))
        if hashes is not None:
            connection.execute(update(t.contact_hashes).where(t.contact_hashes.c.pos == pos).values(hashes._asdict()))
