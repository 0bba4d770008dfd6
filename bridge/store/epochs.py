"""A site's epoch in its database: read when the site is opened, begun anew when the database was restored."""

from __future__ import annotations

from sqlalchemy import Engine, func, select

from bridge.store.sqlite import translated
from bridge.store.tables import SESSION_STATE, epochs


def current_epoch(engine: Engine) -> int:
    """The epoch of a database, 0 if it was never restored.

    Raises:
        StoreUnavailable: if it can't be read now.
    """
    with translated(), engine.connect() as connection:
        return connection.execute(select(func.max(epochs.c.epoch))).scalar_one() or 0


def begin_epoch(engine: Engine, *, now_ms: int, after: int = 0) -> int:
    """Begin a new epoch in a database that was restored, and end all sessions: an old QoS 2 packet id must not swallow a new message. Returns the epoch.

    Args:
        after: an epoch that has been; the new one is later. A backup may be older than the last restore.

    Raises:
        StoreUnavailable: if it can't be written now.
    """
    epoch = max(current_epoch(engine), after) + 1
    with translated(), engine.begin() as connection:
        for table in SESSION_STATE:
            connection.execute(table.delete())
        connection.execute(epochs.insert().values(epoch=epoch, begun_ms=now_ms))
    return epoch
