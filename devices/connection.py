"""The connection: one thread that keeps an MQTT 3.1.1 session with the server and carries what its `Traffic` hands over.

On every connect: subscribe and wait for the SUBACK, so that no receipt can be missed; then presence, which gives the server a clock
sample; then events. The outbox is the only queue: each connection has its own paho client, which never holds more than what is in
flight, and what was not acknowledged when it ends is handed over again on the next one. That is a new publish of the same event under
a new packet id (its `sent_*` fields differ), not MQTT's resend of the same packet; the event's id makes it count once.
"""

from __future__ import annotations

import logging
import random
import socket
import ssl
import threading
import time
from collections.abc import Callable

from devices.errors import DeviceError
from devices.session import TICK_S, LostError, RefusedError, Session, Settings
from devices.traffic import Traffic

BACKOFF_FIRST_S = 0.5
BACKOFF_MAX_S = 30.0
RECONNECT_SPREAD_S = 3.0
REFUSED_RETRY_S = 60.0

SYSTEM_JITTER = random.SystemRandom().random
"""Numbers in [0, 1) that no two devices share."""

_DOUBLINGS_MAX = 32

log = logging.getLogger(__name__)


def backoff_s(attempt: int, *, first_s: float, max_s: float, jitter: Callable[[], float], spread_s: float = 0.0) -> float:
    """Seconds to wait after failure number `attempt` (from 0): full jitter over an exponentially growing span, of `spread_s` at least.

    A whole warehouse that lost its server must not come back in step. `jitter` gives numbers in [0, 1).
    """
    return jitter() * min(max_s, max(spread_s, first_s * 2.0 ** min(attempt, _DOUBLINGS_MAX)))


class Connection:
    """Keeps a device connected until it is closed."""

    def __init__(
        self,
        settings: Settings,
        traffic: Traffic,
        *,
        jitter: Callable[[], float] = SYSTEM_JITTER,
        monotonic_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._settings = settings
        self._traffic = traffic
        self._jitter = jitter
        self._monotonic_s = monotonic_s
        self._closing = threading.Event()
        self._connected = False
        self._accepted_s: float | None = None
        self._failures = 0
        self._refused: str | None = None
        self._denied: tuple[str, ...] = ()
        self._wake_in, self._wake_out = socket.socketpair()
        self._wake_in.setblocking(False)
        self._wake_out.setblocking(False)
        self._thread = threading.Thread(target=self._run, name=f"connection-{settings.device}", daemon=True)

    @property
    def connected(self) -> bool:
        """Whether the server has accepted the device and its subscriptions on the present connection."""
        return self._connected

    @property
    def refused(self) -> str | None:
        """Why the server refused the device the last time it answered; None if it did not."""
        return self._refused

    @property
    def failures(self) -> int:
        """How many connections in a row were of no use: the server did not answer, or hung up at once. The device waits longer after each."""
        return self._failures

    @property
    def denied(self) -> tuple[str, ...]:
        """Topic filters that the server did not grant on the present or last connection."""
        return self._denied

    def start(self) -> None:
        """Starts the connection's thread."""
        self._thread.start()

    def wake(self) -> None:
        """Tells the thread that there is something to take. Callable from any thread."""
        try:
            self._wake_in.send(b"\0")
        except OSError:
            # Full: it will wake anyway. Closed: the thread has ended.
            return

    def close(self) -> None:
        """Says goodbye and ends the thread. What is in flight gets `close_timeout_s` to be acknowledged."""
        self._closing.set()
        self.wake()
        if self._thread.ident is None:
            self._free()
        elif threading.current_thread() is not self._thread:
            # It may be deep in a name look-up or a connect that cannot be interrupted: then it ends by itself, later.
            self._thread.join(self._settings.close_timeout_s + TICK_S)

    def _run(self) -> None:
        while not self._closing.is_set():
            self._accepted_s = None
            self._failures = 0 if self._attempt() else self._failures + 1
            self._closing.wait(self._pause_s())
        self._free()

    def _free(self) -> None:
        self._wake_in.close()
        self._wake_out.close()

    def _attempt(self) -> bool:
        """One connection from start to end. Returns whether it was of use: something was delivered, or it lasted."""
        session = None
        try:
            session = Session(self._settings, self._traffic, self, self._monotonic_s)
            session.run()
        except RefusedError as error:
            log.warning("%s: refused: %s", self._settings.device, error)
            self._refused = str(error)
        except ssl.SSLCertVerificationError as error:
            log.warning("%s: the server's certificate is not trusted: %s", self._settings.device, error.verify_message)
        except (OSError, LostError) as error:
            log.info("%s: connection lost: %s", self._settings.device, error)
        except DeviceError as error:
            log.warning("%s: %s", self._settings.device, error)
        except Exception:
            # A malformed packet, a fault of ours: whatever it was, a device that stops trying is worse.
            log.exception("%s: connection failed", self._settings.device)
        if session is not None:
            session.close()
        self._connected = False
        self._traffic.changed()
        has_lasted = self._accepted_s is not None and self._monotonic_s() - self._accepted_s > self._settings.backoff_max_s
        return has_lasted or (session is not None and session.has_delivered)

    def _pause_s(self) -> float:
        if self._refused is not None:
            return self._settings.refused_retry_s * (0.5 + 0.5 * self._jitter())
        settings = self._settings
        return backoff_s(
            max(0, self._failures - 1),
            first_s=settings.backoff_first_s,
            max_s=settings.backoff_max_s,
            jitter=self._jitter,
            # The server may have lost every device in this moment, and may be there again in the next.
            spread_s=0.0 if self._accepted_s is None else settings.reconnect_spread_s,
        )

    # --- for the session (`Owner`), in the connection's thread -------------------------------------------------------------

    @property
    def closing(self) -> bool:
        return self._closing.is_set()

    @property
    def wake_socket(self) -> socket.socket:
        return self._wake_out

    def accepted(self, denied: tuple[str, ...]) -> None:
        self._connected, self._refused, self._denied = True, None, denied
        self._accepted_s = self._monotonic_s()
        self._traffic.changed()
