"""Enrol devices, look at them, and shut them out."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from enum import StrEnum
from typing import Final

from msgspec import Struct

from bridge.domain.ledger import Ledger
from bridge.errors import Refused
from bridge.operations.ports import Device, FailedLogins, Row, SiteContext, SiteReader
from devices.protocol.vocabulary import Role

ALL_ORDERS: Final = "all"
"""What stands in place of a prefix for a system that serves every order of the site."""


class DeviceState(StrEnum):
    """Whether a device may log in, and what it may use."""

    ENROLLED = "enrolled"
    OUTSIDE = "enrolled, outside v1/ only"
    NO_LOGIN = "no login"
    REVOKED = "revoked"


class Enrolled(Struct, frozen=True, kw_only=True):
    """A new device. Its secret is stored only as a hash: this is the one time that it can be read."""

    device: str
    role: Role
    secret: str | None


class NewSecret(Struct, frozen=True, kw_only=True):
    """A device's new secret, as in `Enrolled`."""

    device: str
    secret: str


class Revoked(Struct, frozen=True, kw_only=True):
    """A device that is shut out. `jobs` are the open jobs of its courier, if no other phone of that courier is left."""

    device: str
    courier: str | None
    jobs: list[str]


class DeviceRow(Struct, frozen=True, kw_only=True):
    """One device at a glance. `events` and `owes` are None for a device whose seq is not counted, such as a system.

    `orders` is the prefix of a system's orders, or `ALL_ORDERS`.
    """

    device: str
    role: Role
    courier: str | None
    at: str | None
    orders: str | None
    online: bool
    events: int | None
    owes: int | None
    heard_ms: int | None
    enrolled_ms: int
    certificate: str | None
    failed: int
    failed_ms: int | None
    failed_from: str | None
    state: DeviceState


class DeviceLog(Struct, frozen=True, kw_only=True):
    """What was received of one log of a device. `gaps` are the ranges of seq that are missing, first and last.

    `reused` counts events whose seq another event had before: the device's outbox was restored from a backup, or copied.
    """

    log: bytes
    high: int
    owes: int
    reused: int
    gaps: list[list[int]]
    heard_ms: int


class DroppedPoints(Struct, frozen=True, kw_only=True):
    """How many points of a phone were not used for one reason, when the last of them came, and what was wrong with it."""

    reason: str
    points: int
    last_ms: int
    detail: str | None


class DeviceDetails(Struct, frozen=True, kw_only=True):
    """One device with its last presence, its logs, and the points that were not used if it is a courier's phone."""

    row: DeviceRow
    presence: Row | None
    logs: list[DeviceLog]
    dropped_points: list[DroppedPoints]


# --- changing ---------------------------------------------------------------------------------------------------------------


async def add(
    site: SiteContext,
    device: str,
    role: Role,
    courier: str | None = None,
    orders: str | None = None,
    at: str | None = None,
) -> Enrolled:
    """Enrol a device.

    Args:
        orders: of a system, and only of a system: the prefix of its orders' ids, or `ALL_ORDERS`.

    Raises:
        Refused: if it is enrolled already, its name can't be used, or it is not said which orders a system serves.
    """
    now_ms, prefix = site.clock.now_ms(), prefix_of(role, orders)
    secret = await site.on_writer(lambda: site.registry.add(device, role, now_ms=now_ms, courier=courier, orders_prefix=prefix, at=at))
    return Enrolled(device=device, role=role, secret=secret)


def prefix_of(role: Role, orders: str | None) -> str | None:
    """The prefix of the orders that a new device sends and reads about; None if it is not limited to any.

    Raises:
        Refused: if it is not said which orders a system serves, or said of another role.
    """
    if role is not Role.SYSTEM:
        if orders is not None:
            raise Refused(f"a {role} is not limited to some orders", fix="leave --orders out: only a system has orders of its own")
        return None
    if orders is None:
        fix = f"give it --orders PREFIX (shop1- for orders such as shop1-1001), or --orders {ALL_ORDERS} if it serves the whole site"
        raise Refused("which orders does this system serve? It sends and reads about those only", fix=fix)
    return None if orders == ALL_ORDERS else orders


async def rotate(site: SiteContext, device: str, readmit: bool = False) -> NewSecret:
    """Give a device a new secret and close its connections; its sessions stay. With `readmit` a revoked device is enrolled again.

    Raises:
        NotFound: if it is not enrolled.
        Refused: if it was revoked.
    """
    secret = await site.on_writer(lambda: site.registry.rotate(device, now_ms=site.clock.now_ms(), readmit=readmit))
    site.disconnect(device, "its password was changed", end_sessions=False)
    return NewSecret(device=device, secret=secret)


async def revoke(site: SiteContext, device: str, reason: str = "") -> Revoked:
    """Shut a device out: its connections are closed and its sessions end. What it has sent stays.

    Raises:
        NotFound: if it is not enrolled.
    """
    courier = site.registry.get(device).courier
    await site.on_writer(lambda: site.registry.revoke(device, now_ms=site.clock.now_ms()))
    site.disconnect(device, "the device was revoked", end_sessions=True)
    if courier is None or site.registry.has_courier(courier):
        return Revoked(device=device, courier=courier, jobs=[])
    return Revoked(device=device, courier=courier, jobs=[job.id for job in site.queries.jobs(courier=courier, only_open=True)])


async def certify(site: SiteContext, device: str, sha256: str) -> None:
    """Let a device log in with the certificate that has this SHA-256 (hex), and with no earlier one.

    Raises:
        NotFound: if it is not enrolled.
        Refused: if it was revoked.
    """
    await site.on_writer(lambda: site.registry.certify(device, sha256))
    site.disconnect(device, "it has a new certificate", end_sessions=False)


async def ensure_channel(site: SiteContext, device: str, role: Role) -> None:
    """Enrol a device that only this side uses. It has no secret, so that no client can log in as it, and may send about any order.

    Raises:
        Refused: if it is enrolled with another role.
    """
    known = site.registry.find(device)
    if known is None:
        now_ms = site.clock.now_ms()
        await site.on_writer(lambda: site.registry.add(device, role, now_ms=now_ms, with_secret=False))
    elif known.role is not role:
        raise Refused(f"{device} is enrolled as {known.role}, not as {role}", fix="choose another name for the channel")


# --- reading ----------------------------------------------------------------------------------------------------------------


async def list_devices(site: SiteReader, connected: Collection[str], failed_logins: Mapping[str, FailedLogins]) -> list[DeviceRow]:
    """Every device. `connected` and `failed_logins` are what the running server says; empty if none runs."""
    devices = site.registry.list()
    ledgers: dict[str, list[Row]] = {}
    for ledger in site.queries.ledgers():
        ledgers.setdefault(ledger["device"], []).append(ledger)
    return [_row(d, ledgers.get(d.device, []), d.device in connected, failed_logins.get(d.device)) for d in devices]


async def show_device(site: SiteReader, device: str, connected: Collection[str], failed_logins: Mapping[str, FailedLogins]) -> DeviceDetails:
    """One device.

    Raises:
        NotFound: if it is not enrolled.
    """
    found = site.registry.get(device)
    ledgers = site.queries.ledgers(device)
    presence = site.queries.presences([device]).get(device)
    logs = [
        DeviceLog(
            log=x["log"], high=x["high"], owes=x["owed"], reused=x["reused"], gaps=[list(gap) for gap in Ledger(x["ranges"]).gaps], heard_ms=x["updated_ms"]
        )
        for x in ledgers
    ]
    dropped = [DroppedPoints(reason=x["reason"], points=x["points"], last_ms=x["last_ms"], detail=x["detail"]) for x in site.queries.dropped_points(device)]
    return DeviceDetails(row=_row(found, ledgers, device in connected, failed_logins.get(device)), presence=presence, logs=logs, dropped_points=dropped)


async def check_admitted(site: SiteReader, device: str) -> None:
    """Raises:
    NotFound: if a device is not enrolled.
    Refused: if it was revoked.
    """
    site.registry.get(device).check_admitted()


def _row(device: Device, ledgers: Sequence[Row], online: bool, failed: FailedLogins | None) -> DeviceRow:
    return DeviceRow(
        device=device.device,
        role=device.role,
        courier=device.courier,
        at=device.at,
        orders=(device.orders_prefix or ALL_ORDERS) if device.role is Role.SYSTEM else None,
        online=online,
        events=sum(x["high"] - x["owed"] for x in ledgers) if ledgers else None,
        owes=sum(x["owed"] for x in ledgers) if ledgers else None,
        heard_ms=max((x["updated_ms"] for x in ledgers), default=None),
        enrolled_ms=device.created_ms,
        certificate=device.certificate_sha256,
        failed=failed.times if failed is not None else 0,
        failed_ms=failed.last_ms if failed is not None else None,
        failed_from=failed.source if failed is not None else None,
        state=_state(device),
    )


def _state(device: Device) -> DeviceState:
    if not device.is_admitted:
        return DeviceState.REVOKED
    if not device.can_log_in:
        return DeviceState.NO_LOGIN
    return DeviceState.OUTSIDE if device.role is Role.LAB else DeviceState.ENROLLED
