"""With which carrier each parcel goes: its order's or its own; and what a scan for the wrong one is answered."""

from __future__ import annotations

from typing import Any

import pytest
from unit.facts_made import LAMP, MUG, Story, created, line, outcome_and_tone

from bridge.domain.order.sending import Sending, sending_of
from devices.protocol import bodies
from devices.protocol.vocabulary import EventType as E
from devices.protocol.vocabulary import Flag, Next, Outcome, Tone, Warn

BEGINS = created(line(MUG), line(LAMP), allow_partial=True, payment="on_delivery", carrier="DHL", service="express", tracking="JJD-1")
OF_ORDER = Sending("DHL", "express", "JJD-1")


@pytest.fixture
def story() -> Story:
    """An order for DHL with the parcels a and b, which bear the labels A and B."""
    story = Story(BEGINS)
    for parcel, sku in (("a", MUG), ("b", LAMP)):
        story.tell(E.PACK, bodies.Pack(items=[line(sku)]), parcel=parcel)
        story.tell(E.LABELLED, bodies.Labelled(code=parcel.upper(), kind="plain"), parcel=parcel, code=parcel.upper())
    return story


def sent(story: Story, parcel: str) -> Sending:
    return sending_of(story.order, story.order.parcels[parcel])


def amend(story: Story, parcel: str | None = None, **to: Any) -> Outcome:
    return story.tell(E.AMENDED, bodies.Amended(changed=list(to), **to), parcel=parcel).outcome


def waybill(story: Story, parcel: str, code: str, **said: Any) -> Outcome:
    return story.tell(E.LABELLED, bodies.Labelled(code=code, kind="waybill", **said), parcel=parcel, code=code).outcome


def test_a_parcel_goes_as_its_order_does(story: Story) -> None:
    assert sent(story, "a") == sent(story, "b") == OF_ORDER
    amend(story, tracking="JJD-2")
    assert sent(story, "a") == sent(story, "b") == Sending("DHL", "express", "JJD-2")


def test_with_another_carrier_the_service_and_the_number_of_the_one_before_end(story: Story) -> None:
    amend(story, carrier="dhl")
    assert sent(story, "a") == Sending("dhl", "express", "JJD-1"), "it is the same carrier in another spelling"
    amend(story, carrier="GLS")
    assert sent(story, "a") == Sending("GLS", None, None)
    amend(story, carrier="UPS", tracking="1Z", service="saver")
    assert sent(story, "a") == Sending("UPS", "saver", "1Z")


def test_an_amendment_that_names_a_parcel_is_about_that_one_alone(story: Story) -> None:
    assert amend(story, "a", carrier="GLS", tracking="G-1") is Outcome.APPLIED
    assert (sent(story, "a"), sent(story, "b")) == (Sending("GLS", None, "G-1"), OF_ORDER)
    amend(story, tracking="JJD-2")
    assert sent(story, "a") == Sending("GLS", None, "G-1"), "it has its own"
    amend(story, "a", service="eco")
    assert sent(story, "a") == Sending("GLS", "eco", "G-1")
    amend(story, "a", carrier="DHL")
    assert sent(story, "a") == Sending("DHL", "express", "JJD-2"), "what was said of the other carrier is over"
    assert Flag.AMENDED not in story.flags


def test_a_parcel_may_get_its_carrier_before_it_is_packed() -> None:
    story = Story(BEGINS)
    amend(story, "a", carrier="GLS")
    story.tell(E.PACK, parcel="a")
    assert sent(story, "a").carrier == "GLS"


def test_the_code_of_a_waybill_is_the_number_as_long_as_it_is_on_the_parcel(story: Story) -> None:
    assert waybill(story, "a", "JJD-A") is Outcome.APPLIED
    assert (sent(story, "a"), sent(story, "b")) == (Sending("DHL", "express", "JJD-A"), OF_ORDER)
    waybill(story, "a", "G-9", carrier="GLS", service="eco", replaces="JJD-A")
    assert sent(story, "a") == Sending("GLS", "eco", "G-9")
    story.tell(E.UNPACK, parcel="a")
    assert sent(story, "a") == Sending("GLS", "eco", None)


def test_a_waybill_of_the_carrier_before_is_not_the_number_of_the_next(story: Story) -> None:
    waybill(story, "a", "JJD-A")
    amend(story, carrier="GLS", tracking="G-1")
    assert sent(story, "a") == Sending("GLS", None, "G-1")


def test_other_labels_are_no_number(story: Story) -> None:
    story.tell(E.LABELLED, bodies.Labelled(code="X", kind="plain", carrier="GLS"), parcel="a", code="X")
    assert sent(story, "a") == Sending("GLS", None, None)


# --- scans for a carrier --------------------------------------------------------------------------------------------------


def load(story: Story, code: str, carrier: str | None = None, *, known: str | None = None) -> tuple[Outcome, Tone, tuple[Warn, ...]]:
    """A scan into a vehicle that says its carrier, or of which the site's settings know it."""
    return outcome_and_tone(story.tell(E.LOAD, bodies.Load(vehicle="V1", carrier=carrier), code=code, carrier=known))


GOOD = (Outcome.APPLIED, Tone.OK, ())
WRONG = (Outcome.APPLIED, Tone.STOP, (Warn.WRONG_CARRIER,))
WRONG_AGAIN = (Outcome.NOOP, Tone.STOP, (Warn.WRONG_CARRIER,))
FOR = {
    "its own": ("DHL", None, GOOD),
    "its own in another spelling": ("dhl", None, GOOD),
    "its own by a name that the settings know": ("Deutsche Post", "DHL", GOOD),
    "its own by the vehicle": (None, "DHL", GOOD),
    "nobody knows whom": (None, None, GOOD),
    "another": ("GLS", None, WRONG),
    "another by the vehicle": (None, "GLS", WRONG),
}


@pytest.mark.parametrize(("said", "known", "answer"), FOR.values(), ids=FOR)
def test_a_load_is_good_for_the_parcels_carrier_and_a_stop_for_another(story: Story, said: str | None, known: str | None, answer: object) -> None:
    assert load(story, "A", said, known=known) == answer
    verdict = story.fold.verdicts[story.last.uid]
    assert (verdict.next, verdict.carrier) == ((Next.UNLOAD, "DHL") if answer == WRONG else (None, None))
    assert (Flag.WRONG_CARRIER in story.flags) == (answer == WRONG)


def test_a_wrong_load_is_answered_with_stop_as_often_as_it_is_scanned_and_ends_with_the_unload(story: Story) -> None:
    assert [load(story, "A", "GLS"), load(story, "A", "GLS")] == [WRONG, WRONG_AGAIN]
    story.tell(E.UNLOAD, code="A")
    assert Flag.WRONG_CARRIER not in story.flags
    assert load(story, "A", "DHL") == GOOD


def test_a_parcel_that_is_carried_into_another_carriers_vehicle_without_an_unload_is_found_there(story: Story) -> None:
    assert [load(story, "A", "DHL"), load(story, "A", "GLS"), load(story, "A", "DHL")] == [GOOD, WRONG, GOOD]
    assert Flag.WRONG_CARRIER not in story.flags


def test_it_ends_when_the_carrier_is_amended_to_the_one_that_has_it(story: Story) -> None:
    load(story, "A", "GLS")
    amend(story, "b", carrier="GLS")
    amend(story, "a", carrier="UPS")
    assert Flag.WRONG_CARRIER in story.flags
    amend(story, "a", carrier="gls")
    assert Flag.WRONG_CARRIER not in story.flags


def test_an_order_without_a_carrier_goes_with_any() -> None:
    story = Story(created(line(MUG), payment="on_delivery"))
    story.tell(E.PACK, code="A")
    assert load(story, "A", "GLS") == GOOD


def test_a_drivers_pickup_counts_as_a_load_and_a_couriers_does_not(story: Story) -> None:
    assert outcome_and_tone(story.tell(E.PICKUP, bodies.Pickup(carrier="GLS"), code="A", by="shop")) == WRONG
    assert story.tell(E.PICKUP, code="B").outcome is Outcome.APPLIED
    assert (story.order.parcels["a"].load is None, story.order.parcels["b"].load is None) == (False, True)


def test_what_comes_back_may_come_with_any_carrier(story: Story) -> None:
    load(story, "A", "DHL")
    story.tell(E.REFUSED, code="A")
    assert load(story, "A", "GLS") == (Outcome.NOOP, Tone.OK, ())
    story.tell(E.RETURNED, code="A")
    assert load(story, "A", "GLS") == WRONG, "now it goes out again"


def test_a_container_with_parcels_for_several_carriers_names_none_of_them(story: Story) -> None:
    amend(story, "b", carrier="UPS")
    story.tell(E.LOAD, bodies.Load(vehicle="V1", carrier="GLS"), code="CAGE", inside=("A", "B"))
    verdict = story.fold.verdicts[story.last.uid]
    assert (verdict.warn, verdict.next, verdict.carrier) == ((Warn.WRONG_CARRIER,), Next.UNLOAD, None)


def test_the_scans_that_gave_a_parcel_to_its_carrier_are_known_until_it_is_back(story: Story) -> None:
    for pos, carrier in ((7, None), (9, "DHL"), (12, None)):
        story.tell(E.LOAD, bodies.Load(vehicle="V1", carrier=carrier), code="A", pos=pos)
    given = story.order.parcels["a"].load
    assert given is not None
    assert (given.carrier, given.vehicle, given.positions) == ("DHL", "V1", (7, 9, 12))
    story.tell(E.UNLOAD, code="A")
    assert story.order.parcels["a"].load is None
