"""What a change of the registry brings with it: connections close, sessions end, and what a device has said that is shut out is cleared."""

from __future__ import annotations

from msgspec import Struct

from bridge.errors import Refused
from bridge.ingest.items import GiveUp, ShutOut
from bridge.operations.fleet import Action, DeviceChange, Fault
from bridge.operations.ports import SiteContext, Sought
from devices.protocol.claims import CLAIM_PREFIX


class Applied(Struct, frozen=True, kw_only=True):
    """What was done with a device. `courier` and `jobs` are as in `Revoked`, if it is shut out or removed."""

    action: Action
    device: str
    courier: str | None = None
    jobs: list[str] = []


async def faults(site: SiteContext, changes: list[DeviceChange]) -> list[Fault]:
    """Why some of these changes can't be made; none if all can."""
    return list(await site.on_writer(lambda: site.registry.faults(changes, now_ms=site.clock.now_ms())))


async def check_all(site: SiteContext, changes: list[DeviceChange]) -> None:
    """Raises:
    Refused: if a change can't be made.
    """
    for fault in await faults(site, changes):
        raise Refused(fault.text, fix=fault.fix)


async def make(site: SiteContext, changes: list[DeviceChange]) -> list[Applied]:
    """Make changes, all of them or none, and what each brings with it.

    Raises:
        NotFound: if a device is not enrolled.
        Refused: if one can't be made.
    """
    couriers = {d.device: d.courier for d in site.registry.list()}
    await site.on_writer(lambda: site.registry.apply(changes, now_ms=site.clock.now_ms()))
    return [await _follow(site, change, couriers.get(change.device)) for change in changes]


async def _follow(site: SiteContext, change: DeviceChange, courier: str | None) -> Applied:
    """What a change of the registry brings with it. `courier` is that of the device before."""
    device = change.device
    if change.action is not Action.EDIT:
        site.disconnect(CLAIM_PREFIX + device, "its claim is no longer valid", end_sessions=True)
    if change.action is Action.ROTATE:
        site.disconnect(device, "its password was changed", end_sessions=False)
    if change.action is Action.EDIT:
        site.identify_anew(device)
    if change.action not in (Action.REVOKE, Action.REMOVE):
        return Applied(action=change.action, device=device)
    site.disconnect(device, f"the device was {'revoked' if change.action is Action.REVOKE else 'removed'}", end_sessions=True)
    if change.action is Action.REMOVE:
        await _give_up(site, device)
    await site.change(ShutOut(received_ms=site.clock.now_ms(), device=device, courier=courier))
    has_jobs = courier is not None and not site.registry.has_courier(courier)
    jobs = [job.id for job in site.queries.jobs(courier=courier, only_open=True)] if has_jobs else []
    return Applied(action=change.action, device=device, courier=courier, jobs=jobs)


async def _give_up(site: SiteContext, device: str) -> None:
    """What a removed device owes will never come, and what it said that no event became is dropped."""
    for ledger in site.queries.ledgers(device):
        await site.change(GiveUp(received_ms=site.clock.now_ms(), device=device, log=ledger["log"], last_seq=ledger["high"]))
    nos = site.queries.quarantine_numbers(Sought(device=device))
    await site.on_writer(lambda: site.upkeep.drop_quarantined(nos))
