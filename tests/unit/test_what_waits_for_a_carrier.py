"""`orders stuck` says which carrier has a parcel, under which number to ask for it, and what to type."""

from __future__ import annotations

from typing import Any

import pytest
from unit.facts_made import LAMP, MUG, Story, created, line

from bridge.operations.stuck import Waiting, waits_of
from devices.protocol import bodies
from devices.protocol.vocabulary import EventType as E


@pytest.fixture
def story() -> Story:
    """An order for DHL in two parcels, of which the first has a waybill."""
    story = Story(created(line(MUG), line(LAMP), allow_partial=True, payment="on_delivery", carrier="DHL"))
    for parcel, sku in (("a", MUG), ("b", LAMP)):
        story.tell(E.PACK, bodies.Pack(items=[line(sku)]), parcel=parcel)
    story.tell(E.LABELLED, bodies.Labelled(code="JJD-1", kind="waybill"), parcel="a", code="JJD-1")
    return story


def waits(story: Story, *flags: str) -> dict[str, Waiting]:
    status: dict[str, Any] = {"flags": list(flags)}
    return {waiting.what: waiting for waiting in waits_of(story.fold, status)}


def test_a_packed_order_waits_for_its_carrier_and_not_for_a_courier(story: Story) -> None:
    packed = waits(story)["packed"]
    assert (packed.why, packed.command) == ("packed, and not loaded for DHL", "dockbridge carriers handover DHL")


def test_of_a_silent_parcel_the_carrier_is_asked_under_its_number(story: Story) -> None:
    story.tell_all(E.LOAD)
    silent = waits(story, "silent")["silent"]
    assert silent.why == "DHL has it, and nothing was heard of it for long"
    assert silent.who == "The desk asks DHL where JJD-1 is, or takes in its status file; any news of it ends this."
    assert silent.command == "dockbridge carriers import FILE --map MAP"


def test_if_a_courier_of_ours_has_it_he_is_asked(story: Story) -> None:
    story.tell_all(E.ASSIGNED, E.OUT_FOR_DELIVERY)
    assert waits(story, "silent")["silent"].who == "The desk asks kim where it is; any scan of it ends this."
    assert waits(story)["out_for_delivery"].command == "dockbridge jobs move j1 COURIER"


def test_a_parcel_that_another_carrier_has_is_named_with_both(story: Story) -> None:
    story.tell(E.LOAD, bodies.Load(vehicle="V1", carrier="China Post"), code="JJD-1")
    wrong = waits(story)["wrong_carrier"]
    assert wrong.why == "parcel a was loaded for China Post, and goes with DHL"
    assert wrong.command == "dockbridge orders amend ORDER --parcel a --carrier 'China Post'".replace("ORDER", "'PO 17/3'")


def test_a_delivery_of_a_carrier_that_failed_is_its_own_to_try_again(story: Story) -> None:
    story.tell(E.LOAD)
    story.tell(E.ATTEMPT_FAILED, by="carrier", code="JJD-1")
    failed = waits(story)["attempt_failed"]
    assert (failed.who, failed.command) == ("DHL tries again, or brings it back; the desk asks for JJD-1.", None)
