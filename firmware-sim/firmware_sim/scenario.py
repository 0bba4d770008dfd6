"""A scenario: who works, with what, over which network, and what goes wrong. The tables of its file."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

from devices.protocol.vocabulary import AlertCode
from firmware_sim.faults import AnyFault
from firmware_sim.faults.base import Seconds, Share
from firmware_sim.firmware.machine import NEWEST_VERSION
from firmware_sim.firmware.outbox import FLASH_EVENTS_MAX
from firmware_sim.workload import ORDER_EVERY_MS, Fate

Count = Annotated[int, Meta(ge=1, le=1_000)]
Version = Annotated[int, Meta(ge=1, le=NEWEST_VERSION)]


class Orders(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """`count` orders, one `every_s`. `fates` weighs what happens to them; without it every fate comes once, then the usual ones.

    `labels_only`: another handheld than the packer's brings parcels to the dock, and what is packed is scanned by its labels alone.
    """

    count: Annotated[int, Meta(ge=1, le=10_000)] = 20
    every_s: Annotated[float, Meta(gt=0, le=86_400)] = ORDER_EVERY_MS / 1000
    fates: dict[Fate, Annotated[int, Meta(ge=1)]] = {}
    labels_only: bool = False


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
    """A scenario. `day_s` is when faults without an end of their own end; `patience_s` how long all may take after that; `calm_s` how long the site is
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
