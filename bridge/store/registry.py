"""Enrolled devices and their secrets. Secrets are hashed with argon2id (RFC 9106) and shown once, when they are made."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Mapping
from functools import cached_property
from typing import Any, Final

from argon2 import PasswordHasher
from argon2.exceptions import Argon2Error, InvalidHashError
from sqlalchemy import Engine, delete, insert, select

from bridge.domain.access import Identity
from bridge.errors import NotFound, Refused
from bridge.operations.ports import Device
from bridge.store.credentials import CredentialsLog
from bridge.store.sqlite import translated
from bridge.store.tables import devices
from devices.protocol.topics import escape
from devices.protocol.vocabulary import Role

SECRET_BYTES: Final = 18
HASHER: Final = PasswordHasher(time_cost=2, memory_cost=19_456, parallelism=1)
"""OWASP's first choice for argon2id: 19 MiB, two passes. Secrets are random and long, so guessing is hopeless at any cost setting."""


def new_secret() -> str:
    """A secret that can be used on a command line: it does not begin with `-`, which would look like an option."""
    while (secret := secrets.token_urlsafe(SECRET_BYTES)).startswith("-"):
        pass
    return secret


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

    def is_enrolled(self, device: str) -> bool:
        return self._row(device) is not None

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

    # --- enrolling --------------------------------------------------------------------------------------------------------

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
        _check_name("device", device)
        if role is Role.COURIER and courier is None:
            courier = device
        for what, name in (("courier", courier), ("place", at), ("prefix", orders_prefix)):
            if name is not None:
                _check_name(what, name)
        if (known := self._row(device)) is not None:
            readmit = " --readmit" if known.revoked_ms is not None else ""
            raise Refused(f"device {device} is enrolled already", fix=f"`dockbridge device rotate {device}{readmit}` gives it a new secret")
        secret = new_secret() if with_secret else None
        values = {
            "device": device,
            "role": role.value,
            "courier": courier,
            "orders_prefix": orders_prefix,
            "at": at,
            "created_ms": now_ms,
            "password_hash": HASHER.hash(secret) if secret else None,
        }
        self._write({column.name: values.get(column.name) for column in devices.columns})
        return secret

    def rotate(self, device: str, *, now_ms: int, readmit: bool = False) -> str:
        """Give a device a new secret; the old one becomes invalid at once. With `readmit`, a revoked device may connect again.

        Raises:
            NotFound: if it is not enrolled.
            Refused: if it was revoked.
        """
        if not readmit:
            self.get(device).check_admitted()
        self.identity(device)
        secret = new_secret()
        self._update(device, password_hash=HASHER.hash(secret), rotated_ms=now_ms, revoked_ms=None)
        self._verified.pop(device, None)
        return secret

    def revoke(self, device: str, *, now_ms: int) -> None:
        """Revoke a device: it can't connect any more. The events that it sent stay.

        Raises:
            NotFound: if it is not enrolled.
        """
        self.identity(device)
        self._update(device, revoked_ms=now_ms, password_hash=None, certificate_sha256=None)
        self._verified.pop(device, None)

    def certify(self, device: str, sha256: str) -> None:
        """Accept this certificate (its SHA-256, hex) for a device from now on, instead of any previous one. Its secret stays valid.

        Raises:
            NotFound: if it is not enrolled.
            Refused: if it was revoked.
        """
        self.get(device).check_admitted()
        self._update(device, certificate_sha256=sha256)

    def _update(self, device: str, **values: Any) -> None:
        self._write({**self._enrolled_row(device)._asdict(), **values})

    def _write(self, row: dict[str, Any]) -> None:
        """Write a device's whole row: to the log first, so that no restore can undo what was done."""
        if self._log is not None:
            self._log.append(row)
        with translated(), self._engine.begin() as connection:
            connection.execute(delete(devices).where(devices.c.device == row["device"]))
            connection.execute(insert(devices).values(**row))


def _matches(password_hash: str, secret: str) -> bool:
    try:
        return HASHER.verify(password_hash, secret)
    except (Argon2Error, InvalidHashError):
        return False


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


def _check_name(what: str, name: str) -> None:
    try:
        escape(name)
    except ValueError as error:
        raise Refused(f"{what} {name!r}: {error}", fix="use letters, digits, _ and -") from error
    if name == "bridge":
        raise Refused("the name bridge is reserved", fix="choose another name")
