"""The audit log: every act of a person, in the order in which they were asked for. Each entry holds the hash of the one before, so that none can be changed,
left out or put in between without it being seen; only the end can be cut off, and a copy of the last hash, kept elsewhere, shows that."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any, Final

import cbor2
from sqlalchemy import Engine, insert, select

from bridge.ingest.audit import AuditRow
from bridge.operations.audit import AuditEntry
from bridge.store.sqlite import translated
from bridge.store.tables import audit

FIRST: Final = bytes(32)
"""What stands for the hash before the first entry."""


class AuditLog:
    """Writes with the same engine as all other writes; call `append` on the writer's thread."""

    def __init__(self, engine: Engine, reader: Engine) -> None:
        self._engine = engine
        self._reader = reader
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
        """Add an entry. Durable when this returns."""
        with translated(), self._engine.begin() as connection:
            last = connection.execute(select(self._table.c.no, self._table.c.chain).order_by(self._table.c.no.desc()).limit(1)).one_or_none()
            no, before = (last.no + 1, last.chain) if last is not None else (1, FIRST)
            row = AuditRow(no, at_ms, who, act, subject, reason, failed, cbor2.dumps(details, canonical=True), person, b"")
            connection.execute(insert(self._table).values(**row._replace(chain=_chain(before, row))._asdict()))

    def entries(self, *, after: int = 0) -> Iterator[AuditEntry]:
        """The entries after a number, in their order; `is_sound` is False from the first one on that does not follow from the one before."""
        with translated(), self._reader.connect() as connection:
            rows = connection.execute(select(self._table).order_by(self._table.c.no))
            before, no, is_sound = FIRST, 0, True
            for found in rows:
                row = AuditRow(*found)
                is_sound = is_sound and row.no == no + 1 and row.chain == _chain(before, row)
                before, no = row.chain, row.no
                if row.no > after:
                    yield AuditEntry(
                        no=row.no,
                        at_ms=row.at_ms,
                        who=row.who,
                        person=row.person,
                        act=row.act,
                        subject=row.subject,
                        reason=row.reason,
                        failed=row.failed,
                        details=cbor2.loads(row.details),
                        chain=row.chain,
                        is_sound=is_sound,
                    )


def _chain(before: bytes, row: AuditRow) -> bytes:
    entry = row[:-1] if row.person is not None else row[:-2]  # entries from before there were people keep their hashes
    return hashlib.sha256(before + cbor2.dumps(entry, canonical=True)).digest()
