"""Alerts that stand for as long as their cause comes again."""

from __future__ import annotations

from typing import Final

from bridge.broker.shared import Shared
from devices.protocol.vocabulary import AlertCode

DEVICES_MAX: Final = 1_000
"""Devices with a standing alert of one kind; the one whose cause is longest past loses it."""


class StandingAlert:
    """One kind of alert about devices.

    Args:
        calm_s: seconds without the cause until the alert is cleared.
    """

    def __init__(self, shared: Shared, code: AlertCode, *, calm_s: float) -> None:
        self._shared = shared
        self._code = code
        self._calm_s = calm_s
        self._last_s: dict[str, float] = {}
        """Devices with the alert, by when its cause last came."""

    def happened(self, device: str, text: str, fix: str) -> None:
        """The cause came: raise the alert, or let it stand for longer."""
        if self._last_s.pop(device, None) is None:
            self._shared.alarm(self._code, device, text, fix)
        self._last_s[device] = self._shared.now_s()
        if len(self._last_s) > DEVICES_MAX:
            self._clear(next(iter(self._last_s)))

    def look(self, now_s: float) -> None:
        """Clear the alerts whose cause has stopped."""
        for device in [d for d, last_s in self._last_s.items() if now_s - last_s >= self._calm_s]:
            self._clear(device)

    def _clear(self, device: str) -> None:
        del self._last_s[device]
        self._shared.alarm(self._code, device, "", "")
