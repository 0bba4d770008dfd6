"""Alerts about messages that were lost: those that waited for too long or were too many, and those of a device that opens too many sessions.

An alert is raised once. It is cleared when the device is well again, and not at once, because a slow reader would have it raised and cleared all the time.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Final

from bridge.broker.message_log import MessageLog
from bridge.broker.sessions import Session
from bridge.broker.shared import Shared
from bridge.words import counted
from devices.protocol.vocabulary import AlertCode

logger = logging.getLogger("dockbridge.broker")

CALM_S: Final = 5.0
"""Seconds without a loss after which a client that has caught up is well again."""
CROWDED_S: Final = 86_400.0
"""Seconds since the last eviction before the alert of a device that still has no room for a session is cleared."""


class Losses:
    """See the module."""

    def __init__(self, shared: Shared, log: MessageLog) -> None:
        self._shared = shared
        self._log = log
        self._losing: dict[Session, tuple[int, float]] = {}
        """What a session had dropped when it was last looked at, and since when that is so."""
        self._devices: Counter[str] = Counter()
        """Devices of `_losing`, each with how many sessions."""
        self._crowded: dict[str, float] = {}
        """Devices whose sessions had to give way, and when one last did."""

    def loses(self, device: str) -> bool:
        """Whether messages for a device were dropped, and it is not well again."""
        return device in self._crowded or device in self._devices

    # --- sessions that do not fetch their messages ------------------------------------------------------------------------

    def report(self, session: Session) -> None:
        """Raise the alert about a session that has dropped messages: once, and again only after the client has caught up."""
        session.dropped_told = True
        self._watch(session)
        self._shared.counters.dropped += 1
        device = session.identity.device
        logger.warning("messages for %s (client %r) are dropped: it does not fetch them, and no more may wait", device, session.client_id)
        self._shared.alarm(
            AlertCode.DROPPED,
            device,
            f"Messages for device {device} were dropped: it did not fetch them, and what may wait is bounded.",
            "Connect the device; what it missed of orders is retained. Raise broker.session_queue_max if it is away for long.",
        )

    def _watch(self, session: Session) -> None:
        self._losing[session] = (session.dropped, self._shared.now_s())
        self._devices[session.identity.device] += 1

    def restore(self, session: Session) -> None:
        """A session as the store has it: its alert may stand from before the start."""
        if session.dropped_told:
            session.lost_while_away = True
            self._watch(session)

    def forget(self, session: Session) -> None:
        """A session ended, or has caught up."""
        if self._losing.pop(session, None) is None:
            return
        device = session.identity.device
        self._devices[device] -= 1
        if not self._devices[device]:
            del self._devices[device]
        self._clear(device)

    def _clear(self, device: str) -> None:
        if not self.loses(device):
            self._shared.alarm(AlertCode.DROPPED, device, "", "")

    def bound_log(self, sessions: Iterable[Session]) -> None:
        """The log is full: the session with most waiting gives up a part of it."""
        longest = max((s for s in sessions if s.sid), key=_waiting, default=None)
        if longest is not None and len(longest.queue):
            longest.give_up()
            if not longest.dropped_told:
                self.report(longest)

    # --- devices that open too many sessions ------------------------------------------------------------------------------

    def gave_way(self, device: str, peer: str, *, waited: int) -> None:
        """A device's oldest session ended for a newer one, with so many messages that waited for it."""
        limit = self._shared.limits.sessions_per_device_max
        waiting = counted(waited, "message")
        self._shared.counters.evicted += 1
        reason = f"it has {limit} already (broker.sessions_per_device_max); its oldest ended with {waiting} that waited"
        self._shared.notices.say("a session gave way to another of its device", device, peer, reason)
        if device not in self._crowded:
            self._shared.alarm(
                AlertCode.DROPPED,
                device,
                f"Device {device} opened more than {limit} sessions: its oldest ended, with {waiting} that waited for it.",
                "Give each program of the device one client id that stays the same, or raise broker.sessions_per_device_max.",
            )
        self._crowded[device] = self._shared.now_s()

    # --- well again -------------------------------------------------------------------------------------------------------

    def look(self, now_s: float, sessions_of: Callable[[str], int]) -> None:
        """Clear the alerts of those that are well again. `sessions_of` counts the sessions of a device."""
        for session, (dropped, since_s) in list(self._losing.items()):
            has_fetched = not session.waiting and not session.lost_while_away and (session.wire is not None or not session.in_flight)
            if session.dropped != dropped or not has_fetched:
                self._losing[session] = (session.dropped, now_s)
            elif now_s - since_s >= CALM_S:
                session.dropped = 0
                session.dropped_told = False
                if session.sid:
                    self._log.changed(session)
                self.forget(session)
        for device, since_s in list(self._crowded.items()):
            # A device that has room for a session again, or opened no more of them for long.
            calm_s = CALM_S if sessions_of(device) < self._shared.limits.sessions_per_device_max else CROWDED_S
            if now_s - since_s >= calm_s:
                del self._crowded[device]
                self._clear(device)


def _waiting(session: Session) -> int:
    return len(session.queue)
