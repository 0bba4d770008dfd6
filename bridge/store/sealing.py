"""What stood open in a database from before there were keys, sealed once."""

from __future__ import annotations

from sqlalchemy import Engine, null, select, update

from bridge.ingest.sealing import about_message
from bridge.store.sqlite import translated
from bridge.store.tables import quarantine
from bridge.vault import Vault

ROWS_AT_ONCE = 1_000


def seal_after_upgrade(engine: Engine, vault: Vault) -> None:
    """Seal the payloads in quarantine that are not sealed yet. Without any, this costs one look-up.

    Raises:
        StoreUnavailable: if the database can't be written.
    """
    q = quarantine.c
    open_rows = select(q.no, q.device, q.digest, q.payload).where(q.pos == null(), q.is_sealed.is_(False)).order_by(q.no).limit(ROWS_AT_ONCE)
    while True:
        with translated(), engine.begin() as connection:
            rows = connection.execute(open_rows).all()
            if not rows:
                return
            for row in rows:
                sealed = vault.seal(row.payload, about_message(row.device, row.digest))
                connection.execute(update(quarantine).where(q.no == row.no).values(payload=sealed, is_sealed=True))
