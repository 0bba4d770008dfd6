"""Enrol devices, look at them, and shut them out."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from enum import StrEnum

from msgspec import Struct
from msgspec.structs import replace

from bridge.domain.ledger import Ledger
from bridge.errors import Refused
from bridge.operations.fleet import ALL_ORDERS, Action, DeviceChange, Fault, NewClaim, OpenClaim
from bridge.operations.fleet_changes import Applied, check_all, faults, make
from bridge.operations.ports import Device, FailedLogins, Row, SiteContext, SiteReader
from bridge.passwords import hash_secret, new_secret
from devices.protocol.claims import CLAIM_PREFIX
from devices.protocol.vocabulary import Role


class DeviceState(StrEnum):
    """Whether a device may log in, and what it may use. `CLAIMED`: it has a code instead of a password, which may have expired."""

    ENROLLED = "enrolled"
    OUTSIDE = "enrolled, outside v1/ only"
    CLAIMED = "waits for its claim"
    NO_LOGIN = "no login"
    REVOKED = "revoked"


class Enrolled(Struct, frozen=True, kw_only=True):
    """A new device. Its secret is stored only as a hash: this is the one time that it can be read. None if the caller has it, or the device gets it itself."""

    device: str
    role: Role
    secret: str | None


class NewSecret(Struct, frozen=True, kw_only=True):
    """A device's new secret, as in `Enrolled`."""

    device: str
    secret: str | None


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
    password_hash: str | None = None,
    claim: NewClaim | None = None,
) -> Enrolled:
    """Enrol a device. If neither the hash of a secret is given nor a claim, a secret is made.

    Args:
        orders: of a system, and only of a system: the prefix of its orders' ids, or `ALL_ORDERS`.

    Raises:
        Refused: if it is enrolled already, its name can't be used, or it is not said which orders a system serves.
    """
    change = DeviceChange(action=Action.ADD, device=device, role=role, courier=courier, orders=orders, at=at, password_hash=password_hash, claim=claim)
    if password_hash is not None or claim is not None:
        await make(site, [change])
        return Enrolled(device=device, role=role, secret=None)
    await check_all(site, [change])
    secret = new_secret()
    await make(site, [replace(change, password_hash=await site.on_writer(lambda: hash_secret(secret)))])
    return Enrolled(device=device, role=role, secret=secret)


async def edit(site: SiteContext, device: str, courier: str | None = None, orders: str | None = None, at: str | None = None) -> None:
    """Change what is known of a device; None leaves a value as it is, an empty text takes it away. Its connections close, and it comes back as it is now.

    Raises:
        NotFound: if it is not enrolled.
        Refused: if it was revoked, or a value can't be used.
    """
    await make(site, [DeviceChange(action=Action.EDIT, device=device, courier=courier, orders=orders, at=at)])


async def rotate(site: SiteContext, device: str, readmit: bool = False, password_hash: str | None = None) -> NewSecret:
    """Give a device a new secret, or the one with this hash, and close its connections; its sessions stay. With `readmit` a revoked device is enrolled again.

    Raises:
        NotFound: if it is not enrolled.
        Refused: if it was revoked.
    """
    change = DeviceChange(action=Action.ROTATE, device=device, readmit=readmit, password_hash=password_hash)
    if password_hash is not None:
        await make(site, [change])
        return NewSecret(device=device, secret=None)
    await check_all(site, [change])
    secret = new_secret()
    await make(site, [replace(change, password_hash=await site.on_writer(lambda: hash_secret(secret)))])
    return NewSecret(device=device, secret=secret)


async def revoke(site: SiteContext, device: str, reason: str = "") -> Revoked:
    """Shut a device out: its connections are closed, its sessions and its claim end; its presence, alerts and positions are cleared. What it has sent stays.

    Raises:
        NotFound: if it is not enrolled.
    """
    (done,) = await make(site, [DeviceChange(action=Action.REVOKE, device=device)])
    return Revoked(device=device, courier=done.courier, jobs=done.jobs)


async def remove(site: SiteContext, device: str, revoke: bool = False, reason: str = "") -> Revoked:
    """Take a revoked device out of the registry; with `revoke`, any. What it has sent stays; what it owes, and its messages in quarantine, are given up.

    Raises:
        NotFound: if it is not enrolled.
        Refused: if it was not revoked.
    """
    (done,) = await make(site, [DeviceChange(action=Action.REMOVE, device=device, revoke=revoke)])
    return Revoked(device=device, courier=done.courier, jobs=done.jobs)


async def check(site: SiteContext, changes: list[DeviceChange]) -> list[Fault]:
    """Why some of these changes can't be made, one after the other; none if all can. Nothing is changed."""
    return await faults(site, changes)


async def apply(site: SiteContext, changes: list[DeviceChange], reason: str = "") -> list[Applied]:
    """Make changes, one after the other, all of them or none. Returns what was done, in the same order.

    Raises:
        NotFound: if a device is not enrolled.
        Refused: if one can't be made.
    """
    return await make(site, changes)


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


async def revoke_claims(site: SiteContext, names: list[str], reason: str = "") -> list[str]:
    """Make the claims of devices worth nothing, of all devices if none is named. Returns the devices that had one."""
    wanted = {claim.device for claim in await open_claims(site)}
    ended = sorted(wanted.intersection(names) if names else wanted)
    await site.on_writer(lambda: site.claims.revoke(ended))
    for device in ended:
        site.disconnect(CLAIM_PREFIX + device, "its claim was revoked", end_sessions=True)
    return ended


async def open_claims(site: SiteContext) -> list[OpenClaim]:
    """Every claim that can be redeemed, by device."""
    return list(site.claims.open(now_ms=site.clock.now_ms()))


# --- reading ----------------------------------------------------------------------------------------------------------------


async def list_devices(site: SiteReader, connected: Collection[str], failed_logins: Mapping[str, FailedLogins]) -> list[DeviceRow]:
    """Every device. `connected` and `failed_logins` are what the running server says; empty if none runs."""
    devices = site.registry.list()
    ledgers: dict[str, list[Row]] = {}
    for ledger in site.queries.ledgers():
        ledgers.setdefault(ledger["device"], []).append(ledger)
    claimed = site.claims.devices()
    return [_row(d, ledgers.get(d.device, []), d.device in connected, failed_logins.get(d.device), d.device in claimed) for d in devices]


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
    row = _row(found, ledgers, device in connected, failed_logins.get(device), device in site.claims.devices())
    return DeviceDetails(row=row, presence=presence, logs=logs, dropped_points=dropped)


async def check_admitted(site: SiteReader, device: str) -> None:
    """Raises:
    NotFound: if a device is not enrolled.
    Refused: if it was revoked.
    """
    site.registry.get(device).check_admitted()


def _row(device: Device, ledgers: Sequence[Row], online: bool, failed: FailedLogins | None, claimed: bool) -> DeviceRow:
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
        state=_state(device, claimed=claimed),
    )


def _state(device: Device, *, claimed: bool) -> DeviceState:
    if not device.is_admitted:
        return DeviceState.REVOKED
    if not device.can_log_in:
        return DeviceState.CLAIMED if claimed else DeviceState.NO_LOGIN
    return DeviceState.OUTSIDE if device.role is Role.LAB else DeviceState.ENROLLED
