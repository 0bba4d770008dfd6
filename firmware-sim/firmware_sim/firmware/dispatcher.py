"""The desk: a dispatcher who gives packed orders to couriers, and a screen that shows every order's status."""

from __future__ import annotations

from dataclasses import dataclass

from devices.protocol import bodies, messages
from devices.protocol.messages import OrderStatus
from devices.protocol.vocabulary import EventType, OrderState
from firmware_sim.firmware.base import Firmware
from firmware_sim.firmware.chores import Await, Chore, Doer, Scan, Step


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """Which courier gets an order when it is packed; orders with the same `job` travel together."""

    order: str
    courier: str
    job: str | None = None


class Dispatcher(Doer):
    """Watches the orders' status and assigns what is packed."""

    def __init__(self, *, site: str, device: str, routes: list[Route], speed: float = 1.0) -> None:
        super().__init__(site=site, device=device, chores=[Chore(r.order, _assigning(r)) for r in routes], speed=speed)

    def filters(self) -> tuple[str, ...]:
        return (f"{self.topics.base}/orders/+/status",)


def _assigning(route: Route) -> list[Step]:
    body = bodies.Assigned(courier=route.courier, job=route.job)
    return [Await(OrderState.PACKED), Scan(type=EventType.ASSIGNED, body=body, order=route.order)]


class Screen(Firmware):
    """Sends nothing and remembers the last status of every order."""

    def __init__(self, *, site: str, device: str) -> None:
        super().__init__(site=site, device=device)
        self.statuses: dict[str, OrderStatus] = {}
        self.messages = 0

    def filters(self) -> tuple[str, ...]:
        return (f"{self.topics.base}/orders/+/status",)

    def on_message(self, topic: str, payload: bytes) -> None:
        self.messages += 1
        if payload:
            status = messages.decode(payload, OrderStatus)
            self.statuses[status.order] = status
