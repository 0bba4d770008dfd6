"""What the server lacks of a device. In a database that was restored, events are missing that had been acknowledged; the devices may still have them."""

from __future__ import annotations

from typing import Final

from bridge.domain.ledger import Ledger
from bridge.ingest.batch import Batch, PresenceHeard
from bridge.ingest.epochs import in_epoch
from bridge.ingest.items import Message
from bridge.ingest.seam import Quiet

RANGES_MAX: Final = 16
"""Requests that one presence is answered with. Beyond this, the oldest ranges are asked for as one, with the events between them."""


class Resending(Quiet):
    """Asks a device that comes online for what is missing of its log, unless all of it is on its way: the device says how many events it still has to send.

    In epoch 0 nothing that was acknowledged can be missing, so that a device of an older edition is asked for nothing that it does not understand.
    """

    hears = frozenset({PresenceHeard})

    def rule(self, heard: PresenceHeard, batch: Batch) -> None:
        presence, device = heard.presence, heard.identity.device
        epoch = batch.rules.epoch
        if not epoch or not presence.online or presence.log is None or not presence.last_seq:
            return
        ledger = batch.device(device).ledgers.get(presence.log, _EMPTY)
        missing = ledger.missing(presence.last_seq)
        if sum(last - first + 1 for first, last in missing) <= (presence.backlog or 0):
            return
        too_many = len(missing) - RANGES_MAX
        if too_many > 0:
            missing[: too_many + 1] = [(missing[0][0], missing[too_many][1])]
        topic = batch.topics.receipts(device)
        for first, last in missing:
            asked = in_epoch({"resend": {"to": last, "log": presence.log, "from": first}}, epoch)
            batch.published.append(Message(topic, batch.rules.encode(asked), 1, False))


_EMPTY: Final = Ledger()
