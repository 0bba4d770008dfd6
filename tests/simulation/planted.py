"""Defects that are planted in a copy of the bridge, to see whether the simulation finds them."""

from __future__ import annotations

from pathlib import Path
from typing import Final, NamedTuple

REPOSITORY: Final = Path(__file__).parents[2]


class Edit(NamedTuple):
    """A piece of a source file, which must occur exactly once, and its replacement."""

    path: str
    old: str
    new: str


class Defect(NamedTuple):
    """A defect, the scenario that finds it, and a law that it breaks (usually one of several)."""

    name: str
    scenario: str
    law: str
    edits: tuple[Edit, ...]


PIPELINE: Final = "bridge/ingest/pipeline.py"
ACCEPT: Final = "bridge/ingest/accept.py"
CODING: Final = "bridge/ingest/coding.py"

DEFECTS: Final = (
    Defect(
        "acknowledge before commit",
        "power-cut",
        "acknowledged_is_stored",
        (
            Edit(
                PIPELINE,
                "        self._waiting.append((incoming, acknowledge))\n",
                "        acknowledge(b'')\n        self._waiting.append((incoming, _ignore_receipt))\n",
            ),
        ),
    ),
    Defect(
        "acknowledge although the disk is full",
        "power-cut",
        "acknowledged_is_stored",
        (Edit(PIPELINE, "                await asyncio.sleep(delay_s)\n", "                return Settled([], [], [{} for _ in batch])\n"),),
    ),
    Defect(
        "forget the dedupe key",
        "power-cut",
        "stored_once",
        (
            Edit(ACCEPT, "    if (stored := batch.known.get(uid)) is not None:\n", "    if (stored := None) is not None:\n"),
            Edit("bridge/ingest/folding.py", "verdict, entries = verdicts[fact.uid], (entry,)", "verdict, entries = verdicts.get(fact.uid, APPLIED), (entry,)"),
            Edit("bridge/ingest/folding.py", "import DECIDED, Decided,", "import APPLIED, DECIDED, Decided,"),
            Edit(
                "bridge/store/migrations/versions/0001_the_first_tables.py", 'sa.UniqueConstraint("id", "device", name', 'sa.UniqueConstraint("id", "pos", name'
            ),
        ),
    ),
    Defect(
        "fold in the order of arrival",
        "cross-border",
        "receipts_are_true",
        (Edit("bridge/domain/facts.py", "1, order_ms, self.device, self.log", "1, self.pos, self.device, self.log"),),
    ),
    Defect(
        "believe the device's wall clock",
        "clock-chaos",
        "orders_ended_as_planned",
        (
            Edit(
                ACCEPT,
                "    counted = clock.by_counter(boot=event.boot, mono_ms=event.mono_ms, received_ms=received_ms)\n",
                "    counted: EventTime | None = event_time.system_time(at_ms=event.at_ms, received_ms=received_ms)\n",
            ),
        ),
    ),
    Defect(
        "believe a clock in 1970",
        "wrong-clock",
        "times_are_possible",
        (
            Edit(
                "bridge/domain/event_time.py",
                "        if shown_ms is None or not possible.from_ms - BOUND",
                "        if shown_ms is None:\n            return EventTime(at_ms, Source.WALL, SKEW_NOISE_MS)\n        if not possible.from_ms - BOUND",
            ),
        ),
    ),
    Defect(
        "lose a cursor: a session forgets what is in flight when the server ends",
        "power-cut",
        "owed_is_delivered",
        (Edit("bridge/broker/restore.py", "message.pos >= interval.next_pos and", "message.pos > interval.next_pos and"),),
    ),
    Defect(
        "send again without DUP",
        "power-cut",
        "owed_is_delivered",
        (Edit("bridge/broker/restore.py", "row.sid is not None, row.pos, True))\n", "row.sid is not None, row.pos, False))\n"),),
    ),
    Defect(
        "retain before commit",
        "power-cut",
        "owed_is_delivered",
        (
            Edit(
                PIPELINE,
                '                result = work(tx)\n                self._passed("written")\n',
                '                result = work(tx)\n                SHOW(result)\n                self._passed("written")\n',
            ),
            Edit(PIPELINE, 'T = TypeVar("T")\n', 'T = TypeVar("T")\nSHOW: Any = lambda result: None\n'),
            Edit(PIPELINE, "                self._outlet.show(settled)\n", "                pass\n"),
            Edit(
                "bridge/serving/open_site.py",
                "        self.outlet = Outlet()\n",
                "        self.outlet = Outlet()\n        import bridge.ingest.pipeline\n        bridge.ingest.pipeline.SHOW = self.outlet.show_early\n",
            ),
            Edit(
                "bridge/serving/outlet.py",
                "    def flush(self) -> None:\n",
                "    def show_early(self, result: object) -> None:\n        if isinstance(result, Settled) and result.outcomes:\n            self.show(result)\n            self.flush()\n\n    def flush(self) -> None:\n",
            ),
        ),
    ),
    Defect(
        "off by one in the ledger",
        "quiet-morning",
        "ledgers_have_no_gap",
        (
            Edit(
                "bridge/domain/ledger.py",
                "        return sum(b - a + 1 for a, b in self.gaps)\n",
                "        return sum(b - a for a, b in self.gaps) + (1 if self.high > 9 else 0)\n",
            ),
        ),
    ),
    Defect(
        "a gap that is closed stays an alert",
        "dead-zones",
        "alerts_are_true",
        (Edit("bridge/projections/alerts.py", "        if self._raised.pop(key, None) is not None:\n", "        if not key:\n"),),
    ),
    Defect(
        "a courier may read any order",
        "courier-tunnel",
        "nobody_reads_what_is_not_theirs",
        (
            Edit(
                "bridge/domain/access.py",
                "    for allowed in readable(identity):\n        if covers(allowed, topic_filter):\n",
                "    for allowed in readable(identity):\n        if covers(allowed, topic_filter) or topic_filter.endswith('/status'):\n",
            ),
        ),
    ),
    Defect(
        "the worker stands in the status",
        "shift-change",
        "nothing_personal_is_retained",
        (
            Edit("bridge/domain/view.py", "count = 6 + (parcel.where is not None)", "count = 7 + (parcel.where is not None)"),
            Edit(
                "bridge/domain/view.py",
                'b"".join((_AT_MS, integer(parcel.at_ms), *borne))',
                'b"".join((text("by"), text("w-scan-1-1"), _AT_MS, integer(parcel.at_ms), *borne))',
            ),
        ),
    ),
    Defect(
        "a badge is stored",
        "shift-change",
        "workers_are_pseudonyms",
        (Edit("bridge/ingest/badges.py", 'return b"".join((payload[: at - len(by.head)], by.stored, payload[at + len(by.raw) :]))\n', "return payload\n"),),
    ),
    Defect(
        "a closed job stays retained",
        "courier-tunnel",
        "retained_is_the_store",
        (
            Edit(
                "bridge/projections/jobs.py",
                "    if not job.is_open:\n        batch.clear(topic)\n        return\n",
                "    if not job.is_open:\n        return\n",
            ),
        ),
    ),
    Defect(
        "memory is kept when a commit fails",
        "power-cut",
        "alerts_are_true",
        (Edit(PIPELINE, "            self._ingest.forget()\n            raise\n", "            raise\n"),),
    ),
    Defect(
        "what was parked is not applied when its order comes",
        "mixed",
        "nothing_is_left",
        (Edit("bridge/ingest/folding.py", "            unpark(batch, fact.pos)\n", "            pass\n"),),
    ),
    Defect(
        "a resent event is told that it was applied",
        "power-cut",
        "receipts_are_true",
        (Edit("bridge/ingest/receipt.py", '{**cbor2.loads(receipt), "again": True}', '{**cbor2.loads(receipt), "again": True, "outcome": "applied"}'),),
    ),
    Defect(
        "a changed status keeps its rev",
        "quiet-morning",
        "revisions_never_go_back",
        (Edit("bridge/projections/orders.py", "    entry.rev = batch.next_rev(entry)\n    entry.due_ms", "    entry.rev += entry.rev < 2\n    entry.due_ms"),),
    ),
    Defect(
        "a client that is away is owed nothing",
        "power-cut",
        "owed_is_delivered",
        (
            Edit(
                "bridge/broker/sessions.py",
                "        if not is_sent:\n",
                "        if not is_sent and self.wire is not None:\n",
            ),
        ),
    ),
    Defect(
        "place each scan once, as it arrives",
        "labels-only",
        "scans_are_where_they_belong",
        (Edit(CODING, "if not _same(was, placings[pos])]\n", "if False]\n"),),
    ),
    Defect(
        "look back only: what a label explains came after it",
        "labels-only",
        "scans_are_where_they_belong",
        (
            Edit(
                "bridge/domain/codes/history.py",
                "        comes = following is not None and following.at_ms <= at_ms + near_ms\n",
                "        comes = False\n",
            ),
        ),
    ),
    Defect(
        "the void of a label moves nothing back",
        "swapped-labels",
        "scans_are_where_they_belong",
        (Edit(CODING, "                    self._mark_codes(target)\n", "                    pass\n"),),
    ),
    Defect(
        "of two orders in one cage, one moves",
        "pallets",
        "scans_are_where_they_belong",
        (Edit("bridge/domain/codes/place.py", "for order_id, keys in sorted(codes.items())), warn", "for order_id, keys in sorted(codes.items())[:1]), warn"),),
    ),
    Defect(
        "a label that was scanned beside an order says nothing of it",
        "cross-dock",
        "nothing_is_left",
        (Edit("bridge/domain/codes/history.py", "            self.hints.append(Hint(at_ms, order_id, self._gap))\n", "            pass\n"),),
    ),
    Defect(
        "any release lifts every hold",
        "short-and-found",
        "receipts_are_true",
        (
            Edit(
                "bridge/domain/order/shop.py",
                "    asked = [body.reason] if body.reason is not None and not body.all else list(order.holds)\n",
                "    asked = list(order.holds)\n",
            ),
        ),
    ),
    Defect(
        "goods that moved are paid",
        "cross-dock",
        "state_is_right",
        (
            Edit(
                "bridge/domain/order/order.py",
                "        if self.paid or self.created is None:\n",
                "        if self.paid or self.created is None or self.parcels:\n",
            ),
        ),
    ),
)

QUICK: Final = frozenset({"acknowledge before commit", "fold in the order of arrival", "retain before commit"})
"""The defects that the default run plants; `.ci/run` plants all."""
