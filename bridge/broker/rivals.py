"""Two programs with one client id: each connection ends the other's (§3.1.4), for ever, and neither program says why."""

from __future__ import annotations

from collections import OrderedDict, deque
from typing import Final

from bridge.broker.shared import Shared
from bridge.broker.standing import StandingAlert
from devices.protocol.vocabulary import AlertCode

TAKEOVERS: Final = 10
WITHIN_S: Final = 60.0
"""A client whose connection was taken over so often within so many seconds has a rival. One that comes and goes with its network does not come so often."""
CALM_S: Final = 120.0
"""Seconds without a take-over until the alert is cleared."""
KNOWN_MAX: Final = 1_000
"""Clients whose take-overs are remembered."""


class Rivals:
    """Counts the take-overs of each client, and raises an alert about a device whose programs end each other's connections."""

    def __init__(self, shared: Shared) -> None:
        self._shared = shared
        self._times: OrderedDict[tuple[str, str], deque[float]] = OrderedDict()
        self._alert = StandingAlert(shared, AlertCode.CLIENT_ID, calm_s=CALM_S)
        self.look = self._alert.look

    def took_over(self, device: str, client_id: str, peer: str) -> None:
        """A connection has ended that of the same client."""
        self._shared.counters.taken_over += 1
        now_s = self._shared.now_s()
        times = self._times.pop((device, client_id), None) or deque(maxlen=TAKEOVERS)
        times.append(now_s)
        self._times[device, client_id] = times
        if len(self._times) > KNOWN_MAX:
            self._times.popitem(last=False)
        if len(times) < TAKEOVERS or now_s - times[0] > WITHIN_S:
            return
        self._shared.notices.say("two programs use one client id", device, peer, "each connection ends the other's; give each program an id of its own")
        self._alert.happened(
            device,
            f"Two programs of device {device} use the same client id: each connection ends the other's.",
            "Give each program a client id of its own that stays the same; or find the second phone or scanner with this device's password.",
        )


__all__ = ["CALM_S", "TAKEOVERS", "WITHIN_S", "Rivals"]
