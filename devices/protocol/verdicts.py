"""The words of a receipt: what became of an event, how the device sounds, why, what to do next, and what was odd.

The text below a word describes it, here and in every list of the contract: the documents for other languages print it.
"""

from __future__ import annotations

from enum import StrEnum


class Outcome(StrEnum):
    """What became of an event."""

    APPLIED = "applied"
    """It counts, and it changed the order, one of its parcels or a job."""
    NOOP = "noop"
    """It is true and was known already: nothing changes. A second scan of the same parcel at the same step is a `noop`."""
    LATE = "late"
    """It counts at the time when it happened. The order has moved on since then, so that what is shown now stays as it is."""
    PARKED = "parked"
    """It is stored and waits for an order, a label or an event that the server does not know yet. Once that comes, a receipt with a higher `n` follows."""
    BLOCKED = "blocked"
    """It is stored and does not count: the order may not be worked on now, for `reason`. Once that is over, scan again: a new event with a new id."""
    LOST_CLAIM = "lost_claim"
    """A `claim` or `decline` that came too late: the job has changed, or another courier has it."""
    REJECTED = "rejected"
    """It does not count, for `reason`, and sending it again changes nothing. Seldom, a later event tells more, and a receipt with a higher `n` follows."""


class Tone(StrEnum):
    """What the device plays. The tone follows from the whole verdict: a device needs no other rule to beep."""

    OK = "ok"
    """Go on: one short, high beep, a green light. Nothing needs to be read."""
    WARN = "warn"
    """It counts or waits, and something is odd: two beeps, a yellow light. Show `warn` or `reason`; the worker goes on."""
    STOP = "stop"
    """A person must act now: a long, low tone, a red light. Show `next`, with `reason` or `warn`, until the worker confirms."""


class Reason(StrEnum):
    """Why an event is parked, blocked, rejected or came too late with a claim."""

    # rejected
    MALFORMED = "malformed"
    """The payload breaks the contract; `detail` names the field. The server keeps it in quarantine. Drop it from your outbox and correct the firmware."""
    UNKNOWN_TYPE = "unknown_type"
    """The last level of the topic is not an event type of this server."""
    FORBIDDEN = "forbidden"
    """The role of this device may not send this, or the topic is not its own; `detail` names the rule."""
    ID_REUSED = "id_reused"
    """This device used the `id` for another event before. The receipt has a `digest` and no `id`. Make a new UUIDv7 for every event."""
    UNREADABLE_CODE = "unreadable_code"
    """The scanned text claims to be a GS1 code and is not a correct one, is empty, or has characters that cannot be printed."""
    CHECK_DIGIT = "check_digit"
    """The check digit of the scanned number is wrong: it was read or typed wrongly."""
    CONTAINER = "container"
    """The code is that of a container (a tote, a cage, a returnable asset), which no parcel can bear as its label."""
    WRONG_PARCEL = "wrong_parcel"
    """The scanned code is on a parcel of another order, or on another parcel than the one that is named."""
    WRONG_SKU = "wrong_sku"
    """The picked article is not on the order, or the scanned article is not the one that `body.sku` names."""
    ITEMS_NEEDED = "items_needed"
    """A `pack` without `body.items`, although the order has other parcels: the server cannot know what is in this one."""
    PARCEL_NEEDED = "parcel_needed"
    """The order has several parcels, and the event does not say which one it is about."""
    ORDER_NEEDED = "order_needed"
    """The event names no order, and its code does not say which order it is about."""
    CODE_TAKEN = "code_taken"
    """A `labelled` with a code that is the id of another order."""
    VOIDED = "voided"
    """The event was taken back by a `void`."""
    VOID_OF_VOID = "void_of_void"
    """A `void` of a `void`. Send the event that was taken back again, as a new event."""
    NOT_YOURS = "not_yours"
    """A `void` of an event of another device, or a `released` of a hold that only the device that set it may lift."""
    JOB_CLOSED = "job_closed"
    """The job is done, declined or taken back."""
    TOO_MANY_EVENTS = "too_many_events"
    """The order has the greatest number of events that one device may send of it, or the job the greatest number of orders."""
    REPEATED = "repeated"
    """This device has said the same of this order very often in a row: the event is stored and has no effect. Look for a trigger that is stuck."""
    POISON = "poison"
    """The server failed to handle the message, which is a fault of the server. It is in quarantine, from where an operator can handle it again."""
    UNKNOWN_JOB = "unknown_job"
    """There is no job with this id. The phone has made it up, or shows another site's job."""
    # parked
    UNKNOWN_ORDER = "unknown_order"
    """The order was not created yet. The event counts as soon as it is."""
    UNKNOWN_PARCEL = "unknown_parcel"
    """The scanned code is on no parcel that is known. The event counts as soon as a `pack` or `labelled` tells of it."""
    UNKNOWN_REFERENCE = "unknown_reference"
    """The event that a `void` takes back has not arrived. The `void` counts as soon as it does."""
    # blocked
    HELD = "held"
    """The order is on hold."""
    CANCELLED = "cancelled"
    """The order, or this parcel of it, was cancelled."""
    NEEDS_CONFIRM = "needs_confirm"
    """The shop changed the order after work on it had begun, and has to approve it again."""
    NOT_PAID = "not_paid"
    """A prepaid order is not paid, and the site does not let it be picked before."""
    # lost_claim
    STALE_REV = "stale_rev"
    """The `rev` in the `claim` is not the present one of the job: the courier has seen an older job."""
    HELD_BY_ANOTHER = "held_by_another"
    """The job is assigned to another courier."""


class Next(StrEnum):
    """The one instruction of a receipt: show it in the worker's language, and act on it as described."""

    WAIT = "wait"
    """Do not send the event again. As long as the receipt is not `final`, another one follows once the missing thing has come."""
    SET_ASIDE = "set_aside"
    """Put the goods aside and go on with others. If `final` is false, do not scan them again: the scan counts by itself. Else scan them again later."""
    CALL_DESK = "call_desk"
    """A person at the desk has to decide. Keep the goods where they are, and show `order` and `detail`."""
    SCAN_AGAIN = "scan_again"
    """The code was read wrongly: scan it again (a new event)."""
    PUT_BACK = "put_back"
    """Put the goods back where they came from: they are the wrong ones, or are not wanted any more."""
    NAME_ITEMS = "name_items"
    """Ask the worker what is in the parcel, and send the `pack` again as a new event with `body.items`."""
    NAME_ORDER = "name_order"
    """Ask for the order, and send the event again as a new one with `order`, or with the code of a label."""
    SCAN_PARCEL = "scan_parcel"
    """Scan the label of the parcel itself (a new event): what was scanned is an article, a container or an order of several parcels."""
    UNLOAD = "unload"
    """Take the parcel out of the vehicle again, and scan `unload`. It goes to the carrier that `expected.carrier` names."""
    REFRESH_JOBS = "refresh_jobs"
    """Show the job as the assignment topic has it now, and let the courier decide again."""
    UPDATE_FIRMWARE = "update_firmware"
    """A fault of the firmware: the worker can do nothing. Report `reason`, `detail` and `digest` to its developer, and go on."""


class Warn(StrEnum):
    """What was odd about an event that counts all the same. These are for the developer of the device, change no tone, and are not shown to a worker:
    `seq_reused`, `unknown_field`, `id_not_uuid7`, `seq_too_high`, `mono_ahead`, `sent_back`, `points_dropped`.
    """

    DOUBLE_SCAN = "double_scan"
    """This device scanned the same thing at the same step again within 1.5 s. It counts once; look for a trigger that bounces."""
    MISLOAD = "misload"
    """The scanned parcel belongs to another order than the named one, or is another parcel. The scan counts for the parcel that was scanned: take it out."""
    INCOMPLETE = "incomplete"
    """A `load` of an order that may not leave in parts, and is not packed completely."""
    MOVED_ON_HOLD = "moved_on_hold"
    """The parcel leaves although its order is on hold, or has to be confirmed. It counts, because it happened: bring it back."""
    MOVED_AFTER_CANCEL = "moved_after_cancel"
    """The parcel is on its way although it was cancelled. It counts, because it happened: bring it back."""
    WRONG_CARRIER = "wrong_carrier"
    """The parcel was loaded for another carrier than the one that is to take it (`expected.carrier`). It counts, because it happened: unload it."""
    NOT_PAID = "not_paid"
    """The order is not paid, or what came in is not enough."""
    NOT_DELIVERED = "not_delivered"
    """A `completed` of an order that is not delivered as a whole."""
    NOT_ORDERED = "not_ordered"
    """A `pack` that lists an article which is not on the order."""
    TOO_MANY = "too_many"
    """More was picked or packed than ordered, or more came back than was delivered."""
    NOT_LISTED = "not_listed"
    """A `pack` without `body.items` of an order whose lines were not all picked: the server cannot see what is missing."""
    PICKED_AFTER = "picked_after"
    """A `pick` of an article for an order that has left with all of it."""
    NOT_SCANNED = "not_scanned"
    """A `delivery` that names only the order, of parcels that nobody scanned out of the warehouse."""
    NOT_YOUR_JOB = "not_your_job"
    """The parcel is assigned to another courier."""
    HANDED_OVER = "handed_over"
    """Another courier had the parcel until now."""
    STILL_OUT = "still_out"
    """A courier's shift has ended, and parcels are still with them, or cash that was not counted: `detail` names them. Bring them in."""
    STILL_HELD = "still_held"
    """A `released` that left holds standing: `detail` names them. Name one in `body.reason`, or send `body.all`."""
    CLOCK_JUMP = "clock_jump"
    """The monotonic clock of this boot jumped: it stops while the device sleeps, or two boots have one `boot`. Correct the firmware."""
    ARTICLE_SCANNED = "article_scanned"
    """The code is that of an article, not of a label. The event counts for the order that it names."""
    ARTICLE_UNKNOWN = "article_unknown"
    """No article of the site's list has the scanned code."""
    LABEL_MOVED = "label_moved"
    """The label was on another parcel. It is on this one now; two boxes may bear each other's labels, so look at both."""
    OLD_LABEL = "old_label"
    """The scanned label was replaced by another one. The scan counts for the parcel that bore it last."""
    SOME_UNKNOWN = "some_unknown"
    """Some codes in the container are on no known parcel. The scan counts for them as soon as they are."""
    UNKNOWN_CODE = "unknown_code"
    """The scanned code is on no parcel of the named order. It has one parcel, so the scan counts for that."""
    CONTAINER_REOPENED = "container_reopened"
    """The container had moved, and is filled again without having been emptied: what was in it counts as taken out."""
    CLOCK_UNKNOWN = "clock_unknown"
    """The wall clock cannot be right, and no counter says when it happened: the event has the latest time that is possible. Set the clock."""
    SEQ_REUSED = "seq_reused"
    """Another event of this log had the same `seq`: the outbox was restored or copied. The event counts. Start a new log with `seq` 1."""
    UNKNOWN_FIELD = "unknown_field"
    """The contract does not have some field of the event; `detail` names it. Most often it is misspelt. In an event of a `system` it is not stored."""
    ID_NOT_UUID7 = "id_not_uuid7"
    """The `id` is not a UUIDv7 (RFC 9562): its version or variant is another. Ids that begin with their time keep the server's index small."""
    SEQ_TOO_HIGH = "seq_too_high"
    """The `seq` is above 1,000,000,000, which no log has counted to: perhaps it is a time. A log counts its events from 1, without a gap."""
    MONO_AHEAD = "mono_ahead"
    """The `mono_ms` is more than a second later than the `sent_mono_ms` of the same boot: nothing is sent before it happens."""
    SENT_BACK = "sent_back"
    """The `sent_mono_ms` is more than five seconds lower than that of the message before: read the counter anew each time the event is handed to the network.
    A packet with the DUP flag is not warned of."""
    POINTS_DROPPED = "points_dropped"
    """Some points of a location batch at QoS 1 were not used; `detail` says how many and why (`PointFault`). At QoS 0 they are only counted."""


DEVELOPER_WARNINGS: frozenset[Warn] = frozenset(
    {
        Warn.SEQ_REUSED,
        Warn.UNKNOWN_FIELD,
        Warn.ID_NOT_UUID7,
        Warn.SEQ_TOO_HIGH,
        Warn.MONO_AHEAD,
        Warn.SENT_BACK,
        Warn.POINTS_DROPPED,
    }
)
"""Warnings about a program, not about a parcel: its developer must know, and a worker can do nothing about it. They never change the tone, and a device does
not show them to its worker."""


class PointFault(StrEnum):
    """Why a point of a location batch is not used. The other points of the batch are."""

    MALFORMED = "malformed"
    """It breaks the contract: a value is out of range, or it is not an array of five."""
    NO_FIX = "no_fix"
    """It lies at 0, 0: the receiver does not know yet where it is."""
    NO_TIME = "no_time"
    """It happened after its batch was sent, or comes from a counter that cannot be used."""
    INACCURATE = "inaccurate"
    """It is less accurate than the site allows."""
    OFF_SHIFT = "off_shift"
    """It is from outside the shifts that the phone has told of. Nothing of it is stored."""
    ON_BREAK = "on_break"
    """It is from a break. Nothing of it is stored."""
    NOTHING_ON_BOARD = "nothing_on_board"
    """Its courier has no parcel on board. Nothing of it is stored."""
    OUTDATED = "outdated"
    """It came later than the site still uses points."""
    DUPLICATE = "duplicate"
    """It was sent before, in this location or as the last one."""
    TOO_FAST = "too_fast"
    """No vehicle of the site gets there so fast from the points before. Once three in a row agree with each other, they are believed."""
