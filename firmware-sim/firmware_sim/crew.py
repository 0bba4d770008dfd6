"""A scenario's people: their devices' firmwares for a seed, and the settings of their bridge."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from bridge.config import Settings
from bridge.config_file import parse as parse_settings
from devices.protocol.vocabulary import Role
from firmware_sim import belts
from firmware_sim.firmware.base import Firmware
from firmware_sim.firmware.chores import Habits
from firmware_sim.firmware.courier import Courier, Troubles
from firmware_sim.firmware.scanner import Battery, Scanner, Zone
from firmware_sim.record import Cast
from firmware_sim.scenario import Belts, Couriers, Scanners, Scenario
from firmware_sim.workload import Workload

FASTEST_M_S: Final = 1_000_000.0
"""No point of a simulated courier is too fast: his three kilometres take 40 seconds, less if pauses are divided, and he goes to several doors at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Crew:
    """The devices of a run: firmwares by name, who they are, and the state in which each order must end."""

    firmwares: dict[str, Firmware]
    cast: dict[str, Cast]
    expected: dict[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Kinds:
    """What a scenario's scanners and phones are; `library` are the scanners of that kind."""

    scanner: type[Scanner] = Scanner
    library: type[Scanner] = Scanner
    courier: type[Courier] = Courier


def build(scenario: Scenario, seed: int, *, speed: float = 1.0, load: float = 1.0, kinds: Kinds = Kinds()) -> Crew:
    """The devices of a scenario, for a seed. `load` is the share of the belts' events."""
    site = site_of(scenario)
    firmwares: dict[str, Firmware] = {}
    cast: dict[str, Cast] = {}
    expected: dict[str, str] = {}
    if scenario.scanners and scenario.couriers:
        groups = _groups(scenario)
        orders = scenario.orders
        day = Workload.from_seed(
            seed,
            orders.count,
            sum(g.count for g in scenario.scanners),
            sum(g.count for g in scenario.couriers),
            site=site,
            fates=orders.fates or None,
            every_ms=max(1, round(orders.every_s * 1000)),
            labels_only=orders.labels_only,
        )
        firmwares |= day.build(speed=speed, more=lambda device: _more(device, groups[device], kinds))
        for d in day.devices:
            secrets = _workers(d.name, groups[d.name]) if d.name in groups and d.role is Role.SCANNER else (d.courier,) if d.courier else ()
            cast[d.name] = Cast(device=d.name, role=d.role.value, courier=d.courier, secrets=secrets)
        expected |= day.expected
    if scenario.belts is not None:
        _add_belts(scenario.belts, seed, load, site, firmwares, cast, expected)
    return Crew(firmwares=firmwares, cast=cast, expected=expected if scenario.expect.as_planned else {})


def settings_of(scenario: Scenario) -> Settings:
    """The bridge's settings in a scenario.

    Raises:
        ConfigError: one is wrong.
    """
    sections: dict[str, dict[str, Any]] = {
        "site": {"name": site_of(scenario)},
        "listen": {"mqtt": "127.0.0.1:0"},
        "orders": {"position_speed_max_m_s": FASTEST_M_S},
    }
    for name, values in scenario.settings.items():
        sections[name] = {**sections.get(name, {}), **values}
    return parse_settings(sections)


def site_of(scenario: Scenario) -> str:
    name: str = scenario.settings.get("site", {}).get("name", "main")
    return name


def _add_belts(plan: Belts, seed: int, load: float, site: str, firmwares: dict[str, Firmware], cast: dict[str, Cast], expected: dict[str, str]) -> None:
    lanes = max(1, round(plan.lanes * load))
    pace = belts.Pace(
        events_per_s=plan.events_per_s * load / lanes,
        until_s=plan.until_s,
        burst=plan.burst,
        burst_from_s=plan.burst_from_s,
        burst_for_s=plan.burst_for_s,
    )
    for lane in range(1, lanes + 1):
        firmwares |= belts.feeds(seed, lane, pace, site=site)
        cast |= {f"{part}-lane-{lane}": Cast(device=f"{part}-lane-{lane}", role=role.value) for part, role in belts.ROLES.items()}
        expected |= dict.fromkeys(belts.orders(seed, lane, pace), "delivered")


def _groups(scenario: Scenario) -> dict[str, Scanners | Couriers]:
    """The group of each scanner and phone."""
    every_scanner = [g for g in scenario.scanners for _ in range(g.count)]
    every_courier = [g for g in scenario.couriers for _ in range(g.count)]
    return {f"scan-{n}": g for n, g in enumerate(every_scanner, 1)} | {f"phone-{n}": g for n, g in enumerate(every_courier, 1)}


def _workers(device: str, group: Scanners | Couriers) -> tuple[str, ...]:
    return tuple(f"w-{device}-{n}" for n in range(1, group.workers + 1)) if isinstance(group, Scanners) else ()


def _more(device: str, group: Scanners | Couriers, kinds: Kinds) -> dict[str, Any]:
    """What a group says, in a firmware's words."""
    more: dict[str, Any] = {"version": group.firmware, "skew_ms": round(group.clock_off_s * 1000), "is_curious": group.curious}
    if isinstance(group, Couriers):
        more["kind"] = kinds.courier
        more["habits"] = Habits(double=group.double_tap, unreadable=group.unreadable, goes_on_alone=group.goes_on_alone)
        more["troubles"] = Troubles(
            tunnel=group.tunnel,
            doze_every_s=group.doze_every_s,
            doze_s=group.doze_s,
            killed_every_s=group.killed_every_s,
            killed_s=group.killed_s,
            wrong_parcel=group.wrong_parcel,
        )
        return more
    more["habits"] = Habits(unreadable=group.unreadable, wrong_label=group.wrong_label, double=group.bounce, slip=group.slip, goes_on_alone=group.goes_on_alone)
    more["kind"] = kinds.library if group.kind == "library" else kinds.scanner
    more["workers"] = _workers(device, group)
    more["shift_s"] = group.shift_s
    more["walk"] = tuple(Zone(seconds=w.seconds, access_point=w.access_point) for w in group.walk)
    more["flash_events_max"] = group.flash_events
    if group.battery_lasts_s:
        more["battery"] = Battery(lasts_s=group.battery_lasts_s, is_hot_swap=group.swap == "hot", percent=group.battery_percent)
    return more
