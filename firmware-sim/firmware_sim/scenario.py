"""A scenario: who works, with what, over which network, and what goes wrong. One TOML file, which reads like a story; every mistake in it is named with its
line and field."""

from __future__ import annotations

import json
import re
import tomllib
from dataclasses import dataclass
from fnmatch import fnmatchcase
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta, Struct

from bridge.config import Settings
from bridge.config import parse as parse_settings
from bridge.errors import ConfigError
from devices.protocol.vocabulary import AlertCode, Role
from firmware_sim import belts
from firmware_sim.errors import BadScenario
from firmware_sim.faults import FAULTS, AnyFault
from firmware_sim.faults.base import Seconds, Share
from firmware_sim.firmware.base import Firmware
from firmware_sim.firmware.chores import Habits
from firmware_sim.firmware.courier import Troubles
from firmware_sim.firmware.machine import NEWEST_VERSION
from firmware_sim.firmware.outbox import FLASH_EVENTS_MAX
from firmware_sim.firmware.scanner import Battery, Scanner, Zone
from firmware_sim.record import Cast
from firmware_sim.workload import ORDER_EVERY_MS, Fate, Workload

FOLDER: Final = "scenarios"
KINDS: Final = tuple(sorted(str(kind.__struct_config__.tag) for kind in FAULTS))
"""The words for faults."""

Count = Annotated[int, Meta(ge=1, le=1_000)]
Version = Annotated[int, Meta(ge=1, le=NEWEST_VERSION)]


class Orders(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """`count` orders, one `every_s`. `fates` weighs what happens to them; without it every fate comes once, then the usual ones."""

    count: Annotated[int, Meta(ge=1, le=10_000)] = 20
    every_s: Annotated[float, Meta(gt=0, le=86_400)] = ORDER_EVERY_MS / 1000
    fates: dict[Fate, Annotated[int, Meta(ge=1)]] = {}


class WalkPart(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """`seconds` in a part of the hall; no `access_point`: no network."""

    seconds: Annotated[float, Meta(gt=0, le=86_400)]
    access_point: str | None = None


class Scanners(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """A group of handhelds: `scan-1`, `scan-2`, …, counted on over the groups."""

    count: Count = 1
    kind: Literal["simulated", "library"] = "simulated"
    firmware: Version = NEWEST_VERSION
    clock_off_s: float = 0.0
    workers: Annotated[int, Meta(ge=1, le=8)] = 1
    shift_s: Annotated[float, Meta(gt=0)] = 28_800.0
    battery_lasts_s: Seconds = 0.0
    battery_percent: Annotated[int, Meta(ge=1, le=100)] = 100
    swap: Literal["hot", "cold"] = "hot"
    walk: list[WalkPart] = []
    flash_events: Annotated[int, Meta(ge=1, le=1_000_000)] = FLASH_EVENTS_MAX
    unreadable: Share = 0.0
    wrong_label: Share = 0.0
    bounce: Share = 0.0
    slip: Share = 0.0
    goes_on_alone: bool = False
    curious: bool = False


class Couriers(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """A group of phones: `phone-1`, `phone-2`, …, each with its courier."""

    count: Count = 1
    firmware: Version = NEWEST_VERSION
    clock_off_s: float = 0.0
    tunnel: Share = 0.0
    doze_every_s: Seconds = 0.0
    doze_s: Seconds = 120.0
    killed_every_s: Seconds = 0.0
    killed_s: Seconds = 20.0
    double_tap: Share = 0.0
    wrong_parcel: Share = 0.0
    unreadable: Share = 0.0
    goes_on_alone: bool = False
    curious: bool = False


class Belts(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """`lanes`, each with a shop, a belt and a carrier, that tell `events_per_s` in all, and `burst` times as many from `burst_from_s` for `burst_for_s`."""

    lanes: Count = 1
    events_per_s: Annotated[float, Meta(gt=0, le=100_000)] = 10.0
    until_s: Seconds = 60.0
    burst: Annotated[float, Meta(ge=1, le=1_000)] = 1.0
    burst_from_s: Seconds = 0.0
    burst_for_s: Seconds = 0.0


class Expect(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """`raised`: alerts (by code) that must have been raised. `standing`: those (`code/subject`, with *) that may be there at the end.

    `as_planned`: whether every order ends as its fate says.
    """

    raised: list[AlertCode] = []
    standing: list[str] = []
    as_planned: bool = True


class Scenario(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """A scenario. `day_s` is when faults without an end of their own end; `patience_s` how long everybody may take after that; `calm_s` how long the site is
    left alone then, so that alerts are cleared. `settings` are the bridge's, as in its bridge.toml. On the simulated link the belts carry `simulated_load` of
    their events."""

    name: str
    story: str
    day_s: Annotated[float, Meta(gt=0, le=31_622_400)]
    seed: Annotated[int, Meta(ge=0)] = 1
    patience_s: Seconds = 14_400.0
    calm_s: Seconds = 90.0
    simulated_load: Annotated[float, Meta(gt=0, le=1)] = 1.0
    orders: Orders = Orders()
    scanners: list[Scanners] = []
    couriers: list[Couriers] = []
    belts: Belts | None = None
    faults: list[AnyFault] = []
    settings: dict[str, dict[str, Any]] = {}
    expect: Expect = Expect()


@dataclass(frozen=True, slots=True, kw_only=True)
class Crew:
    """Everybody of a run: firmwares by device, who they are, and the state in which each order must end."""

    firmwares: dict[str, Firmware]
    cast: dict[str, Cast]
    expected: dict[str, str]


# --- reading -------------------------------------------------------------------------------------------------------------------


def names() -> list[str]:
    """The scenarios that come with the program."""
    return sorted(p.name.removesuffix(".toml") for p in _folder().iterdir() if p.name.endswith(".toml"))


def read_scenario(name: str) -> Scenario:
    """A scenario that comes with the program, by its name, or one from a file, by its path.

    Raises:
        BadScenario: where there is none, or where it is wrong: with line and field.
    """
    path = Path(name)
    if name in names():
        return parse(_folder().joinpath(f"{name}.toml").read_text(encoding="utf-8"), f"{name}.toml")
    if path.suffix != ".toml":
        raise BadScenario(f"there is no scenario {name!r}", fix=f"take one of {', '.join(names())}, or the path of a .toml file")
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise BadScenario(f"{path} can't be read: {error}", fix="give the path of a scenario file") from error
    return parse(text, str(path))


def parse(text: str, source: str) -> Scenario:
    """A scenario from its text.

    Raises:
        BadScenario: where it is wrong: with line and field.
    """
    try:
        plain = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise BadScenario(f"{source}: {error}", fix="write it as TOML; `firmware-sim new` makes one to begin with") from error
    return from_plain(plain, source, text)


def from_plain(plain: dict[str, Any], source: str, text: str = "") -> Scenario:
    """A scenario from its tables; `text` is where they stand, so that mistakes can be named with their line.

    Raises:
        BadScenario: where it is wrong.
    """
    try:
        scenario = msgspec.convert(plain, Scenario, strict=True)
    except msgspec.ValidationError as error:
        what, _, where = str(error).partition(" - at ")
        field = where.rpartition("$")[2].rstrip("`").lstrip(".")
        raise BadScenario(f"{_place(source, text, field, what)}: {field or 'the file'}: {_plainly(what)}", fix=_fix(what, field)) from None
    _check(scenario, text, source)
    return scenario


def _place(source: str, text: str, field: str, what: str) -> str:
    return f"{source}, line {_line(text, field, what)}" if text else source


def render(scenario: Scenario) -> str:
    """A scenario as the text of its file; what stands at its default is left out."""
    plain: dict[str, Any] = msgspec.to_builtins(scenario)
    lines = [f"{key} = {_toml(plain.pop(key))}" for key in list(plain) if not isinstance(plain[key], dict) and not _is_tables(plain[key])]
    for key, value in plain.items():
        for table in value if isinstance(value, list) else [value]:
            lines += _table(key, table, is_listed=isinstance(value, list))
    return "\n".join(lines) + "\n"


def _table(name: str, table: dict[str, Any], *, is_listed: bool) -> list[str]:
    if not is_listed and table and all(isinstance(v, dict) for v in table.values()):
        return [line for key, below in table.items() for line in _table(f"{name}.{key}", below, is_listed=False)]
    lines = ["", f"[[{name}]]" if is_listed else f"[{name}]"]
    lines += [f"{key} = {_toml(value)}" for key, value in table.items() if not _is_tables(value)]
    for key, value in table.items():
        if _is_tables(value):
            lines += [line for below in value for line in _table(f"{name}.{key}", below, is_listed=True)]
    return lines


def _is_tables(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and isinstance(value[0], dict)


def _toml(value: Any) -> str:
    if isinstance(value, str) and "\n" in value:
        return '"""\n' + value.strip("\n").replace("\\", "\\\\").replace('"""', '\\"\\"\\"') + '\n"""'
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{k} = {_toml(v)}" for k, v in value.items()) + " }"
    if isinstance(value, list):
        return "[" + ", ".join(_toml(v) for v in value) + "]"
    return json.dumps(value, ensure_ascii=False)


def _check(scenario: Scenario, text: str, source: str) -> None:
    """What the types can't say."""

    def wrong(field: str, what: str, fix: str) -> BadScenario:
        return BadScenario(f"{_place(source, text, field, '')}: {field}: {what}", fix=fix)

    devices = list(build(scenario, scenario.seed, load=0.001).firmwares) if scenario.scanners or scenario.belts else []
    if scenario.scanners and not scenario.couriers:
        raise wrong("couriers", "there are scanners, and nobody who delivers", "add a [[couriers]] table")
    if scenario.couriers and not scenario.scanners:
        raise wrong("scanners", "there are couriers, and nobody who packs", "add a [[scanners]] table")
    if not devices:
        raise wrong("scanners", "nobody works here", "add [[scanners]] and [[couriers]], or [belts]")
    try:
        settings_of(scenario)
    except ConfigError as error:
        where = ".".join(re.findall(r"\w+", str(error).split(" ")[0]))
        raise wrong(f"settings.{where}", str(error), error.fix or "see config/bridge.toml") from None
    for n, fault in enumerate(scenario.faults):
        if not any(fnmatchcase(d, fault.on) for d in devices):
            raise wrong(f"faults[{n}].on", f"{fault.on!r} is none of the devices", f"name some of {', '.join(devices)}; * stands for any text")
        if fault.to_s is not None and fault.to_s <= fault.from_s:
            raise wrong(f"faults[{n}].to_s", "it ends before it begins", "make to_s later than from_s")


_MISSING: Final = re.compile(r"missing required field `(\w+)`")
_UNKNOWN: Final = re.compile(r"unknown field `(\w+)`")


def _line(text: str, field: str, what: str) -> int:
    """The line of a field like `faults[1].share`: that of its key, else that of its table, else the first."""
    lines = text.splitlines()
    parts = re.findall(r"(\w+)(?:\[(\d+|\.\.\.)\])?", field)
    at = 0
    for name, index in parts:
        nth = int(index) if index.isdigit() else 0
        heads = [n for n, line in enumerate(lines) if n >= at and re.match(rf"\s*\[\[?\s*(?:\w+\.)*{name}\s*\]", line)]
        keys = [n for n, line in enumerate(lines) if n >= at and re.match(rf"\s*{name}\s*=", line)]
        found = heads[nth : nth + 1] or heads[:1] or keys[:1]
        if found:
            at = found[0]
    unknown = _UNKNOWN.search(what)
    if unknown is not None:
        at = next((n for n, line in enumerate(lines) if n >= at and re.match(rf"\s*(?:\[\[?\s*)?{unknown[1]}\b", line)), at)
    return at + 1


def _plainly(what: str) -> str:
    """A validation error in words for whoever wrote the file."""
    what = what.removeprefix("Object ").replace("contains unknown field", "there is no field").replace("missing required field", "it lacks the field")
    return re.sub(r"^Expected `(\w+)` ([<>]=?) ", lambda m: f"should be a number {m[2]} ", what)


def _fix(what: str, field: str) -> str:
    if (missing := _MISSING.search(what)) is not None:
        return f"add {missing[1]} = …"
    if (unknown := _UNKNOWN.search(what)) is not None:
        return f"take {unknown[1]} out, or spell it as the README of firmware-sim does"
    if field.startswith("faults") and field.endswith("kind"):
        return f"take one of {', '.join(KINDS)}"
    if "fates" in field:
        return f"take some of {', '.join(Fate)}"
    return "see the README of firmware-sim for what may stand there"


def _folder() -> Any:
    return resources.files("firmware_sim").joinpath(FOLDER)


# --- making its people ---------------------------------------------------------------------------------------------------------


def build(scenario: Scenario, seed: int, *, speed: float = 1.0, load: float = 1.0, library: type[Scanner] = Scanner) -> Crew:
    """Everybody of a scenario, for a seed. `load` is the share of the belts' events; `library` is what a scanner of the kind `library` is."""
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
        )
        firmwares |= day.build(speed=speed, more=lambda device: _more(device, groups[device], library))
        for d in day.devices:
            secrets = _workers(d.name, groups[d.name]) if d.role is Role.SCANNER else (d.courier,) if d.courier else ()
            cast[d.name] = Cast(device=d.name, role=d.role.value, courier=d.courier, secrets=secrets)
        expected |= day.expected
    if scenario.belts is not None:
        _add_belts(scenario.belts, seed, load, site, firmwares, cast, expected)
    return Crew(firmwares=firmwares, cast=cast, expected=expected if scenario.expect.as_planned else {})


def settings_of(scenario: Scenario) -> Settings:
    """The bridge's settings in a scenario.

    Raises:
        ConfigError: where one is wrong.
    """
    sections: dict[str, dict[str, Any]] = {"site": {"name": site_of(scenario)}, "listen": {"mqtt": "127.0.0.1:0"}}
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


def _more(device: str, group: Scanners | Couriers, library: type[Scanner]) -> dict[str, Any]:
    """What a group says, in a firmware's words."""
    more: dict[str, Any] = {"version": group.firmware, "skew_ms": round(group.clock_off_s * 1000), "is_curious": group.curious}
    if isinstance(group, Couriers):
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
    more["kind"] = library if group.kind == "library" else Scanner
    more["workers"] = _workers(device, group)
    more["shift_s"] = group.shift_s
    more["walk"] = tuple(Zone(seconds=w.seconds, access_point=w.access_point) for w in group.walk)
    more["flash_events_max"] = group.flash_events
    if group.battery_lasts_s:
        more["battery"] = Battery(lasts_s=group.battery_lasts_s, is_hot_swap=group.swap == "hot", percent=group.battery_percent)
    return more
