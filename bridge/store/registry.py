"""Enrolled devices and their secrets. Secrets are hashed with argon2id and shown once, when they are made."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import Any, NamedTuple

from msgspec.structs import replace
from sqlalchemy import Connection, Engine, delete, insert, or_, select

from bridge.domain.access import Identity
from bridge.errors import BridgeError, NotFound
from bridge.operations.fleet import ALL_ORDERS, Action, DeviceChange, Fault
from bridge.operations.ports import Device
from bridge.passwords import HASHER, hash_secret, new_secret
from bridge.passwords import matches as _matches
from bridge.store.credentials import CredentialsLog
from bridge.store.fleet import ENDS_CLAIM, Row, changed
from bridge.store.sqlite import translated
from bridge.store.tables import ClaimRow, claims, devices
from devices.protocol.vocabulary import Role


class _Plan(NamedTuple):
    """What changes make of the rows of devices, and why some can't be made."""

    rows: Mapping[str, Row | None]
    faults: Sequence[Fault]
    errors: Sequence[BridgeError]


def _nothing_else(connection: Connection) -> None:
    """A change of devices alone."""


class Registry:
    """The devices that may connect. Writes use the same engine as all other writes; a verified secret is remembered until its hash changes.

    Args:
        log: keeps every change beside the database, so that a restore does not undo it; None for a database that is not a site's.
    """

    def __init__(self, engine: Engine, reader: Engine, site: str, log: CredentialsLog | None = None) -> None:
        self._engine = engine
        self._log = log
        self._reader = reader
        self._site = site
        self._key = secrets.token_bytes(32)
        self._verified: dict[str, tuple[str, bytes]] = {}

    # --- reading ----------------------------------------------------------------------------------------------------------

    def verify(self, device: str, secret: str) -> Identity | None:
        """The identity behind a username and password, or None. Slow on purpose; call it off the event loop.

        An unknown name costs the same time as a wrong password.
        """
        row = self._row(device)
        if row is None or row.revoked_ms is not None or row.password_hash is None:
            _matches(self._decoy_hash, secret)
            return None
        proof = hmac.new(self._key, secret.encode(), hashlib.sha256).digest()
        known = self._verified.get(device)
        if known is not None and known[0] == row.password_hash and hmac.compare_digest(known[1], proof):
            return self._identity(row)
        if not _matches(row.password_hash, secret):
            return None
        self._verified[device] = (row.password_hash, proof)
        return self._identity(row)

    def remembers(self, device: str, secret: str) -> bool:
        """Whether this secret was correct for this device before; it may have changed since."""
        known = self._verified.get(device)
        return known is not None and hmac.compare_digest(known[1], hmac.new(self._key, secret.encode(), hashlib.sha256).digest())

    def refusal(self, device: str) -> str:
        """Why a login under this name was refused, for the server's log; a client is never told."""
        row = self._row(device)
        if row is None:
            return "no device has this name"
        if row.revoked_ms is not None:
            return "the device was revoked"
        wrong = [what for what, known in (("password", row.password_hash), ("certificate", row.certificate_sha256)) if known is not None]
        return f"the {' or '.join(wrong)} is wrong" if wrong else "the device has no password"

    def verify_certificate(self, device: str, sha256: str) -> Identity | None:
        """The identity behind a certificate that the authority signed, or None: only a device's newest certificate is accepted."""
        row = self._row(device)
        if row is None or row.revoked_ms is not None or row.certificate_sha256 is None:
            return None
        return self._identity(row) if hmac.compare_digest(row.certificate_sha256, sha256) else None

    def identity(self, device: str) -> Identity:
        """The identity of an enrolled device.

        Raises:
            NotFound: if it is not enrolled.
        """
        return self._identity(self._enrolled_row(device))

    def identities(self) -> dict[str, Identity]:
        """The identities of all devices that are enrolled and not revoked, in one read."""
        with translated(), self._reader.connect() as connection:
            rows = connection.execute(select(devices).where(devices.c.revoked_ms.is_(None)))
            return {row.device: self._identity(row) for row in rows}

    @cached_property
    def _decoy_hash(self) -> str:
        """A hash that no secret matches. It is made on first use, because this takes longer than the rest of a start."""
        return HASHER.hash(secrets.token_hex(8))

    def _identity(self, row: Any) -> Identity:
        return Identity(
            site=self._site,
            device=row.device,
            role=Role(row.role),
            courier=row.courier,
            orders_prefix=row.orders_prefix,
            at=row.at,
            enrolled_ms=row.created_ms,
        )

    def _row(self, device: str) -> Any:
        with translated(), self._reader.connect() as connection:
            return connection.execute(select(devices).where(devices.c.device == device)).one_or_none()

    def _enrolled_row(self, device: str) -> Any:
        row = self._row(device)
        if row is None:
            raise NotFound(f"there is no device {device}", fix="list the devices with `dockbridge device list`")
        return row

    def list(self) -> list[Device]:
        with translated(), self._reader.connect() as connection:
            return [device_of(r._asdict()) for r in connection.execute(select(devices).order_by(devices.c.device))]

    def has_courier(self, courier: str) -> bool:
        query = select(devices.c.device).where(devices.c.courier == courier, devices.c.revoked_ms.is_(None)).limit(1)
        with translated(), self._reader.connect() as connection:
            return connection.execute(query).first() is not None

    def find(self, device: str) -> Device | None:
        row = self._row(device)
        return device_of(row._asdict()) if row is not None else None

    def get(self, device: str) -> Device:
        """One device.

        Raises:
            NotFound: if it is not enrolled.
        """
        return device_of(self._enrolled_row(device)._asdict())

    # --- changing ---------------------------------------------------------------------------------------------------------

    def faults(self, changes: Sequence[DeviceChange], *, now_ms: int) -> Sequence[Fault]:
        """Why some of these changes can't be made, one after the other; none if all can."""
        return self._planned(changes, now_ms).faults

    def apply(self, changes: Sequence[DeviceChange], *, now_ms: int) -> None:
        """Make changes, one after the other, all of them or none.

        Raises:
            NotFound: if a device is not enrolled.
            Refused: if one can't be made.
        """
        plan = self._planned(changes, now_ms)
        if plan.errors:
            raise plan.errors[0]
        last: dict[str, ClaimRow | None] = {}
        for c in changes:
            if c.claim is not None:
                last[c.device] = ClaimRow(c.device, c.claim.token_sha256, now_ms, now_ms + c.claim.valid_ms, 0)
            elif c.action in ENDS_CLAIM:
                last[c.device] = None

        def write_claims(connection: Connection) -> None:
            connection.execute(delete(claims).where(or_(claims.c.expires_ms <= now_ms, claims.c.device.in_(sorted(last)))))
            if issued := [row._asdict() for row in last.values() if row is not None]:
                connection.execute(insert(claims), issued)

        self.write(plan.rows, write_claims)

    def _planned(self, changes: Sequence[DeviceChange], now_ms: int) -> _Plan:
        rows: dict[str, Row | None] = {}
        faults, errors = [], []
        for index, change in enumerate(changes):
            name = change.device
            try:
                if name not in rows:
                    rows[name] = found._asdict() if (found := self._row(name)) is not None else None
                rows[name] = changed(rows[name], change, now_ms)
            except BridgeError as error:
                faults.append(Fault(index, str(error), error.fix))
                errors.append(error)
        return _Plan(rows, faults, errors)

    def write(self, rows: Mapping[str, Row | None], also: Callable[[Connection], None] = _nothing_else) -> None:
        """Write the whole rows of devices, None for one that is removed, and what `also` writes, in one transaction. They go into the log right before the
        commit, so that no restore can undo what was done, and the log says nothing that could not be written."""
        with translated(), self._engine.begin() as connection:
            for device, row in rows.items():
                connection.execute(delete(devices).where(devices.c.device == device))
                if row is not None:
                    connection.execute(insert(devices).values(**row))
            also(connection)
            if self._log is not None:
                self._log.append(rows)
        for device in rows:
            self._verified.pop(device, None)

    def add(
        self,
        device: str,
        role: Role,
        *,
        now_ms: int,
        courier: str | None = None,
        orders_prefix: str | None = None,
        at: str | None = None,
        with_secret: bool = True,
    ) -> str | None:
        """Enrol a device. Returns its secret, to be shown once. A system without an `orders_prefix` serves all orders of the site.

        Raises:
            Refused: if it is enrolled already, or its name can't be used.
        """
        secret = new_secret() if with_secret else None
        orders = (orders_prefix or ALL_ORDERS) if role is Role.SYSTEM else orders_prefix
        change = DeviceChange(action=Action.ADD, device=device, role=role, courier=courier, orders=orders, at=at)
        if secret is not None:
            self._check(change, now_ms)
            change = replace(change, password_hash=hash_secret(secret))
        self.apply([change], now_ms=now_ms)
        return secret

    def rotate(self, device: str, *, now_ms: int, readmit: bool = False) -> str:
        """Give a device a new secret; the old one becomes invalid at once. With `readmit`, a revoked device may connect again.

        Raises:
            NotFound: if it is not enrolled.
            Refused: if it was revoked.
        """
        change = DeviceChange(action=Action.ROTATE, device=device, readmit=readmit)
        self._check(change, now_ms)
        secret = new_secret()
        self.apply([replace(change, password_hash=hash_secret(secret))], now_ms=now_ms)
        return secret

    def revoke(self, device: str, *, now_ms: int) -> None:
        """Revoke a device: it can't connect any more. The events that it sent stay.

        Raises:
            NotFound: if it is not enrolled.
        """
        self.apply([DeviceChange(action=Action.REVOKE, device=device)], now_ms=now_ms)

    def certify(self, device: str, sha256: str) -> None:
        """Accept this certificate (its SHA-256, hex) for a device from now on, instead of any previous one. Its secret stays valid.

        Raises:
            NotFound: if it is not enrolled.
            Refused: if it was revoked.
        """
        self.get(device).check_admitted()
        self.write({device: {**self.row_of(device), "certificate_sha256": sha256}})

    def _check(self, change: DeviceChange, now_ms: int) -> None:
        """Whether a change can be made, before time is spent on a hash."""
        for error in self._planned([change], now_ms).errors:
            raise error

    def row_of(self, device: str) -> Row:
        """The whole row of an enrolled device.

        Raises:
            NotFound: if it is not enrolled.
        """
        row: Row = self._enrolled_row(device)._asdict()
        return row


def device_of(row: Mapping[str, Any]) -> Device:
    """A device from its row, as the table and the log of credentials have it."""
    return Device(
        device=row["device"],
        role=Role(row["role"]),
        courier=row["courier"],
        orders_prefix=row["orders_prefix"],
        at=row["at"],
        created_ms=row["created_ms"],
        rotated_ms=row["rotated_ms"],
        revoked_ms=row["revoked_ms"],
        has_secret=row["password_hash"] is not None,
        certificate_sha256=row["certificate_sha256"],
    )
