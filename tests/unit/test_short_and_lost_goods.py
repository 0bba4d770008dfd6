"""Goods that are missing: short at the shelf, or lost with their parcel. Row S18 of the findings."""

from __future__ import annotations

from unit.facts_made import LAMP, MUG, Story, created, line

from bridge.domain.view import OrderView
from devices.protocol import bodies
from devices.protocol.vocabulary import EventType as E
from devices.protocol.vocabulary import Flag


def short_of_a_lamp() -> Story:
    """A mug and a lamp are ordered; the lamp is not on its shelf, and the mug is packed alone in p1."""
    story = Story(created(line(MUG), line(LAMP)))
    story.tell(E.PAID)
    story.tell(E.PICK, bodies.Pick(sku=MUG, qty=1))
    story.tell(E.PICK, bodies.Pick(sku=LAMP, qty=1, short=True))
    story.tell(E.PACK, bodies.Pack(items=[line(MUG)]), parcel="p1")
    return story


def percent(story: Story) -> int:
    shown: int = OrderView(story.order).core["percent"]
    return shown


def test_s18_in_the_warehouse_a_short_order_is_not_packed() -> None:
    story = short_of_a_lamp()
    assert (story.state, story.flags) == ("partially_packed", {Flag.SHORT})


def test_s18_a_short_order_goes_with_what_there_is() -> None:
    story = short_of_a_lamp()
    for event, state in ((E.LOAD, "shipped"), (E.OUT_FOR_DELIVERY, "out_for_delivery"), (E.DELIVERY, "delivered"), (E.COMPLETED, "completed")):
        story.tell(event)
        assert (story.state, story.flags) == (state, {Flag.SHORT})
    assert percent(story) == 100


def test_s18_a_short_order_that_is_refused_goes_back() -> None:
    story = short_of_a_lamp()
    story.tell_all(E.LOAD, E.REFUSED)
    assert story.state == "returning"
    story.tell(E.RETURNED)
    assert (story.state, story.flags) == ("returned", {Flag.SHORT})


def test_s18_short_clears_when_what_was_missing_is_picked() -> None:
    story = short_of_a_lamp()
    story.tell(E.PICK, bodies.Pick(sku=LAMP, qty=1))
    assert (story.state, story.flags) == ("partially_packed", set())


def test_s18_short_clears_when_what_was_missing_is_packed() -> None:
    story = short_of_a_lamp()
    story.tell(E.DELIVERY)
    story.tell(E.PACK, bodies.Pack(items=[line(LAMP)]), parcel="p2")
    assert (story.state, story.flags) == ("partially_packed", set()), "there is work again"
    story.tell(E.DELIVERY, parcel="p2")
    assert (story.state, story.flags) == ("delivered", set())


def test_s18_short_clears_when_nothing_is_missing_from_the_amended_order() -> None:
    story = short_of_a_lamp()
    story.tell(E.AMENDED, bodies.Amended(changed=["lines"], lines=[line(MUG)]))
    assert Flag.SHORT not in story.flags
    assert story.state == "packed"


def test_s18_half_of_what_is_missing_is_still_short() -> None:
    story = Story(created(line(LAMP, 3)))
    story.tell(E.PAID)
    story.tell(E.PICK, bodies.Pick(sku=LAMP, qty=1))
    story.tell(E.PICK, bodies.Pick(sku=LAMP, qty=2, short=True))
    story.tell(E.PICK, bodies.Pick(sku=LAMP, qty=1))
    assert story.flags == {Flag.SHORT}
    story.tell(E.PICK, bodies.Pick(sku=LAMP, qty=1))
    assert story.flags == set()


def test_s18_a_pack_without_a_list_does_not_make_up_for_a_shortage() -> None:
    story = Story(created(line(MUG), line(LAMP)))
    story.tell(E.PICK, bodies.Pick(sku=LAMP, qty=1, short=True))
    story.tell(E.PACK)
    assert story.flags == {Flag.SHORT}


def test_s18_what_an_incomplete_order_never_reported_short_still_waits() -> None:
    story = Story(created(line(MUG), line(LAMP)))
    story.tell(E.PACK, bodies.Pack(items=[line(MUG)]))
    story.tell(E.DELIVERY)
    assert (story.state, percent(story)) == ("partially_packed", 39)


def lost_lamp() -> Story:
    """A mug in p1 and a lamp in p2; p2 is lost."""
    story = Story(created(line(MUG), line(LAMP)))
    story.tell(E.PACK, bodies.Pack(items=[line(MUG)]), parcel="p1")
    story.tell(E.PACK, bodies.Pack(items=[line(LAMP)]), parcel="p2")
    story.tell(E.LOST, parcel="p2")
    return story


def test_s18_lost_goods_are_not_packed() -> None:
    story = lost_lamp()
    assert (story.state, story.flags) == ("partially_packed", {Flag.LOST, Flag.SHORT})
    assert story.order.left_to_pick() == [(LAMP, 1)]
    story.tell(E.DELIVERY, parcel="p1")
    assert (story.state, story.flags) == ("delivered", {Flag.LOST, Flag.SHORT})


def test_s18_a_parcel_that_is_found_has_its_goods_again() -> None:
    story = lost_lamp()
    story.tell(E.FOUND, parcel="p2")
    assert (story.state, story.flags, story.order.left_to_pick()) == ("packed", set(), [])


def test_s18_a_replacement_ends_the_shortage() -> None:
    story = lost_lamp()
    story.tell(E.PACK, bodies.Pack(items=[line(LAMP)]), parcel="p3")
    assert (story.state, story.flags) == ("packed", {Flag.LOST})


def test_s18_destroyed_goods_are_missing_and_returned_goods_are_not() -> None:
    story = lost_lamp()
    story.tell(E.FOUND, parcel="p2")
    story.tell(E.DAMAGED, bodies.Damaged(severity="total"), parcel="p2")
    assert Flag.SHORT in story.flags
    story = lost_lamp()
    story.tell(E.FOUND, parcel="p2")
    story.tell(E.DELIVERY)
    story.tell(E.RETURNED, parcel="p2")
    story.tell(E.DESTROYED, parcel="p2")
    assert Flag.SHORT not in story.flags, "it was delivered; what becomes of it afterwards is not missing"
