"""Reads for files of carriers and shops: the orders of carriers' numbers, which events are known, which orders have changed since a position of the log."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from sqlalchemy import Connection, Engine, delete, func, insert, select

from bridge.ingest.channel_files import ChannelFileRow, DenialRow, ExportRow
from bridge.ingest.codes import COMMON
from bridge.store import tables as t
from bridge.store.relations import chunks
from bridge.store.sqlite import translated


class CarrierQueries:
    """The reads of `operations.carrier_ports.CarrierQueries`."""

    _reader: Engine

    def orders_with_numbers(self, numbers: Collection[str]) -> dict[str, set[str]]:
        found: dict[str, set[str]] = {}
        with translated(), self._reader.connect() as connection:
            for some in chunks(list(numbers)):
                labels = select(t.codes.c.code, t.codes.c.order_id).where(t.codes.c.code.in_(some), t.codes.c.order_id != COMMON)
                told = select(t.tracking_numbers.c.number, t.tracking_numbers.c.order_id).where(t.tracking_numbers.c.number.in_(some))
                for number, order_id in connection.execute(labels.union(told)):
                    found.setdefault(number, set()).add(order_id)
        return found

    def known_events(self, device: str, ids: Collection[bytes]) -> set[bytes]:
        found: set[bytes] = set()
        with translated(), self._reader.connect() as connection:
            for some in chunks(list(ids)):
                found.update(connection.execute(select(t.events.c.id).where(t.events.c.id.in_(some), t.events.c.device == device)).scalars())
        return found

    def log_end(self) -> int:
        with translated(), self._reader.connect() as connection:
            return connection.execute(select(func.max(t.events.c.pos))).scalar() or 0

    def log_before(self, at_ms: int) -> int:
        with translated(), self._reader.connect() as connection:
            first = select(func.min(t.events.c.pos)).where(t.events.c.received_ms >= at_ms)
            found = connection.execute(first).scalar()
            return found - 1 if found is not None else connection.execute(select(func.max(t.events.c.pos))).scalar() or 0

    def changed_orders(self, channel: str, *, after_pos: int, upto_pos: int) -> list[str]:
        pos = t.events.c.pos
        own = select(t.events.c.order_id).where(pos > after_pos, pos <= upto_pos, t.events.c.order_id.is_not(None))
        moved = select(t.placed.c.order_id).where(t.placed.c.pos > after_pos, t.placed.c.pos <= upto_pos)
        orders = t.orders.c
        query = select(orders.order_id).where(orders.channel == channel, orders.state != "", orders.order_id.in_(own.union(moved)))
        with translated(), self._reader.connect() as connection:
            return list(connection.execute(query.order_by(orders.order_id)).scalars())

    def exported(self, channel: str, form: str) -> ExportRow | None:
        with translated(), self._reader.connect() as connection:
            found = connection.execute(select(t.exports).where(t.exports.c.channel == channel, t.exports.c.form == form)).one_or_none()
            return ExportRow(*found) if found is not None else None

    def channel_files(self) -> list[ChannelFileRow]:
        with translated(), self._reader.connect() as connection:
            return [ChannelFileRow(*row) for row in connection.execute(select(t.channel_files).order_by(t.channel_files.c.channel))]

    def denials(self, order_ids: Sequence[str] | None = None) -> list[DenialRow]:
        query = select(t.denials).order_by(t.denials.c.order_id, t.denials.c.parcel, t.denials.c.channel)
        found = []
        with translated(), self._reader.connect() as connection:
            for some in chunks(list(order_ids)) if order_ids is not None else [None]:
                found += [DenialRow(*row) for row in connection.execute(query if some is None else query.where(t.denials.c.order_id.in_(some)))]
        return found


def remember_export(engine: Engine, row: ExportRow) -> None:
    """Store which changes the last file for a shop had."""
    with translated(), engine.begin() as connection:
        connection.execute(delete(t.exports).where(t.exports.c.channel == row.channel, t.exports.c.form == row.form))
        connection.execute(insert(t.exports).values(**row._asdict()))


def note_file(engine: Engine, row: ChannelFileRow) -> None:
    """Store that a file of a channel came in."""
    with translated(), engine.begin() as connection:
        connection.execute(delete(t.channel_files).where(t.channel_files.c.channel == row.channel))
        connection.execute(insert(t.channel_files).values(**row._asdict()))


def put_denials(engine: Engine, rows: Sequence[DenialRow], *, denials_max: int) -> None:
    """Store what a carrier denies; of all of them only the newest are kept."""
    with translated(), engine.begin() as connection:
        for row in rows:
            _drop(connection, row)
            connection.execute(insert(t.denials).values(**row._asdict()))
        beyond = connection.execute(select(t.denials).order_by(t.denials.c.at_ms.desc()).offset(denials_max)).fetchall()
        for old in beyond:
            _drop(connection, DenialRow(*old))


def _drop(connection: Connection, row: DenialRow) -> None:
    d = t.denials.c
    connection.execute(delete(t.denials).where(d.order_id == row.order_id, d.parcel == row.parcel, d.channel == row.channel))
