"""Two handhelds beyond the hall: at the gate, where cages are filled and lorries loaded, and at the hub, where they are emptied and parcels are called for.

They tell what they see and do not wait for an answer. Cages travel on pallets; parcels of other houses are never packed here, and only change lorries.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from devices.protocol import bodies
from devices.protocol.bodies import ProofOfDelivery
from devices.protocol.vocabulary import EventType, PodMethod
from firmware_sim.firmware.actions import Handed, Thing
from firmware_sim.firmware.chores import Doer
from firmware_sim.firmware.steps import Chore, Give, Rest, Scan, Step, Tell

HUB: Final = "hub-east"
LORRY: Final = "lorry-7"
LOADING_MS: Final = 2_000
LEG_MS: Final = 30_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Cage:
    """A cage on its pallet, and the labels of each order that goes into it."""

    code: str
    pallet: str
    labels: dict[str, tuple[str, ...]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Transit:
    """An order of another house, and the labels under which it comes."""

    order: str
    labels: tuple[str, ...]


class Gate(Doer):
    """The handheld at the gate. What is handed to it goes into its cage; a full cage leaves."""

    def __init__(self, *, site: str, device: str, cages: Sequence[Cage], transits: Sequence[Transit], hub: str, **more: Any) -> None:
        plans = {(Thing.PICK_LIST, t.order): crossing(t, hub) for t in transits}
        super().__init__(site=site, device=device, plans=plans, **more)
        self._hub = hub
        self._cages = {order: cage for cage in cages for order in cage.labels}

    @property
    def is_finished(self) -> bool:
        return not self._cages and super().is_finished

    def on_handed(self, handed: Handed) -> None:
        cage = self._cages.pop(handed.order, None) if handed.what is Thing.PARCELS else None
        if cage is None:
            super().on_handed(handed)
            return
        self.begin(Chore(handed.order, [_filling(cage.code, cage.labels[handed.order])]))
        if cage not in self._cages.values():
            self.begin(Chore(cage.code, leaving(cage, self._hub)))


class Hub(Doer):
    """The handheld at the hub."""

    def __init__(self, *, site: str, device: str, cages: Sequence[Cage], transits: Sequence[Transit], **more: Any) -> None:
        plans = {(Thing.PARCELS, c.code): emptying(c) for c in cages} | {(Thing.PARCELS, t.order): handing_over(t.labels) for t in transits}
        super().__init__(site=site, device=device, plans=plans, **more)


def leaving(cage: Cage, hub: str) -> list[Step]:
    """The cage goes onto a pallet, and only the pallet is scanned on the way."""
    return [
        Rest(LOADING_MS),
        _filling(cage.pallet, (cage.code,)),
        Rest(LOADING_MS),
        Tell(Scan(type=EventType.LOAD, body=bodies.Load(vehicle=LORRY), code=cage.pallet)),
        Rest(LOADING_MS),
        Tell(Scan(type=EventType.DEPART, body=bodies.AtHub(hub=HUB), code=cage.pallet)),
        Rest(LEG_MS),
        Give(hub, Thing.PARCELS),
    ]


def emptying(cage: Cage) -> list[Step]:
    """The pallet arrives, and what was on it and in it is taken out; then every parcel goes its own way."""
    labels = [label for of_order in cage.labels.values() for label in of_order]
    return [
        Tell(Scan(type=EventType.ARRIVE, body=bodies.AtHub(hub=HUB), code=cage.pallet)),
        Rest(LOADING_MS),
        Tell(Scan(type=EventType.DISAGGREGATED, body=bodies.Disaggregated(parent=cage.pallet, children=[cage.code]))),
        Rest(LOADING_MS),
        Tell(Scan(type=EventType.DISAGGREGATED, body=bodies.Disaggregated(parent=cage.code, all=True))),
        *_deliveries(labels),
    ]


def crossing(what: Transit, hub: str) -> list[Step]:
    """Only the loading says which order the labels belong to."""
    loads = [Tell(Scan(type=EventType.LOAD, body=bodies.Load(vehicle=LORRY), order=what.order, code=label)) for label in what.labels]
    departs = [Tell(Scan(type=EventType.DEPART, body=bodies.AtHub(hub=HUB), code=label)) for label in what.labels]
    return [Rest(LOADING_MS), *loads, Rest(LOADING_MS), *departs, Rest(LEG_MS), Give(hub, Thing.PARCELS)]


def handing_over(labels: Sequence[str]) -> list[Step]:
    arrives = [Tell(Scan(type=EventType.ARRIVE, body=bodies.AtHub(hub=HUB), code=label)) for label in labels]
    return [*arrives, *_deliveries(labels)]


def _filling(parent: str, children: Sequence[str]) -> Step:
    return Tell(Scan(type=EventType.AGGREGATED, body=bodies.Aggregated(parent=parent, children=list(children))))


def _deliveries(labels: Sequence[str]) -> list[Step]:
    """Whoever it is for comes and takes it."""
    delivery = bodies.Delivery(pod=ProofOfDelivery(method=PodMethod.SIGNATURE))
    return [step for label in labels for step in (Rest(LOADING_MS), Tell(Scan(type=EventType.DELIVERY, body=delivery, code=label)))]
