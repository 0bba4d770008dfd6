"""Claims that are not redeemed: who may get a secret for a device, once. `registry.py` issues and withdraws them, with the devices that they are for."""

from __future__ import annotations

import hmac
from collections.abc import Sequence, Set
from typing import Any, Final

from sqlalchemy import Connection, Engine, delete, select, update

from bridge.domain.access import Identity, Redeems
from bridge.operations.fleet import OpenClaim
from bridge.passwords import token_digest
from bridge.store.registry import Registry
from bridge.store.sqlite import translated
from bridge.store.tables import claims

HANDED_MAX: Final = 20
"""Secrets that one claim brings at most: each makes the one before void, and is a line in the log of credentials."""


class Claims:
    """The claims of one site. `hand_out` and `end` write, on the writer's thread."""

    def __init__(self, engine: Engine, reader: Engine, registry: Registry) -> None:
        self._engine = engine
        self._reader = reader
        self._registry = registry

    def verify(self, device: str, token: str, *, now_ms: int) -> Identity | None:
        """The identity of a client that redeems the claim of a device; None if the token is wrong, or the claim expired."""
        redeems = Redeems(device, token_digest(token))
        if self._valid(redeems, now_ms) is None or not (found := self._registry.find(device)) or not found.is_admitted:
            return None
        return self._registry.identity(device).redeeming(redeems)

    def refusal(self, device: str, *, now_ms: int) -> str:
        """Why a claim was refused, for the server's log; a client is never told."""
        row = self._row(device)
        if row is None:
            return "the device has no claim that is not redeemed"
        if row.handed >= HANDED_MAX:
            return "the claim was redeemed too often without an answer that its secret has arrived"
        return "the claim has expired" if row.expires_ms <= now_ms else "the token is wrong"

    def hand_out(self, redeems: Redeems, password_hash: str, *, now_ms: int) -> int | None:
        """Give a device a new secret, by its hash, in place of any other. The claim goes on until it is known that the secret has arrived. Returns which one of
        the claim it is: an earlier one is void. None if the claim ended meanwhile."""
        row, device = self._valid(redeems, now_ms), redeems.device
        if row is None or row.handed >= HANDED_MAX:
            return None
        nth: int = row.handed + 1

        def count(connection: Connection) -> None:
            connection.execute(update(claims).where(claims.c.device == device).values(handed=nth))

        self._registry.write({device: {**self._registry.row_of(device), "password_hash": password_hash, "rotated_ms": now_ms}}, count)
        return nth

    def end(self, device: str, nth: int | None = None) -> bool:
        """The secret has arrived: the claim is worth nothing any more. `nth` names the secret, None the last one that was sent; an earlier one ends nothing.
        Returns False if no claim ended."""
        which = claims.c.handed == nth if nth is not None else claims.c.handed > 0
        with translated(), self._engine.begin() as connection:
            return connection.execute(delete(claims).where(claims.c.device == device, which)).rowcount > 0

    def devices(self) -> Set[str]:
        """The devices that have a claim, expired or not."""
        with translated(), self._reader.connect() as connection:
            return set(connection.execute(select(claims.c.device)).scalars())

    def is_open(self, device: str, token_sha256: str) -> bool:
        """Whether this claim is stored, expired or not."""
        row = self._row(device)
        return row is not None and hmac.compare_digest(row.token_sha256, token_sha256)

    def revoke(self, names: Sequence[str]) -> None:
        """End the claims of devices."""
        with translated(), self._engine.begin() as connection:
            connection.execute(delete(claims).where(claims.c.device.in_(names)))

    def open(self, *, now_ms: int) -> Sequence[OpenClaim]:
        """Every claim that can be redeemed, by device."""
        with translated(), self._reader.connect() as connection:
            rows = connection.execute(select(claims).where(claims.c.expires_ms > now_ms).order_by(claims.c.device))
            return [OpenClaim(device=r.device, created_ms=r.created_ms, expires_ms=r.expires_ms, handed=r.handed) for r in rows]

    def _valid(self, redeems: Redeems, now_ms: int) -> Any:
        row = self._row(redeems.device)
        is_valid = row is not None and row.expires_ms > now_ms and hmac.compare_digest(row.token_sha256, redeems.token_sha256)
        return row if is_valid else None

    def _row(self, device: str) -> Any:
        with translated(), self._reader.connect() as connection:
            return connection.execute(select(claims).where(claims.c.device == device)).one_or_none()
