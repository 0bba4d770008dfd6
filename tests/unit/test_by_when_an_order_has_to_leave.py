"""An order without a promise leaves with the pickup that its payment was in time for. That is decided once, by what stands in the log."""

from __future__ import annotations

from typing import Any

import pytest
from unit.facts_made import MINUTE, MUG, T0, Story, created, line

from bridge.domain.order.promise import ship_by, ship_by_of
from bridge.domain.view import timed_flags
from devices.protocol import bodies
from devices.protocol.vocabulary import EventType as E
from devices.protocol.vocabulary import Flag

HOUR = 60 * MINUTE
AT_CREATION, AT_PAYMENT, AT_CHANGE = (f"DHL={T0 + 10 * HOUR + n}\nGLS={T0 + 20 * HOUR + n}" for n in range(3))
"""The next pickups of both carriers, as they stand in the log at three moments; the last digit tells which."""
DHL, GLS = T0 + 10 * HOUR, T0 + 20 * HOUR
PREPAID: dict[str, Any] = {"carrier": "DHL", "amount_minor": 100, "currency": "EUR"}
ON_DELIVERY: dict[str, Any] = {"carrier": "dhl", "payment": "on_delivery"}


def begun(**fields: Any) -> Story:
    """An order that was created while its carriers' pickups were those of `AT_CREATION`, if it is paid on delivery."""
    story = Story()
    story.tell(E.CREATED, created(line(MUG), **fields), pickups=AT_CREATION if fields.get("payment") == "on_delivery" else None)
    return story


def pay(story: Story, amount_minor: int = 100, pickups: str | None = AT_PAYMENT) -> None:
    story.tell(E.PAID, bodies.Paid(amount_minor=amount_minor, currency="EUR"), pickups=pickups)


def amend(story: Story, pickups: str | None = AT_CHANGE, **to: Any) -> None:
    story.tell(E.AMENDED, bodies.Amended(changed=list(to), **to), pickups=pickups)


def test_what_is_prepaid_counts_from_the_payment_that_was_enough() -> None:
    story = begun(**PREPAID)
    assert ship_by(story.order) is None
    pay(story, 40, AT_CREATION)
    assert ship_by(story.order) is None
    pay(story, 60)
    assert ship_by(story.order) == DHL + 1
    pay(story, 5, AT_CHANGE)
    assert ship_by(story.order) == DHL + 1, "it was paid before"


def test_what_is_paid_on_delivery_counts_from_its_creation() -> None:
    story = begun(**ON_DELIVERY)
    assert ship_by(story.order) == DHL
    pay(story)
    assert ship_by(story.order) == DHL


def test_after_a_change_of_its_carrier_an_order_counts_from_that_change_and_the_first_carrier_is_no_change() -> None:
    story = begun(**ON_DELIVERY)
    amend(story, carrier="DHL")
    assert ship_by(story.order) == DHL, "the same in another spelling"
    amend(story, carrier="GLS")
    assert ship_by(story.order) == GLS + 2
    nobody = begun(amount_minor=100, currency="EUR")
    pay(nobody)
    assert ship_by(nobody.order) is None
    amend(nobody, carrier="GLS")
    assert ship_by(nobody.order) == GLS + 1


SAID = [({"ship_by_ms": 5}, 5), ({"promise_ms": 7}, None), ({"promise_ms": 7, "ship_by_ms": 5}, 5)]


@pytest.mark.parametrize(("said", "leaves"), SAID)
def test_what_the_shop_or_the_desk_has_said_holds(said: dict[str, int], leaves: int | None) -> None:
    assert ship_by(begun(**ON_DELIVERY, **said).order) == leaves
    story = begun(**ON_DELIVERY)
    amend(story, **said)
    assert ship_by(story.order) == leaves


def test_a_carrier_without_cutoffs_and_a_site_without_any_give_no_time() -> None:
    assert ship_by(begun(carrier="UPS", payment="on_delivery").order) is None
    story = begun(**PREPAID)
    pay(story, pickups=None)
    assert ship_by(story.order) is None


def test_each_parcel_leaves_with_its_own_carrier_and_the_order_is_as_urgent_as_the_first_that_waits() -> None:
    story = begun(**ON_DELIVERY, allow_partial=True)
    for parcel, carrier in (("a", "GLS"), ("b", "DHL")):
        story.tell(E.PACK, bodies.Pack(items=[line(MUG)]), parcel=parcel)
        story.tell(E.AMENDED, bodies.Amended(changed=["carrier"], carrier=carrier), parcel=parcel)
    assert [ship_by_of(story.order, story.order.parcels[p]) for p in "ab"] == [GLS, DHL]
    assert ship_by(story.order) == DHL
    story.tell(E.LOAD, parcel="b")
    assert ship_by(story.order) == GLS


def test_an_order_that_had_to_leave_and_is_still_there_may_be_late() -> None:
    story = begun(**ON_DELIVERY)
    story.tell(E.PACK, code="A")
    day = 24 * HOUR
    assert timed_flags(story.order, now_ms=DHL, silent_after_ms=day) == ([], DHL + 1)
    assert timed_flags(story.order, now_ms=DHL + 1, silent_after_ms=day) == ([Flag.LATE_RISK], None)
    story.tell(E.LOAD, code="A")
    assert timed_flags(story.order, now_ms=DHL + 1, silent_after_ms=day)[0] == []


def test_a_parcel_that_a_carrier_has_is_silent_by_a_limit_of_its_own() -> None:
    def flags_after(story: Story, hours: int) -> list[Flag]:
        return timed_flags(story.order, now_ms=story.now_ms + hours * HOUR, silent_after_ms=72 * HOUR, carrier_silent_after_ms=168 * HOUR)[0]

    carried = begun(**ON_DELIVERY)
    carried.tell_all(E.PACK, E.LOAD)
    assert [flags_after(carried, hours) for hours in (73, 169)] == [[], [Flag.SILENT]]
    own = begun(payment="on_delivery")
    own.tell_all(E.PACK, E.LOAD)
    assert flags_after(own, 73) == [Flag.SILENT], "it has no carrier"
    by_courier = begun(**ON_DELIVERY)
    by_courier.tell_all(E.PACK, E.ASSIGNED, E.OUT_FOR_DELIVERY)
    assert flags_after(by_courier, 73) == [Flag.SILENT], "a courier of ours has it"
