"""Simulated devices, driven by hand: every event is sent until it is stored, and every answer has its consequence.

The bench plays network, bridge and time. No test waits: time is a number.
"""

from __future__ import annotations

from hashlib import sha256
from random import Random
from typing import Any

import pytest

from devices.protocol import bodies, messages
from devices.protocol.messages import Assignment, Event, Last, LocationBatch, OrderStatus, Presence, Progress, Receipt, Stop, decode, decode_event, encode
from devices.protocol.topics import Topics
from devices.protocol.vocabulary import EventType, JobState, Outcome, Reason, Tone
from firmware_sim.firmware.actions import (
    Acknowledged,
    Action,
    Beep,
    Connect,
    Connected,
    Disconnect,
    Disconnected,
    Hand,
    Handed,
    HangUp,
    PowerCut,
    Publish,
    Received,
    Subscribe,
    SwitchOff,
    Thing,
    WakeAt,
)
from firmware_sim.firmware.backlog import Backlog, Told
from firmware_sim.firmware.base import Firmware
from firmware_sim.firmware.chores import RETRY_MS, THINK_MS, Doer
from firmware_sim.firmware.courier import DRIVE_MS, LEGS, Courier, Ending, Visit
from firmware_sim.firmware.dispatcher import Dispatcher, Route, Screen
from firmware_sim.firmware.outbox import ACK_PATIENCE_MS, ANSWER_PATIENCE_MS, WINDOW
from firmware_sim.firmware.radio import BACKOFF_MAX_MS
from firmware_sim.firmware.reactions import REACTIONS, Reaction, reaction_to
from firmware_sim.firmware.scanner import ParcelToPack, PickList, Scanner
from firmware_sim.firmware.shop import Sale, Shop

SITE = "ams1"
T = Topics(SITE)
LIST = PickList(order="PO-1", lines=(("pen", 2),), parcels=(ParcelToPack(items=(("pen", 2),), code="WB-1", kind="waybill", name="PO-1-1"),))


class Bench:
    """A device on the bench. `stored` has the events that it sent, each once, in the order in which they were first sent."""

    def __init__(self, firmware: Firmware) -> None:
        self.firmware = firmware
        self.now_ms = 1_760_000_000_000
        self.actions: list[Action] = []
        self.sent: list[Publish] = []
        self._rng = Random(1)

    def step(self, *inbox: Any, after_ms: int = 0) -> list[Action]:
        self.now_ms += after_ms
        actions = self.firmware.step(self.now_ms, inbox, self._rng)
        self.actions += actions
        self.sent += [a for a in actions if isinstance(a, Publish) and a.event is not None]
        return actions

    def connect(self) -> list[Action]:
        self.step()
        return self.step(Connected(), after_ms=BACKOFF_MAX_MS)

    @property
    def events(self) -> list[tuple[EventType, Event[Any]]]:
        """The sent messages as the bridge reads them, including repeated ones."""
        return [read(p) for p in self.sent]

    @property
    def types(self) -> list[str]:
        return [kind.value for kind, _ in self.events]

    def answer(self, publish: Publish, outcome: Outcome = Outcome.APPLIED, tone: Tone = Tone.OK, n: int = 1, **more: Any) -> list[Action]:
        receipt = Receipt(n=n, final=outcome is not Outcome.PARKED, outcome=outcome, tone=tone, at_ms=self.now_ms, id=publish.event, **more)
        return self.step(Received(T.receipts(self.firmware.device), encode(receipt)))

    def store(self, publish: Publish) -> list[Action]:
        assert publish.token is not None
        return self.step(Acknowledged(publish.token))

    def settle(self, *, rounds: int = 200) -> None:
        """Store and apply everything that arrives, and let time pass, until no more arrives."""
        done = 0
        for _ in range(rounds):
            while done < len(self.sent):
                publish = self.sent[done]
                done += 1
                self.store(publish)
                self.answer(publish)
            self.step(after_ms=THINK_MS * 20)


def read(publish: Publish) -> tuple[EventType, Event[Any]]:
    kind = EventType(publish.topic.rpartition("/")[2])
    return kind, decode_event(publish.payload, kind)


def status(order: str, state: str) -> Received:
    progress = Progress(parcels=1, packed=1, shipped=0, delivered=0, exceptions=0)
    shown = OrderStatus(
        order=order,
        state=state,
        flags=[],
        rev=1,
        at_ms=1,
        updated_ms=1,
        progress=progress,
        percent=40,
        milestones=[],
        last=Last(type=EventType.PACK, at_ms=1),
        hash=b"8 bytes!",
    )
    return Received(T.status(order), encode(shown))


def assignment(job: str, rev: int, state: JobState, *orders: str, codes: tuple[str, ...] = ("WB-1",), handling: tuple[str, ...] = ()) -> Received:
    stops = [Stop(stop=o, orders=[o], parcels=[f"{o}-{n}" for n in range(len(codes))], codes=list(codes), handling=list(handling)) for o in orders]
    return Received(T.assignment("anna", job), encode(Assignment(job=job, rev=rev, state=state, stops=stops)))


@pytest.fixture
def device() -> Bench:
    return Bench(Firmware(site=SITE, device="scan-1"))


@pytest.fixture
def scanner() -> Bench:
    return Bench(Scanner(site=SITE, device="scan-1", workers=("w-1",), lists=[LIST], returns=[LIST]))


@pytest.fixture
def courier() -> Bench:
    visit = Visit(order="PO-1", ending=Ending.DELIVERED, door=(523_800_000, 49_100_000), back_to="scan-1", amount_minor=1250)
    return Bench(Courier(site=SITE, device="phone-1", courier="anna", visits=[visit], depot=(523_700_000, 49_000_000)))


def record(bench: Bench, count: int = 1) -> None:
    """Events happen, before the device's next step."""
    for _ in range(count):
        bench.firmware.record(EventType.SHIFT_ENDED)


# --- the queue --------------------------------------------------------------------------------------------------------------


def test_receipts_are_subscribed_to_and_presence_is_published_before_events(device: Bench) -> None:
    device.step()
    record(device, 2)
    subscribe, presence, *events = [a for a in device.step(Connected()) if not isinstance(a, WakeAt)]
    assert subscribe == Subscribe((T.receipts("scan-1"),))
    assert isinstance(presence, Publish)
    assert presence.topic == T.presence("scan-1")
    assert presence.retain
    told = decode(presence.payload, Presence)
    assert (told.online, told.last_seq, told.backlog) == (True, 2, 2)
    assert [read(e)[1].seq for e in events if isinstance(e, Publish)] == [1, 2]


def test_the_will_says_offline_and_has_no_clock(device: Bench) -> None:
    (connect,) = [a for a in device.step() if isinstance(a, Connect)]
    will = decode(connect.will.payload, Presence)
    assert (will.online, will.boot, will.at_ms, will.mono_ms) == (False, device.firmware.boot, None, None)


def test_what_was_in_flight_is_sent_again_with_the_same_id_and_new_sending_times(device: Bench) -> None:
    device.connect()
    record(device, 3)
    device.step()
    first = device.events
    device.store(device.sent[0])
    device.step(Disconnected())
    device.step(after_ms=BACKOFF_MAX_MS)
    device.step(Connected(), after_ms=50)
    again = device.events[3:]
    assert [e.id for _, e in again] == [e.id for _, e in first[1:]]
    assert [e.seq for _, e in again] == [2, 3]
    for (_, old), (_, new) in zip(first[1:], again, strict=True):
        assert (new.mono_ms, new.at_ms, new.boot) == (old.mono_ms, old.at_ms, old.boot)
        assert new.sent_mono_ms > old.sent_mono_ms


def test_a_power_cut_changes_the_boot_and_keeps_everything_else(device: Bench) -> None:
    device.connect()
    record(device, 2)
    device.step()
    device.step(PowerCut(), after_ms=1_000)
    device.step(Connected(), after_ms=10)
    record(device)
    device.step()
    (_, a), (_, b), (_, a2), (_, b2), (_, c) = device.events
    assert (a2.id, b2.id, a2.boot, a2.log) == (a.id, b.id, a.boot, a.log)
    assert a2.sent_boot == c.boot != a.boot
    assert c.seq == 3
    assert c.mono_ms < a.mono_ms


def test_no_more_than_a_window_is_in_flight(device: Bench) -> None:
    device.connect()
    record(device, WINDOW + 5)
    device.step()
    assert len(device.sent) == WINDOW
    device.store(device.sent[0])
    assert len(device.sent) == WINDOW + 1


def test_nothing_is_lost_on_a_bad_line(device: Bench) -> None:
    chance = Random(5)
    device.connect()
    stored: dict[bytes, int] = {}
    for _ in range(400):
        if device.firmware.flash.last_seq < 100:
            record(device)
        seen = len(device.sent)
        device.step(after_ms=10)
        for publish in device.sent[seen:]:
            if chance.random() < 0.5:
                stored[publish.event or b""] = read(publish)[1].seq
                if chance.random() < 0.8:
                    device.store(publish)
                    device.answer(publish)
        if chance.random() < 0.2:
            device.step(Disconnected())
            device.step(after_ms=BACKOFF_MAX_MS)
            device.step(Connected())
    device.settle(rounds=5)
    stored |= {p.event or b"": read(p)[1].seq for p in device.sent}
    assert sorted(stored.values()) == list(range(1, 101))
    assert device.firmware.is_settled


def test_reconnecting_backs_off(device: Bench) -> None:
    device.step()
    pauses = []
    for _ in range(12):
        (wake,) = [a for a in device.step(Disconnected()) if isinstance(a, WakeAt)]
        pauses.append(wake.at_ms - device.now_ms)
        actions = device.step(after_ms=pauses[-1])
        assert [a for a in actions if isinstance(a, Connect)]
    assert pauses[0] < 200
    assert BACKOFF_MAX_MS / 2 <= pauses[-1] <= BACKOFF_MAX_MS


def test_a_device_that_is_switched_off_says_so_and_stays_off(device: Bench) -> None:
    device.connect()
    presence, goodbye = device.step(SwitchOff())
    assert isinstance(presence, Publish)
    assert not decode(presence.payload, Presence).online
    assert isinstance(goodbye, Disconnect)
    assert device.step(Disconnected(), after_ms=60_000) == []


# --- receipts ---------------------------------------------------------------------------------------------------------------


def test_an_event_is_settled_when_it_is_stored_and_answered_in_either_order(device: Bench) -> None:
    device.connect()
    record(device, 2)
    device.step()
    one, two = device.sent
    device.store(one)
    assert not device.firmware.is_settled
    device.answer(one)
    device.answer(two)
    assert not device.firmware.is_settled
    device.store(two)
    assert device.firmware.is_settled


def test_an_answer_that_never_came_is_asked_for_again(device: Bench) -> None:
    device.connect()
    record(device)
    device.step()
    device.store(device.sent[0])
    device.step(after_ms=ANSWER_PATIENCE_MS - 1)
    assert len(device.sent) == 1
    device.step(after_ms=1)
    assert [e.id for _, e in device.events] == [device.sent[0].event] * 2
    device.answer(device.sent[1], again=True)
    assert device.firmware.is_settled
    assert device.firmware.answers_again == 1


def test_the_highest_n_holds(device: Bench) -> None:
    device.connect()
    record(device)
    device.step()
    (event,) = device.sent
    device.answer(event, Outcome.APPLIED, n=2)
    device.answer(event, Outcome.PARKED, n=1)
    assert device.firmware.verdicts[event.event or b""].outcome is Outcome.APPLIED


def test_a_broken_message_is_a_trouble_and_no_crash(device: Bench) -> None:
    device.connect()
    device.step(Received(T.receipts("scan-1"), b"\xff"))
    assert "breaks the contract" in device.firmware.troubles[0]


def test_every_outcome_has_a_reaction() -> None:
    assert set(REACTIONS) == set(Outcome)


def test_a_cancelled_order_is_given_up_and_a_held_one_is_not() -> None:
    held, cancelled = (Receipt(n=1, final=True, outcome=Outcome.BLOCKED, tone=Tone.STOP, at_ms=1, reason=r) for r in (Reason.HELD, Reason.CANCELLED))
    assert reaction_to(held) is Reaction.RETRY
    assert reaction_to(cancelled) is Reaction.GIVE_UP


# --- the scanner ------------------------------------------------------------------------------------------------------------


def test_a_worker_picks_packs_stages_and_goes_home(scanner: Bench) -> None:
    scanner.connect()
    scanner.step(Handed(Thing.PICK_LIST, "PO-1"), Handed(Thing.RETURN, "PO-1"))
    scanner.settle()
    assert scanner.types == ["shift_started", "pick", "pack", "stage", "returned", "shift_ended"]
    assert scanner.firmware.is_finished
    assert not scanner.firmware.troubles


def test_the_next_scan_waits_for_the_tone_of_the_last(scanner: Bench) -> None:
    scanner.connect()
    scanner.step(Handed(Thing.PICK_LIST, "PO-1"))
    scanner.step(after_ms=10_000)
    assert scanner.types == ["shift_started"]
    beeps = [a for a in scanner.answer(scanner.sent[0]) if isinstance(a, Beep)]
    assert beeps == [Beep(Tone.OK)]
    scanner.step(after_ms=2 * THINK_MS)
    assert scanner.types == ["shift_started", "pick"]


def test_a_quiet_receipt_makes_no_beep(scanner: Bench) -> None:
    scanner.connect()
    first = scanner.sent[0]
    scanner.answer(first, Outcome.PARKED, Tone.WARN)
    beeps = [a for a in scanner.answer(first, Outcome.APPLIED, n=2, quiet=True) if isinstance(a, Beep)]
    assert beeps == []
    assert scanner.firmware.verdicts[first.event].outcome is Outcome.APPLIED, "it counts all the same"


def test_a_refusal_of_a_spoilt_copy_is_no_verdict_on_the_event(scanner: Bench) -> None:
    """Its id could still be read; its digest is not that of what was sent."""
    scanner.connect()
    first = scanner.sent[0]
    scanner.answer(first, Outcome.REJECTED, Tone.STOP, digest=b"spoilt..", reason=Reason.MALFORMED, type="shift_started")
    assert first.event not in scanner.firmware.verdicts
    assert scanner.firmware.troubles == []
    scanner.answer(first)
    assert scanner.firmware.verdicts[first.event].outcome is Outcome.APPLIED


def test_a_refusal_of_what_was_really_sent_is_a_trouble(scanner: Bench) -> None:
    scanner.connect()
    first = scanner.sent[0]
    scanner.answer(first, Outcome.REJECTED, Tone.STOP, digest=sha256(first.payload).digest()[:8], reason=Reason.MALFORMED, type="shift_started")
    assert len(scanner.firmware.troubles) == 1


def test_a_held_order_is_set_aside_and_scanned_again_later() -> None:
    other = PickList(order="PO-2", lines=(("pen", 1),), parcels=LIST.parcels)
    scanner = Bench(Scanner(site=SITE, device="scan-1", workers=("w-1",), lists=[LIST, other], returns=[]))
    scanner.connect()
    scanner.answer(scanner.sent[-1])
    scanner.step(Handed(Thing.PICK_LIST, "PO-1"), Handed(Thing.PICK_LIST, "PO-2"), after_ms=2 * THINK_MS)
    held = scanner.sent[-1]
    scanner.answer(held, Outcome.BLOCKED, Tone.STOP, reason=Reason.HELD)
    assert scanner.events[-1][1].order == "PO-2"
    scanner.answer(scanner.sent[-1])
    while scanner.events[-1][1].order == "PO-2":
        scanner.step(after_ms=RETRY_MS)
        scanner.answer(scanner.sent[-1])
    again = scanner.events[-1]
    assert again[0] is EventType.PICK
    assert again[1].order == "PO-1"
    assert again[1].id != held.event


def test_a_cancelled_order_is_put_back_without_a_word(scanner: Bench) -> None:
    scanner.connect()
    scanner.answer(scanner.sent[-1])
    scanner.step(Handed(Thing.PICK_LIST, "PO-1"), after_ms=2 * THINK_MS)
    scanner.answer(scanner.sent[-1], Outcome.BLOCKED, Tone.STOP, reason=Reason.CANCELLED)
    scanner.step(after_ms=10 * RETRY_MS)
    assert scanner.types == ["shift_started", "pick"]
    assert isinstance(scanner.firmware, Doer)
    assert scanner.firmware.given_up == {"PO-1": Reason.CANCELLED}
    assert not scanner.firmware.troubles


def test_a_parked_pick_waits_for_its_second_receipt(scanner: Bench) -> None:
    scanner.connect()
    scanner.answer(scanner.sent[-1])
    scanner.step(Handed(Thing.PICK_LIST, "PO-1"), after_ms=2 * THINK_MS)
    pick = scanner.sent[-1]
    scanner.answer(pick, Outcome.PARKED, Tone.WARN, reason=Reason.UNKNOWN_ORDER)
    scanner.step(after_ms=2 * RETRY_MS)
    assert scanner.sent[-1].event == pick.event
    scanner.answer(pick, Outcome.APPLIED, n=2)
    scanner.step(after_ms=2 * THINK_MS)
    assert scanner.types[-1] == "pack"


def test_a_scan_that_is_blocked_after_all_is_done_once_more(scanner: Bench) -> None:
    scanner.connect()
    scanner.answer(scanner.sent[-1])
    scanner.step(Handed(Thing.PICK_LIST, "PO-1"), after_ms=2 * THINK_MS)
    pick = scanner.sent[-1]
    scanner.answer(pick)
    scanner.step(after_ms=2 * THINK_MS)
    scanner.answer(pick, Outcome.BLOCKED, Tone.STOP, n=2, reason=Reason.HELD)
    scanner.settle()
    assert scanner.types == ["shift_started", "pick", "pack", "pick", "stage"]


def test_a_wrong_label_is_followed_by_the_right_one(scanner: Bench) -> None:
    scanner.connect()
    scanner.answer(scanner.sent[-1])
    scanner.step(Handed(Thing.PICK_LIST, "PO-1"), after_ms=2 * THINK_MS)
    pick = scanner.sent[-1]
    scanner.answer(pick, Outcome.REJECTED, Tone.STOP, reason=Reason.WRONG_SKU)
    scanner.step(after_ms=RETRY_MS)
    assert scanner.types[-1] == "pick"
    assert scanner.sent[-1].event != pick.event
    assert scanner.firmware.troubles == []


def test_a_publish_without_an_acknowledgement_costs_the_connection_and_nothing_else(scanner: Bench) -> None:
    scanner.connect()
    actions = scanner.step(after_ms=ACK_PATIENCE_MS)
    assert any(isinstance(a, HangUp) for a in actions)
    assert len(scanner.firmware.flash.events) == 1


def test_a_rejection_is_a_trouble(scanner: Bench) -> None:
    scanner.connect()
    scanner.answer(scanner.sent[-1])
    scanner.step(Handed(Thing.PICK_LIST, "PO-1"), after_ms=2 * THINK_MS)
    scanner.answer(scanner.sent[-1], Outcome.REJECTED, Tone.STOP, reason=Reason.CHECK_DIGIT)
    assert scanner.firmware.troubles == ["scan-1: order PO-1: rejected check_digit"]


# --- the courier ------------------------------------------------------------------------------------------------------------


def test_a_job_is_claimed_against_the_rev_that_was_seen(courier: Bench) -> None:
    courier.connect()
    courier.step(assignment("j-1", 1, JobState.ASSIGNED, "PO-1"))
    courier.answer(courier.sent[-1], Outcome.LOST_CLAIM, Tone.STOP, reason=Reason.STALE_REV)
    courier.step(assignment("j-1", 2, JobState.ASSIGNED, "PO-1"), assignment("j-1", 2, JobState.ASSIGNED, "PO-1"))
    claims = [e.body for _, e in courier.events]
    assert claims == [bodies.Claim(job="j-1", rev=1), bodies.Claim(job="j-1", rev=2)]
    assert not courier.firmware.troubles


def test_an_accepted_job_is_carried_out_to_the_door(courier: Bench) -> None:
    courier.connect()
    courier.step(assignment("j-1", 2, JobState.ACCEPTED, "PO-1", codes=("WB-1", "WB-2"), handling=("collect_payment",)))
    courier.settle()
    assert courier.types == ["pickup", "pickup", "out_for_delivery", "stop_arrived", "delivery", "delivery"]
    first, second = (e.body for kind, e in courier.events if kind is EventType.DELIVERY)
    assert first.collected == bodies.Collected(amount_minor=1250, currency="EUR", tender="card")
    assert second.collected is None
    assert {e.code for kind, e in courier.events if kind is EventType.DELIVERY} == {"WB-1", "WB-2"}
    assert courier.firmware.is_finished


def test_a_drive_tells_where_the_courier_is(courier: Bench) -> None:
    courier.connect()
    courier.step(assignment("j-1", 2, JobState.ACCEPTED, "PO-1"))
    courier.settle()
    batches = [decode(a.payload, LocationBatch) for a in courier.actions if isinstance(a, Publish) and a.topic == T.location("phone-1")]
    assert len(batches) == LEGS
    lats = [p.lat_e7 for b in batches for p in b.points]
    assert abs(lats[-1] - 523_800_000) < 5_000
    times = [p.mono_ms for b in batches for p in b.points]
    assert times == sorted(times)
    assert times[-1] - times[0] >= DRIVE_MS / LEGS


def test_a_closed_job_is_nothing_to_do(courier: Bench) -> None:
    courier.connect()
    courier.step(Received(T.assignment("anna", "j-1"), b""))
    assert courier.sent == []
    assert not courier.firmware.troubles


@pytest.mark.parametrize(
    ("ending", "told"),
    [
        (Ending.SECOND_TRY, ["attempt_failed", "out_for_delivery", "stop_arrived", "delivery"]),
        (Ending.REFUSED, ["refused", "return_started"]),
        (Ending.NEVER_MET, ["attempt_failed", "out_for_delivery", "stop_arrived", "attempt_failed", "return_started"]),
    ],
)
def test_doors_that_stay_shut(ending: Ending, told: list[str]) -> None:
    visit = Visit(order="PO-1", ending=ending, door=(523_800_000, 49_100_000), back_to="scan-1")
    courier = Bench(Courier(site=SITE, device="phone-1", courier="anna", visits=[visit], depot=(523_700_000, 49_000_000)))
    courier.connect()
    courier.step(assignment("j-1", 2, JobState.ACCEPTED, "PO-1"))
    courier.settle()
    assert courier.types[3:] == told
    brought_back = [a for a in courier.actions if isinstance(a, Hand)]
    assert brought_back == ([] if ending is Ending.SECOND_TRY else [Hand("scan-1", Handed(Thing.RETURN, "PO-1"))])


# --- shop and dispatcher ----------------------------------------------------------------------------------------------------


def test_a_shop_sells_and_completes_what_was_delivered() -> None:
    sale = Sale(order="PO-1", lines=(("pen", 1),), start_ms=0, amount_minor=100, picked_by="scan-1", is_completed=True)
    shop = Bench(Shop(site=SITE, device="shop-1", sales=[sale]))
    shop.connect()
    shop.settle(rounds=5)
    assert shop.types == ["created", "paid", "approved"]
    assert [a for a in shop.actions if isinstance(a, Hand)] == [Hand("scan-1", Handed(Thing.PICK_LIST, "PO-1"))]
    shop.step(status("PO-1", "shipped"), status("PO-1", "delivered"))
    shop.settle(rounds=5)
    assert shop.types[3:] == ["completed"]
    assert shop.firmware.is_finished


def test_an_order_that_was_there_before_is_a_trouble() -> None:
    shop = Bench(Shop(site=SITE, device="shop-1", sales=[Sale(order="PO-1", lines=(("pen", 1),), start_ms=0, amount_minor=100)]))
    shop.connect()
    shop.answer(shop.sent[0], Outcome.NOOP)
    assert "was there before" in shop.firmware.troubles[0]


def test_a_dispatcher_assigns_what_is_packed() -> None:
    desk = Bench(Dispatcher(site=SITE, device="desk-1", routes=[Route(order="PO-1", courier="anna", job="run-1"), Route(order="PO-2", courier="ben")]))
    desk.connect()
    desk.step(status("PO-1", "picking"), status("PO-2", "packed"))
    desk.step(status("PO-1", "packed"))
    assert [(e.order, e.body) for _, e in desk.events] == [
        ("PO-2", bodies.Assigned(courier="ben")),
        ("PO-1", bodies.Assigned(courier="anna", job="run-1")),
    ]


def test_a_screen_remembers_the_last_status() -> None:
    screen = Bench(Screen(site=SITE, device="desk-2"))
    screen.connect()
    screen.step(status("PO-1", "packed"), status("PO-1", "shipped"), Received(T.status("PO-2"), b""))
    assert isinstance(screen.firmware, Screen)
    assert {o: s.state for o, s in screen.firmware.statuses.items()} == {"PO-1": "shipped"}


# --- a backlog --------------------------------------------------------------------------------------------------------------


def told(count: int) -> list[Told]:
    kind = EventType.PICKUP
    return [Told(id=bytes([n]) * 16, type=kind, at_ms=1_000_000 * n, order=f"PO-{n}", parcel=f"PO-{n}-1", body=bodies.Nothing()) for n in range(1, count + 1)]


def test_a_backlog_is_dated_by_a_counter_that_has_run_since_before_its_events() -> None:
    phone = Bench(Backlog(site=SITE, device="phone-1", log=b"old-log!", boot=b"old-boot", told=told(3)))
    phone.connect()
    assert [(e.seq, e.log, e.boot) for _, e in phone.events] == [(n, b"old-log!", b"old-boot") for n in (1, 2, 3)]
    assert [e.at_ms for _, e in phone.events] == [1_000_000, 2_000_000, 3_000_000]
    assert {e.sent_boot for _, e in phone.events} == {b"old-boot"}
    assert {e.at_ms - e.mono_ms for _, e in phone.events} == {1_000_000}, "its counter began with the first of them"


def test_two_replays_of_a_backlog_tell_the_same_events() -> None:
    first, second = (Bench(Backlog(site=SITE, device="phone-1", log=b"old-log!", boot=b"old-boot", told=told(3))) for _ in range(2))
    first.connect()
    second.step(after_ms=5_000)
    second.step(Connected())
    for a, b in zip(first.sent, second.sent, strict=True):
        old, new = messages.load(a.payload), messages.load(b.payload)
        assert {k: v for k, v in old.items() if not k.startswith("sent_")} == {k: v for k, v in new.items() if not k.startswith("sent_")}


def test_pauses_of_a_backlog_are_bounded() -> None:
    phone = Bench(Backlog(site=SITE, device="phone-1", log=b"old-log!", boot=b"old-boot", told=told(3), speed=1.0, pause_ms_max=50))
    phone.step()
    phone.step(Connected())
    assert len(phone.sent) == 1
    phone.step(after_ms=49)
    assert len(phone.sent) == 1
    phone.step(after_ms=1)
    assert len(phone.sent) == 2
