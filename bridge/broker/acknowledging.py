"""What clients have acknowledged, on its way into the store: PUBREL of their own messages, and the progress of persistent sessions (MQTT 3.1.1 §4.3)."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

from bridge.broker.codec.v311 import pubcomp
from bridge.broker.message_log import MessageLog
from bridge.broker.pump import Pump
from bridge.broker.sessions import Received, Session, Unstored
from bridge.broker.shared import Shared
from bridge.ingest.items import Progress, Release


class Acknowledging:
    """See the module."""

    def __init__(self, shared: Shared, log: MessageLog, pump: Pump) -> None:
        self._shared = shared
        self._log = log
        self._pump = pump
        self._progress_is_out = False

    def release(self, session: Session, packet_id: int) -> None:
        """PUBREL came: the id is free again, and PUBCOMP follows once that is stored (§4.3.3)."""
        state = session.incoming.get(packet_id)
        if state is Received.RELEASING:
            return  # PUBCOMP is on its way: a second change could free the id of the message that follows
        if session.sid and state is not None:
            session.incoming[packet_id] = Received.RELEASING
            done = partial(self._released, session, packet_id)
            self._shared.sink.change(Release(received_ms=self._shared.now_ms(), done=done, sid=session.sid, packet_id=packet_id))
        else:
            self._released(session, packet_id, None)

    def _released(self, session: Session, packet_id: int, _: Any) -> None:
        session.incoming.pop(packet_id, None)
        if session.wire is not None:
            session.wire.write(pubcomp(packet_id))

    def flush(self, *, now: bool = False) -> None:
        """Have written what clients acknowledged: when a packet waits for it, or with `now`; one such change is under way at a time."""
        if self._progress_is_out or not (now or self._log.is_urgent):
            return
        due = self._log.take_due()
        if due is None:
            return
        self._progress_is_out = True
        done = partial(self._progress_stored, due.unstored)
        self._shared.sink.change(Progress(received_ms=self._shared.now_ms(), done=done, sessions=due.rows, finished=due.finished))

    def _progress_stored(self, unstored: Sequence[Unstored], _: Any) -> None:
        self._progress_is_out = False
        for waiting in unstored:
            waiting.session.stored(waiting)
            self._pump.send(waiting.session)
        self.flush()
