"""The audit log: every act of a person, in the order in which they were asked for. Each entry holds the hash of the one before, so that none can be changed,
left out or put in between without it being seen; only the end can be cut off, and a copy of the last hash, kept elsewhere, shows that. What people typed as
a reason is sealed: it may name someone."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from enum import StrEnum
from itertools import takewhile
from typing import Any, Final

import cbor2
from sqlalchemy import Connection, Engine, and_, delete, insert, or_, select, update

from bridge.ingest.audit import AuditRow, AuditStartRow
from bridge.operations.audit import AuditEntry
from bridge.store.forgetting import secure
from bridge.store.relations import chunks
from bridge.store.sqlite import translated
from bridge.store.tables import audit, audit_start
from bridge.vault import SealError, Vault, lasting_part
from devices.protocol.reasons import stored_as

FIRST: Final = bytes(32)
"""What stands for the hash before the first entry."""
FORGOTTEN_REASON: Final = "(forgotten)"
_EMPTY: Final = cbor2.dumps({})
SEALED_REASON: Final = "(sealed with a key that is not here)"


class AuditLog:
    """Writes with the same engine as all other writes; call what writes on the writer's thread."""

    def __init__(self, engine: Engine, reader: Engine, vault: Vault) -> None:
        self._engine = engine
        self._reader = reader
        self._vault = vault
        self._table = audit

    def append(
        self,
        *,
        at_ms: int,
        who: str,
        act: str,
        subject: str | None,
        reason: str | None,
        details: dict[str, Any],
        person: str | None = None,
        failed: str | None = None,
    ) -> None:
        """See `operations.audit.Audit.append`."""
        word = reason.value if isinstance(reason, StrEnum) else None
        typed = {"reason": reason if word is None else None, "details": details, "failed": failed}
        row = AuditRow(0, at_ms, who, act, subject, word, None if failed is None else "", _EMPTY, person, b"", None, None)
        with translated(), self._engine.begin() as connection:
            self._append(connection, row, typed)

    def _append(self, connection: Connection, row: AuditRow, typed: dict[str, Any]) -> None:
        last = connection.execute(select(self._table.c.no, self._table.c.chain).order_by(self._table.c.no.desc()).limit(1)).one_or_none()
        no, before = (last.no, last.chain) if last is not None else _start(connection)
        row = self._sealed(row._replace(no=no + 1), typed)
        connection.execute(insert(self._table).values(**row._replace(chain=_chain(before, row))._asdict()))

    def _sealed(self, row: AuditRow, said: dict[str, Any]) -> AuditRow:
        """An entry, with what somebody typed sealed in it."""
        typed = {name: value for name, value in said.items() if value}
        sealed = self._vault.seal(cbor2.dumps(typed, canonical=True), _about(row.no)) if typed else None
        return row._replace(sealed=sealed, sealed_sha256=hashlib.sha256(lasting_part(sealed)).digest() if sealed is not None else None)

    def seal_older(self, *, at_ms: int) -> int:
        """Seal what was typed before there were keys. The hashes of the chain are others then, and an entry at its end says which one was the last before.
        Returns how many entries were sealed.

        A log in which an entry was changed stays as it is, so that this can still be seen.
        """
        of = self._table.c
        may_be_open = and_(of.sealed_sha256.is_(None), or_(of.details != _EMPTY, of.failed != "", of.reason.is_not(None)))
        with translated(), self._reader.connect() as connection:
            query = select(self._table).where(may_be_open).order_by(of.no)
            # All entries after the first that is sealed were written by a version that seals.
            begin = connection.execute(select(of.no).where(of.sealed_sha256.is_not(None)).order_by(of.no).limit(1)).scalar_one_or_none()
            if begin is not None:
                query = query.where(of.no < begin)
            first = next((row.no for found in connection.execute(query) if _is_open(row := AuditRow(*found))), None)
        if first is None or not all(entry.is_sound for entry in self.entries()):
            return 0
        with secure(self._engine) as connection:
            (_, before), count = _start(connection), 0
            rows = [AuditRow(*found) for found in connection.execute(select(self._table).order_by(of.no))]
            for row in rows:
                now = row
                if row.no >= first:
                    if _is_open(row):
                        now, count = self._sealed(_closed(row), _typed_in(row)), count + 1
                    now = now._replace(chain=_chain(before, now))
                    connection.execute(update(self._table).where(of.no == row.no).values(**now._asdict()))
                before = now.chain
            seal = AuditRow(0, at_ms, "dockbridge", "audit.seal", None, None, None, _EMPTY, None, b"", None, None)
            self._append(connection, seal, {"details": {"entries": count, "last_hash_before": rows[-1].chain.hex()}})
        return count

    def begins_before(self, at_ms: int) -> bool:
        """Whether the oldest entry is from before a time."""
        with translated(), self._reader.connect() as connection:
            oldest = connection.execute(select(self._table.c.at_ms).order_by(self._table.c.no).limit(1)).scalar_one_or_none()
        return oldest is not None and oldest < at_ms

    def trim(self, before_ms: int, *, rows_max: int) -> int:
        """Drop the oldest entries, those from before a time; what remains still follows from what is kept of them. Returns how many."""
        with translated(), self._engine.begin() as connection:
            columns = (self._table.c.no, self._table.c.at_ms, self._table.c.chain)
            old = connection.execute(select(*columns).order_by(self._table.c.no).limit(rows_max)).all()
            gone = list(takewhile(lambda row: row.at_ms < before_ms, old))
            if gone:
                connection.execute(delete(self._table).where(self._table.c.no <= gone[-1].no))
                connection.execute(delete(audit_start))
                connection.execute(insert(audit_start).values(no=gone[-1].no, chain=gone[-1].chain))
            return len(gone)

    def entries(self, *, after: int = 0) -> Iterator[AuditEntry]:
        """The entries after a number, in their order; `is_sound` is False from the first one on that does not follow from the one before."""
        with translated(), self._reader.connect() as connection:
            rows = connection.execute(select(self._table).order_by(self._table.c.no))
            no, before = _start(connection)
            is_sound = True
            for found in rows:
                row = AuditRow(*found)
                is_sound = is_sound and row.no == no + 1 and row.chain == _chain(before, row) and _is_as_it_was(row)
                before, no = row.chain, row.no
                if row.no > after:
                    typed = self._typed(row)
                    yield AuditEntry(
                        no=row.no,
                        at_ms=row.at_ms,
                        who=row.who,
                        person=row.person,
                        act=row.act,
                        subject=row.subject,
                        reason=typed.get("reason", row.reason),
                        failed=typed.get("failed", row.failed),
                        details=typed.get("details", cbor2.loads(row.details)),
                        chain=row.chain,
                        is_sound=is_sound,
                    )

    def last_details(self, act: str) -> dict[str, Any] | None:
        """See `operations.audit.AuditReader.last_details`."""
        query = select(self._table).where(self._table.c.act == act).order_by(self._table.c.no.desc()).limit(1)
        with translated(), self._reader.connect() as connection:
            found = connection.execute(query).one_or_none()
        if found is None:
            return None
        row = AuditRow(*found)
        details: dict[str, Any] = self._typed(row).get("details", cbor2.loads(row.details))
        return details

    def forget(self, texts: Sequence[bytes]) -> int:
        """Destroy what was typed in entries that have one of these texts, in any case. The chain holds. Returns how many."""
        with secure(self._engine) as connection:
            rows = connection.execute(select(self._table.c.no, self._table.c.sealed).where(self._table.c.sealed.is_not(None))).all()
            gone = [row.no for row in rows if _has(self._opened(row.no, row.sealed), texts)]
            for some in chunks(gone):
                connection.execute(update(self._table).where(self._table.c.no.in_(some)).values(sealed=None))
        return len(gone)

    def _typed(self, row: AuditRow) -> dict[str, Any]:
        """What somebody typed: `reason`, `details` and `failed`, those of them that there are."""
        if row.sealed is None:
            return {} if row.sealed_sha256 is None else {"reason": FORGOTTEN_REASON}
        content = self._opened(row.no, row.sealed)
        if content is None:
            return {"reason": SEALED_REASON}
        typed: dict[str, Any] = cbor2.loads(content)
        return typed

    def _opened(self, no: int, sealed: bytes) -> bytes | None:
        try:
            return self._vault.open(sealed, _about(no))
        except SealError:
            return None


def _is_open(row: AuditRow) -> bool:
    """Whether an entry has something that somebody typed, and that is not sealed."""
    return row.sealed_sha256 is None and row != _closed(row)


def _closed(row: AuditRow) -> AuditRow:
    """An entry without what somebody typed: a reason that is a word stays."""
    word = row.reason if row.reason is None or stored_as(row.reason) == row.reason else None
    return row._replace(reason=word, failed=None if row.failed is None else "", details=_EMPTY)


def _typed_in(row: AuditRow) -> dict[str, Any]:
    """What somebody typed in an entry that is not sealed."""
    closed = _closed(row)
    return {"reason": row.reason if row.reason != closed.reason else None, "details": cbor2.loads(row.details), "failed": row.failed}


def _has(content: bytes | None, texts: Sequence[bytes]) -> bool:
    folded = content.decode(errors="replace").casefold().encode() if content is not None else b""
    return any(text in folded for text in texts)


def _start(connection: Connection) -> AuditStartRow:
    """What the first entry follows from."""
    found = connection.execute(select(audit_start).order_by(audit_start.c.no.desc()).limit(1)).one_or_none()
    return AuditStartRow(*found) if found is not None else AuditStartRow(0, FIRST)


def _about(no: int) -> bytes:
    return b"audit\0" + str(no).encode()


def _is_as_it_was(row: AuditRow) -> bool:
    return row.sealed is None or hashlib.sha256(lasting_part(row.sealed)).digest() == row.sealed_sha256


def _chain(before: bytes, row: AuditRow) -> bytes:
    # Entries from before there were people, or sealed reasons, keep their hashes.
    later = (row.person, row.sealed_sha256) if row.sealed_sha256 is not None else (row.person,) if row.person is not None else ()
    entry = (*row[: row._fields.index("person")], *later)
    return hashlib.sha256(before + cbor2.dumps(entry, canonical=True)).digest()
