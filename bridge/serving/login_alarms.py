"""Failed logins: each name is logged once, and so is an address that is slowed down; repeated failures as an enrolled device raise an alert."""

from __future__ import annotations

import logging
from typing import Final

from bridge.broker.logins import DELAY_MAX_S, Failed
from bridge.ingest.ports import StoreUnavailable
from bridge.serving.authentication import Authentication
from bridge.serving.outlet import Outlet
from bridge.serving.tasks import Tasks
from devices.protocol.claims import CLAIM_PREFIX
from devices.protocol.vocabulary import AlertCode

logger = logging.getLogger("dockbridge")

FAILED_LOGINS_ALERT: Final = 5
"""Recent failed logins of one device that raise an alert."""
_ADDRESS_SLOWED: Final = (
    "logins from %s have failed under %d names (broker.failed_names_per_address_max): logins from there wait up to %g s now, "
    "except those of devices that have logged in from there lately"
)


class LoginAlarms:
    """Raises and clears the alerts."""

    def __init__(self, authentication: Authentication, outlet: Outlet, tasks: Tasks) -> None:
        self._authentication = authentication
        self._outlet = outlet
        self._tasks = tasks
        self._raised: set[str] = set()

    def login_failed(self, failed: Failed) -> None:
        """A login has failed."""
        if failed.times == 1:
            self._tasks.run_errand(f"log the refused login as {failed.name}", self._log(failed))
        if failed.unknown_names is not None:
            logger.warning(_ADDRESS_SLOWED, failed.source, failed.unknown_names, DELAY_MAX_S)
        if failed.times >= FAILED_LOGINS_ALERT and failed.name not in self._raised:
            self._tasks.run_errand(f"alert about logins as {failed.name}", self._raise(failed))

    async def _log(self, failed: Failed) -> None:
        try:
            why = await self._authentication.refusal(failed.name)
        except StoreUnavailable:
            why = "the reason can't be looked up now"
        logger.warning("a login as %r from %s was refused: %s", failed.name, failed.source, why)

    async def _raise(self, failed: Failed) -> None:
        name = failed.name
        is_admitted = await self._authentication.is_admitted(name)
        broker = self._outlet.broker
        if is_admitted and broker is not None and name not in self._raised:
            self._raised.add(name)
            broker.door.alarm(AlertCode.LOGINS, name, *_alert(failed))

    def forget_old(self, now_s: float) -> None:
        """Forget failures that are no longer recent, and clear their alerts."""
        broker = self._outlet.broker
        if broker is None:
            return
        broker.logins.forget_old(now_s)
        for name in self._raised - broker.logins.of_names().keys():
            self._raised.discard(name)
            broker.door.alarm(AlertCode.LOGINS, name, "", "")


def _alert(failed: Failed) -> tuple[str, str]:
    """What has happened, and what to do."""
    who = "if not, find out who uses that address."
    if failed.name.startswith(CLAIM_PREFIX):
        device = failed.name.removeprefix(CLAIM_PREFIX)
        text = f"{failed.times} tries to redeem the claim of device {device} failed, the last from {failed.source}."
        return text, f"If it is the device itself, give it a new code (`dockbridge device enrol {device}`); {who}"
    text = f"{failed.times} logins as device {failed.name} failed, the last from {failed.source}."
    return text, f"If it is the device itself, give it the right password (`dockbridge device rotate {failed.name}`); {who}"
