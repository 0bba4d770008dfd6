"""Failed logins: each name is logged once, and repeated failures as an enrolled device raise an alert."""

from __future__ import annotations

import logging
from typing import Final

from bridge.broker.logins import NAME_CHARS_MAX
from bridge.serving.authentication import Authentication
from bridge.serving.outlet import Outlet
from bridge.serving.tasks import Tasks
from devices.protocol.vocabulary import AlertCode

logger = logging.getLogger("dockbridge")

FAILED_LOGINS_ALERT: Final = 5
"""Recent failed logins of one device that raise an alert."""


class LoginAlarms:
    """Raises and clears the alerts."""

    def __init__(self, authentication: Authentication, outlet: Outlet, tasks: Tasks) -> None:
        self._authentication = authentication
        self._outlet = outlet
        self._tasks = tasks
        self._raised: set[str] = set()

    def login_failed(self, name: str, source: str, count: int) -> None:
        """A login as `name` from the address `source` has failed, for the `count`th time recently."""
        if count == 1:
            logger.warning("a login as %r from %s was refused", name[:NAME_CHARS_MAX], source)
        if count >= FAILED_LOGINS_ALERT and name not in self._raised:
            self._tasks.run_errand(f"alert about logins as {name[:NAME_CHARS_MAX]}", self._raise(name, source, count))

    async def _raise(self, name: str, source: str, count: int) -> None:
        is_enrolled = await self._authentication.is_enrolled(name)
        broker = self._outlet.broker
        if is_enrolled and broker is not None and name not in self._raised:
            self._raised.add(name)
            text = f"{count} logins as device {name} failed, the last from {source}."
            fix = f"If it is the device itself, give it the right password (`dockbridge device rotate {name}`); if not, find out who uses that address."
            broker.door.alarm(AlertCode.LOGINS, name, text, fix)

    def forget_old(self, now_s: float) -> None:
        """Forget failures that are no longer recent, and clear their alerts."""
        broker = self._outlet.broker
        if broker is None:
            return
        broker.logins.forget_old(now_s)
        for name in self._raised - broker.logins.of_names().keys():
            self._raised.discard(name)
            broker.door.alarm(AlertCode.LOGINS, name, "", "")
