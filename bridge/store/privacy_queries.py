"""Reads of what is sealed, and of what was or is to be forgotten."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Engine, select

from bridge.ingest.sealing import ForgottenRow
from bridge.operations.privacy_ports import SealedPart
from bridge.store import tables as t
from bridge.store.relations import chunks
from bridge.store.sealing import rows_by_key
from bridge.store.sqlite import translated


class PrivacyQueries:
    """See `operations.privacy_ports.PrivacyQueries`."""

    def __init__(self, reader: Engine) -> None:
        self._reader = reader

    def sealed_parts(self, order_ids: Sequence[str]) -> list[SealedPart]:
        columns = (t.sealed.c.order_id, t.sealed.c.pos, t.events.c.device, t.events.c.id, t.events.c.type, t.events.c.event_ms, t.receipts.c.outcome)
        query = select(*columns, t.sealed.c.sealed).join(t.events, t.events.c.pos == t.sealed.c.pos).join(t.receipts, t.receipts.c.pos == t.sealed.c.pos)
        with translated(), self._reader.connect() as connection:
            return [
                SealedPart(*row)
                for some in chunks(list(order_ids))
                for row in connection.execute(query.where(t.sealed.c.order_id.in_(some)).order_by(t.sealed.c.order_id, t.sealed.c.pos))
            ]

    def rows_by_key(self) -> dict[bytes, int]:
        return rows_by_key(self._reader)

    def payload_at(self, pos: int) -> bytes:
        with translated(), self._reader.connect() as connection:
            payload: bytes = connection.execute(select(t.events.c.payload).where(t.events.c.pos == pos)).scalar_one()
            return payload

    def orders_with_hash(self, kind: str, hashes: Sequence[bytes], *, limit: int) -> list[str]:
        these = select(t.contact_hashes.c.pos).where(t.contact_hashes.c[kind].in_(hashes))
        found = select(t.sealed.c.order_id).where(t.sealed.c.pos.in_(these)).distinct().order_by(t.sealed.c.order_id).limit(limit)
        with translated(), self._reader.connect() as connection:
            return list(connection.execute(found).scalars())

    def forgotten(self, order_id: str) -> int | None:
        with translated(), self._reader.connect() as connection:
            return connection.execute(select(t.forgotten.c.at_ms).where(t.forgotten.c.order_id == order_id)).scalar_one_or_none()

    def forgotten_among(self, order_ids: Sequence[str]) -> list[str]:
        query = select(t.forgotten.c.order_id)
        with translated(), self._reader.connect() as connection:
            return [found for some in chunks(list(order_ids)) for found in connection.execute(query.where(t.forgotten.c.order_id.in_(some))).scalars()]

    def legal_holds(self) -> list[ForgottenRow]:
        with translated(), self._reader.connect() as connection:
            return [ForgottenRow(*row) for row in connection.execute(select(t.legal_holds).order_by(t.legal_holds.c.order_id))]

    def forget_requests(self) -> list[ForgottenRow]:
        with translated(), self._reader.connect() as connection:
            return [ForgottenRow(*row) for row in connection.execute(select(t.forget_requests).order_by(t.forget_requests.c.order_id))]
