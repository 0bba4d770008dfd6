"""Failed logins: each name is logged once, and so is an address that is slowed down; repeated failures as an enrolled device raise an alert."""

from __future__ import annotations

import logging
import re
from typing import Final

from bridge.broker.logins import DELAY_MAX_S, Failed
from bridge.ingest.ports import StoreUnavailable
from bridge.serving.authentication import Authentication
from bridge.serving.outlet import Outlet
from bridge.serving.tasks import Tasks
from devices.protocol.claims import CLAIM_PREFIX
from devices.protocol.vocabulary import AlertCode

logger = logging.getLogger("dockbridge")

_NAME: Final = re.compile(r"[A-Za-z0-9._~-]{1,64}")
"""What devices are called."""
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
        self._raised: dict[str, int] = {}
        """Devices with the alert, and how many failures it tells of."""

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
        name = repr(failed.name) if _NAME.fullmatch(failed.name) else "somebody"  # what is typed in place of a name may be a password, or a person
        logger.warning("a login as %s from %s was refused: %s", name, failed.source, why)

    async def _raise(self, failed: Failed) -> None:
        if await self._authentication.is_admitted(failed.name) and failed.name not in self._raised:
            self._tell(failed.name, failed.times, failed.source)

    def _tell(self, name: str, times: int, source: str) -> None:
        if self._outlet.broker is not None:
            self._raised[name] = times
            self._outlet.broker.door.alarm(AlertCode.LOGINS, name, *_alert(name, times, source))

    def look(self, now_s: float) -> None:
        """Forget failures that are no longer recent, and clear their alerts; let the others tell how many there are by now."""
        broker = self._outlet.broker
        if broker is None:
            return
        broker.logins.forget_old(now_s)
        recent = broker.logins.of_names()
        for name, told in list(self._raised.items()):
            if name not in recent:
                del self._raised[name]
                broker.door.alarm(AlertCode.LOGINS, name, "", "")
            elif recent[name].times > told:
                self._tell(name, recent[name].times, recent[name].source)


def _alert(name: str, times: int, source: str) -> tuple[str, str]:
    """What has happened, and what to do."""
    who = "if not, find out who uses that address."
    if name.startswith(CLAIM_PREFIX):
        device = name.removeprefix(CLAIM_PREFIX)
        text = f"{times} tries to redeem the claim of device {device} failed, the last from {source}."
        return text, f"If it is the device itself, give it a new code (`dockbridge device enrol {device}`); {who}"
    text = f"{times} logins as device {name} failed, the last from {source}."
    return text, f"If it is the device itself, give it the right password (`dockbridge device rotate {name}`); {who}"
