"""What an order can wait for: for each flag and each state why it waits, who does what, and the command that moves it on. The tables are complete."""

from __future__ import annotations

from typing import Final, NamedTuple

from devices.protocol.vocabulary import Flag, OrderState, ParcelState

HOUR_MS: Final = 3_600_000
DAY_MS: Final = 24 * HOUR_MS
ENDED: Final = frozenset({OrderState.DELIVERED, OrderState.COMPLETED, OrderState.CANCELLED, OrderState.RETURNED})
"""States of an order that has ended: no courier has to bring it anywhere, its promise does not matter any more, and most flags are only history. After an
exception it goes on: somebody still looks for the parcel."""


class Wait(NamedTuple):
    """Something that an order waits for.

    Words in braces are filled in: `order`, `hold`, `parcel`, `courier`, `carrier`, `tracking`, `given_to`, `job`, `missing`, `lines`, `attempts`. A command
    with one that is not known, such as a job, is left out. `after_ms` is how long it may take before anyone should look; `also_in` are the `ENDED` states in
    which it still matters.
    """

    why: str
    who: str
    command: str = ""
    after_ms: int = 0
    also_in: frozenset[OrderState] = frozenset()


_DELIVERED: Final = frozenset({OrderState.DELIVERED})

FLAGS: Final[dict[Flag, Wait | None]] = {
    Flag.HELD: Wait(
        "on hold for {hold}", "The desk lifts the hold once its reason is gone.", "dockbridge orders release {order} --reason {hold}", also_in=_DELIVERED
    ),
    Flag.CUSTOMS_HOLD: Wait("customs keep it", "The customs broker brings what is missing; the carrier reports customs_cleared."),
    Flag.NEEDS_CONFIRM: Wait("amended after picking began", "The desk confirms it as it is now.", "dockbridge orders confirm {order}"),
    Flag.SHORT: Wait("missing: {missing}", "The warehouse picks what is missing, or the desk takes it off the order.", "{take_off}"),
    Flag.DAMAGED: Wait(
        "goods are damaged",
        "The warehouse looks at them and packs them anew, or the desk cancels.",
        "dockbridge orders cancel {order}{of_parcel} --reason damaged",
    ),
    Flag.LOST: Wait(
        "lost",
        "Whoever finds it scans it (found); the desk gives it up by cancelling.",
        "dockbridge orders cancel {order}{of_parcel} --reason undeliverable",
        also_in=_DELIVERED,
    ),
    Flag.SILENT: Wait("nothing heard of it for long", "The desk asks {courier} where it is; any scan of it ends this."),
    Flag.LATE_RISK: Wait("its promise is at risk", "The warehouse and the courier take it first."),
    Flag.AMENDED: None,
    Flag.CANCEL_REQUESTED: Wait(
        "cancelled after it had left", "{courier} brings it back; a scan of the return ends this.", "dockbridge jobs release {job} --reason cancelled"
    ),
    Flag.MOVED_ON_HOLD: Wait("moved although it is on hold", "{courier} stops and brings it back, or the desk lifts the hold.", "{let_go}"),
    Flag.UNASSIGNED: Wait("no courier has it any more", "The desk gives it to another courier.", "dockbridge jobs assign {order} COURIER"),
    Flag.NOT_PAID: Wait(
        "on its way or delivered, and not paid",
        "The shop collects the payment and reports it (paid).",
        also_in=frozenset({OrderState.DELIVERED, OrderState.COMPLETED}),
    ),
    Flag.WRONG_COURIER: Wait(
        "{courier} has it, and it is another courier's", "The desk gives it to the one who has it, or asks for it.", "dockbridge jobs assign {order} {courier}"
    ),
    Flag.WRONG_CARRIER: Wait(
        "parcel {parcel} was loaded for {given_to}, and goes with {carrier}",
        "The warehouse takes it out and scans unload; or the desk lets {given_to} take it.",
        "dockbridge orders amend {order}{of_parcel} --carrier {given_to}",
    ),
    Flag.PART_RETURNED: None,
}
"""None: the flag only says what happened."""

STATES: Final[dict[OrderState, Wait | None]] = {
    OrderState.PENDING_PAYMENT: Wait(
        "not paid", "The shop reports the payment (paid), or the desk cancels.", "dockbridge orders cancel {order} --reason payment", after_ms=DAY_MS
    ),
    OrderState.PAID: Wait("paid, and not approved", "The shop approves it (approved).", after_ms=4 * HOUR_MS),
    OrderState.APPROVED: Wait("nothing is picked yet", "The warehouse picks it.", after_ms=DAY_MS),
    OrderState.PICKING: Wait("not packed yet; still to pick: {left}", "The warehouse goes on picking, and packs it.", after_ms=8 * HOUR_MS),
    OrderState.PACKED: Wait("packed, and not on its way", "The desk gives it to a courier.", "dockbridge jobs assign {order} COURIER", after_ms=DAY_MS),
    OrderState.SHIPPED: None,
    OrderState.CUSTOMS: None,
    OrderState.ENTERED: None,
    OrderState.OUT_FOR_DELIVERY: Wait(
        "out for delivery", "{courier} delivers it; if not, the desk gives the job to another.", "dockbridge jobs move {job} COURIER", after_ms=DAY_MS
    ),
    OrderState.DELIVERED: None,
    OrderState.COMPLETED: None,
    OrderState.CANCELLED: None,
    OrderState.RETURNING: Wait("on its way back", "The warehouse scans the return when it arrives.", after_ms=7 * DAY_MS),
    OrderState.RETURNED: None,
    OrderState.EXCEPTION: Wait(
        "all of it is lost or destroyed",
        "The shop sends it again as a new order; the desk cancels this one.",
        "dockbridge orders cancel {order} --reason undeliverable",
    ),
}
"""None: it has ended, or is on the road, where the flag `silent` says when to look. A state that only some parcels have reached (`partially_…`) is the same."""

PARCELS: Final[dict[ParcelState, Wait | None]] = {
    **dict.fromkeys(ParcelState),
    ParcelState.ATTEMPT_FAILED: Wait(
        "{attempts} of parcel {parcel} failed", "A courier tries again, or brings it back.", "dockbridge jobs assign {order} COURIER"
    ),
    ParcelState.AVAILABLE_FOR_PICKUP: Wait("parcel {parcel} waits at {where}", "The recipient collects it; the shop reminds them.", after_ms=5 * DAY_MS),
}
"""None: the order's state says it."""

WITH_CARRIER: Final[dict[Flag | OrderState | ParcelState, Wait]] = {
    Flag.SILENT: Wait(
        "{carrier} has it, and nothing was heard of it for long",
        "The desk asks {carrier} where {tracking} is, or takes in its status file; any news of it ends this.",
        "dockbridge carriers import FILE --map MAP",
    ),
    OrderState.PACKED: Wait(
        "packed, and not loaded for {carrier}", "The warehouse loads it for the next pickup.", "dockbridge carriers handover {carrier}", after_ms=DAY_MS
    ),
    OrderState.OUT_FOR_DELIVERY: Wait(
        "out for delivery with {carrier}", "The desk asks {carrier} where {tracking} is.", "dockbridge carriers import FILE --map MAP", after_ms=DAY_MS
    ),
    ParcelState.ATTEMPT_FAILED: Wait("{attempts} of parcel {parcel} failed", "{carrier} tries again, or brings it back; the desk asks for {tracking}."),
}
"""What is another wait if a carrier has the parcels, or is to take them, and no courier of ours."""
