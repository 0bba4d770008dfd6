"""The session of a client that redeems a claim. It is sent one message, and its acknowledgement says that the secret in it has arrived."""

from __future__ import annotations

from collections.abc import Callable

from bridge.broker.codec.outgoing import Outgoing
from bridge.broker.sessions import Session


class ClaimSession(Session):
    """A clean session; see the module."""

    has_asked = False
    """Whether the client has subscribed: for a second secret it must connect again."""
    _on_arrived: Callable[[], None] | None = None

    def hand_over(self, message: Outgoing, on_arrived: Callable[[], None]) -> None:
        """Send the message with the secret. `on_arrived` is called when the client has acknowledged it."""
        self._on_arrived = on_arrived
        self.deliver(message, 1)

    def on_puback(self, packet_id: int) -> None:
        before = self.in_flight
        super().on_puback(packet_id)
        if self.in_flight < before and self._on_arrived is not None:
            on_arrived, self._on_arrived = self._on_arrived, None
            on_arrived()


def nothing_to_redeem(session: ClaimSession) -> None:
    """A door without claims."""
