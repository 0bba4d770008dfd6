"""What a database says of itself: the site that it belongs to, and its epoch."""

from __future__ import annotations

from sqlalchemy import Engine, func, select

from bridge.errors import StoreError
from bridge.store.sqlite import translated
from bridge.store.tables import SESSION_STATE, epochs, site


def claim(engine: Engine, name: str) -> None:
    """Make sure that a database belongs to this site. One that belongs to no site yet becomes this site's.

    Raises:
        StoreError: if it is another site's.
        StoreUnavailable: if it can't be read or written now.
    """
    with translated(), engine.begin() as connection:
        owner = connection.execute(select(site.c.name)).scalar()
        if owner is None:
            connection.execute(site.insert().values(name=name))
        elif owner != name:
            raise StoreError(
                f"the database is that of site {owner}, and bridge.toml says site {name}",
                fix=f'put the right database back with `dockbridge db restore FILE`, or write [site] name = "{owner}"',
            )


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
