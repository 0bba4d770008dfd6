"""The desk: a dispatcher who gives packed orders to couriers, and a screen that shows every order's status."""

from __future__ import annotations

from dataclasses import dataclass

from devices.protocol import bodies, encoding
from devices.protocol.bridge_messages import OrderStatus
from devices.protocol.encoding import PayloadError
from devices.protocol.vocabulary import EventType, OrderState
from firmware_sim.firmware.actions import Subscribe
from firmware_sim.firmware.base import Firmware
from firmware_sim.firmware.chores import Doer
from firmware_sim.firmware.steps import Await, Chore, Scan, Step


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
    """Sends nothing and remembers the last status of every order. It reads them when a caller asks for them: most are overwritten before that.

    `changed` are orders whose status changed, for the caller to clear.
    """

    def __init__(self, *, site: str, device: str) -> None:
        super().__init__(site=site, device=device)
        self.messages = 0
        self.changed: set[str] = set()
        self._statuses: dict[str, OrderStatus] = {}
        self._unread: dict[str, bytes] = {}
        self._looks_again = False

    def filters(self) -> tuple[str, ...]:
        return (f"{self.topics.base}/orders/+/status",)

    @property
    def statuses(self) -> dict[str, OrderStatus]:
        """The last status of every order, by order."""
        unread, self._unread = self._unread, {}
        for topic, payload in unread.items():
            try:
                status = encoding.decode(payload, OrderStatus)
            except PayloadError as error:
                self.troubles.append(f"{self.device}: a message on {topic} breaks the contract: {error}")
            else:
                self._statuses[status.order] = status
                self.changed.add(status.order)
        return self._statuses

    def look_again(self) -> None:
        """Ask for everything that is retained once more: a broker may drop what waits for a slow reader."""
        self._looks_again = True

    def act(self) -> None:
        if self._looks_again and self.radio.is_online:
            self._looks_again = False
            self.do(Subscribe(self.filters()))

    def on_message(self, topic: str, payload: bytes) -> None:
        self.messages += 1
        if payload:
            self._unread[topic] = payload
