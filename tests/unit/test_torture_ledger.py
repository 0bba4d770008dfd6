"""The ledger of `dockbridge torture` on books with one fault each: a fault that it does not find here is not found in any run."""

from __future__ import annotations

from collections import Counter

import pytest

from firmware_sim.torture.ledger import Book, Class, Counts, Id, Subscription, count

ONE = Class("message", 1)
TWO = Class("message", 2)
ORDER = Class("event", 1)
TAKERS = {
    "all-2": Subscription(publishers=frozenset({"p0", "p1"}), qos=2),
    "all-1": Subscription(publishers=frozenset({"p0", "p1"}), qos=1),
    "only-p1": Subscription(publishers=frozenset({"p1"}), qos=2),
    "desk": Subscription(publishers=frozenset({"shop"}), qos=1),
}
SENT = {Id(p, lane, n): group for p in ("p0", "p1") for lane, group in (("a", ONE), ("b", TWO)) for n in (1, 2, 3)}
ORDERS = {Id("shop", f"order-{n}", 1): ORDER for n in (1, 2)}


@pytest.fixture
def book() -> Book:
    """A run in which everything went well: 12 messages of two publishers, two order events."""
    made = Book(sent={**SENT, **ORDERS}, acknowledged={*SENT, *ORDERS}, stored=Counter(dict.fromkeys(ORDERS, 1)))
    for name, subscription in TAKERS.items():
        made.subscribe(name, subscription)
        for identity, group in made.sent.items():
            if identity.publisher in subscription.publishers:
                made.arrive(name, identity, subscription.qos_of(group.qos))
    return made


def faults(book: Book) -> dict[Class, dict[str, int]]:
    """The faults that the ledger finds in a run, by class."""
    return {c: found for c, counts in count(book).classes.items() if (found := _faults(counts))}


def _faults(counts: Counts) -> dict[str, int]:
    names = ("unanswered", "stored_twice", "delivered_twice", "out_of_order", "wrong_qos", "lost_stored", "lost_delivered")
    assert counts.losses == sum(getattr(counts, n) or 0 for n in names)
    return {n: getattr(counts, n) for n in names if getattr(counts, n)}


def test_a_good_run_has_no_fault_and_adds_up(book: Book) -> None:
    ledger = count(book)
    assert ledger.ok
    assert ledger.examples == {}
    assert faults(book) == {}
    assert list(ledger.classes) == [ONE, TWO, ORDER]
    for group in (ONE, TWO):
        counts = ledger.classes[group]
        # Three subscribers, the third of which takes only one publisher.
        assert (counts.sent, counts.acknowledged, counts.due, counts.delivered, counts.again) == (6, 6, 15, 15, 0)
        assert counts.stored is counts.lost_stored is None
    counts = ledger.classes[ORDER]
    assert (counts.sent, counts.stored, counts.due, counts.delivered) == (2, 2, 2, 2)


def test_an_acknowledged_message_that_never_came_is_lost(book: Book) -> None:
    book.arrivals["all-1"] = [a for a in book.arrivals["all-1"] if a.id != Id("p0", "b", 2)]
    assert faults(book) == {TWO: {"lost_delivered": 1}}
    assert count(book).examples == {"lost_delivered": ["p0/b/2 at all-1"]}


def test_a_message_that_was_never_acknowledged_is_not_lost_but_unanswered(book: Book) -> None:
    missing = Id("p0", "a", 3)
    book.acknowledged.remove(missing)
    for name, arrivals in book.arrivals.items():
        book.arrivals[name] = [a for a in arrivals if a.id != missing]
    assert faults(book) == {ONE: {"unanswered": 1}}
    assert book.unanswered == 1


def test_what_was_given_up_may_come_or_not(book: Book) -> None:
    here, nowhere = Id("p1", "b", 2), Id("p1", "b", 3)
    book.acknowledged -= {here, nowhere}
    book.given_up |= {here, nowhere}
    for name, arrivals in book.arrivals.items():
        book.arrivals[name] = [a for a in arrivals if a.id != nowhere]
    assert faults(book) == {}
    assert count(book).classes[TWO].given_up == 2
    assert book.unanswered == 0


def test_qos_2_to_a_qos_2_subscription_must_not_come_twice(book: Book) -> None:
    book.arrive("all-2", Id("p0", "b", 2), 2)
    assert faults(book) == {TWO: {"delivered_twice": 1}}
    assert count(book).examples == {"delivered_twice": ["p0/b/2 at all-2"]}


@pytest.mark.parametrize(("subscriber", "again"), [("all-2", Id("p0", "a", 2)), ("all-1", Id("p0", "b", 2)), ("desk", Id("shop", "order-1", 1))])
def test_where_qos_1_is_on_the_way_a_second_time_is_allowed_and_counted(book: Book, subscriber: str, again: Id) -> None:
    book.arrive(subscriber, again, 1)
    ledger = count(book)
    assert ledger.ok
    assert ledger.classes[book.sent[again]].again == 1


def test_a_message_that_comes_first_after_a_later_one_is_out_of_order(book: Book) -> None:
    arrivals = book.arrivals["only-p1"]
    at = [a.id for a in arrivals].index(Id("p1", "a", 2))
    arrivals.append(arrivals.pop(at))
    assert faults(book) == {ONE: {"out_of_order": 1}}
    assert count(book).examples == {"out_of_order": ["p1/a/2 at only-p1"]}


def test_a_repeated_flight_is_in_order(book: Book) -> None:
    """1, 2, 3, and after a reconnect 1, 2, 3 again: the first arrivals are in order."""
    for n in (1, 2, 3):
        book.arrive("all-1", Id("p0", "a", n), 1)
    assert faults(book) == {}
    assert count(book).classes[ONE].again == 3


def test_other_topics_and_the_other_qos_have_an_order_of_their_own(book: Book) -> None:
    for name, arrivals in book.arrivals.items():
        book.arrivals[name] = sorted(arrivals, key=lambda a: (a.qos, a.id.publisher, -ord(a.id.lane[0]), a.id.seq))
    assert faults(book) == {}


def test_a_message_must_come_at_the_lower_of_the_two_qos(book: Book) -> None:
    arrivals = book.arrivals["all-2"]
    arrivals[0] = arrivals[0]._replace(qos=2)
    assert faults(book) == {ONE: {"wrong_qos": 1}}


def test_an_acknowledged_event_that_is_not_in_the_log_is_lost(book: Book) -> None:
    assert book.stored is not None
    del book.stored[Id("shop", "order-1", 1)]
    assert faults(book) == {ORDER: {"lost_stored": 1}}


def test_an_event_that_was_missing_after_a_kill_stays_lost(book: Book) -> None:
    """It was acknowledged, was not in the event log after the kill, and is there now because the device sent it again."""
    book.vanished.add(Id("shop", "order-2", 1))
    assert faults(book) == {ORDER: {"lost_stored": 1}}


def test_an_event_that_stands_in_the_log_twice_is_found(book: Book) -> None:
    assert book.stored is not None
    book.stored[Id("shop", "order-2", 1)] = 2
    assert faults(book) == {ORDER: {"stored_twice": 1}}


def test_where_nobody_can_look_nothing_is_said_about_the_store(book: Book) -> None:
    book.stored = None
    counts = count(book).classes[ORDER]
    assert counts.stored is counts.stored_twice is counts.lost_stored is None
    assert count(book).ok


@pytest.mark.parametrize("fault", ["session", "foreign"])
def test_a_lost_session_or_a_payload_that_nobody_sent_is_no_good_run(book: Book, fault: str) -> None:
    if fault == "session":
        book.sessions_lost = 1
    else:
        book.foreign.append("torture/p0/a b'?' at all-2")
    assert faults(book) == {}
    assert not count(book).ok
