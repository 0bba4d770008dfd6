"""The maps of carriers that come with Dockbridge: each status of each is the event that it should be, and each sample is read to its end."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import pytest

from bridge.carrier.mapping import LEAVE_OUT, NOT_RECEIVED, CarrierMap, Meaning, read_carrier_map
from bridge.carrier.rows import Reader, StatusRow
from bridge.shop.table import open_table
from devices.protocol.reasons import REASONS
from devices.protocol.vocabulary import EventType as E

MAPS: Final = Path(__file__).parents[2] / "config" / "samples" / "carriers"

TABLES: Final[dict[str, dict[str, str]]] = {
    "sf": {
        E.PICKUP: "50 54 655 129 700",
        E.DEPART: "10 30 36 302 304 3036 105 88 405 570 407 123",
        E.ARRIVE: "43 11 31 310 106 89 406 571 605",
        E.CUSTOMS_ENTERED: "604",
        E.CUSTOMS_HELD: "15 17 18 619 620 621 613",
        E.CUSTOMS_CLEARED: "14 606",
        E.OUT_FOR_DELIVERY: "44 204 34 122 630 880 933",
        E.ATTEMPT_FAILED: "33 70 934",
        E.AVAILABLE_FOR_PICKUP: "125 130 678",
        E.DELIVERY: "80 97 935 128 679 658",
        E.RETURN_STARTED: "631",
        E.RETURNED: "660",
        NOT_RECEIVED: "647",
        LEAVE_OUT: "8000 648 99 126 135 140 16 41 46 47 501 51 607 612 614 623 626 627 632 642 66 72 77 833 84 870 98",
    },
    "dhl": {
        E.PICKUP: "PU",
        E.DEPART: "DF",
        E.ARRIVE: "AF AR PL TR MC MS",
        E.CUSTOMS_ENTERED: "IC",
        E.CUSTOMS_HELD: "CD UD",
        E.CUSTOMS_CLEARED: "CR",
        E.OUT_FOR_DELIVERY: "WC",
        E.ATTEMPT_FAILED: "NH CA CM BA HP",
        E.AVAILABLE_FOR_PICKUP: "CC",
        E.DELIVERY: "OK DD",
        E.REFUSED: "RD",
        E.RETURN_STARTED: "RT",
        LEAVE_OUT: "AD CS DS FD MD OH PD RR SA SC SS TP",
    },
    "17track": {
        E.PICKUP: "InTransit_PickedUp",
        E.DEPART: "InTransit InTransit_Other InTransit_Departure",
        E.ARRIVE: "InTransit_Arrival",
        E.CUSTOMS_ENTERED: "InTransit_CustomsProcessing",
        E.CUSTOMS_HELD: "InTransit_CustomsRequiringInformation",
        E.CUSTOMS_CLEARED: "InTransit_CustomsReleased",
        E.OUT_FOR_DELIVERY: "OutForDelivery OutForDelivery_Other",
        E.ATTEMPT_FAILED: "DeliveryFailure DeliveryFailure_Other DeliveryFailure_NoBody DeliveryFailure_Security DeliveryFailure_InvalidAddress",
        E.AVAILABLE_FOR_PICKUP: "AvailableForPickup AvailableForPickup_Other",
        E.DELIVERY: "Delivered Delivered_Other",
        E.REFUSED: "DeliveryFailure_Rejected Exception_Rejected",
        E.RETURN_STARTED: "Exception_Returning",
        E.RETURNED: "Exception_Returned",
        E.DAMAGED: "Exception_Damage",
        E.LOST: "Exception_Lost",
        E.DESTROYED: "Exception_Destroyed",
        NOT_RECEIVED: "InfoReceived",
        LEAVE_OUT: (
            "NotFound NotFound_Other NotFound_InvalidCode Expired Expired_Other Exception Exception_Other Exception_NoBody Exception_Security "
            "Exception_Delayed Exception_Cancel"
        ),
    },
}
"""The whole map of each carrier: what each of its statuses is."""
EVENTS_OF_SAMPLES: Final = {
    "sf": ["pickup", "arrive", "depart", "out_for_delivery", "delivery", "pickup", "attempt_failed"],
    "dhl": ["pickup", "arrive", "depart", "customs_entered", "customs_cleared", "out_for_delivery", "attempt_failed", "delivery"],
    "17track": ["pickup", "depart", "customs_entered", "customs_cleared", "out_for_delivery", "delivery"],
}
BODIES: Final = {
    ("sf", "80"): {"pod": {"method": "signature"}},
    ("sf", "128"): {"pod": {"method": "locker"}},
    ("sf", "613"): {"reason": "duties_unpaid"},
    ("dhl", "NH"): {"reason": "not_home"},
    ("dhl", "IC"): {"direction": "import"},
    ("17track", "Delivered_Other"): {"pod": {"method": "none"}},
    ("17track", "DeliveryFailure_InvalidAddress"): {"reason": "address_not_found"},
}
NINE_MAIN_STATUSES: Final = "NotFound InfoReceived InTransit Expired AvailableForPickup OutForDelivery DeliveryFailure Delivered Exception"


def carrier_map(name: str) -> CarrierMap:
    return read_carrier_map(MAPS / f"{name}.toml")


def test_every_map_that_comes_along_has_its_table_and_its_sample() -> None:
    assert {path.stem for path in MAPS.glob("*.toml")} == TABLES.keys() == {path.stem for path in MAPS.glob("*.csv")}


@pytest.mark.parametrize("name", TABLES)
def test_each_status_of_a_map_is_the_event_that_it_should_be(name: str) -> None:
    found = carrier_map(name)
    meant = {status.casefold(): what for what, words in TABLES[name].items() for status in words.split()}
    assert {status: m.event if isinstance(m, Meaning) else m for status, m in found.statuses.items()} == meant


@pytest.mark.parametrize("name", TABLES)
def test_the_reasons_of_a_map_are_in_the_closed_lists(name: str) -> None:
    for meaning in carrier_map(name).statuses.values():
        if isinstance(meaning, Meaning) and "reason" in meaning.body:
            assert meaning.body["reason"] in list(REASONS[meaning.event])


@pytest.mark.parametrize(("name", "status"), BODIES)
def test_a_status_says_more_than_its_type(name: str, status: str) -> None:
    meaning = carrier_map(name).meaning_of(status)
    assert isinstance(meaning, Meaning)
    assert meaning.body == BODIES[name, status]


def test_17tracks_main_statuses_are_all_known() -> None:
    assert all(carrier_map("17track").meaning_of(status) is not None for status in NINE_MAIN_STATUSES.split())


@pytest.mark.parametrize("name", TABLES)
def test_each_sample_is_read_to_its_end(name: str) -> None:
    carrier = carrier_map(name)
    with open_table(MAPS / f"{name}.csv", carrier) as table:
        reader = Reader(carrier, table.header)
        rows = [said for line, cells in table.rows if (said := reader.read(line, cells)) is not None]
    assert [row.event for row in rows if isinstance(row, StatusRow)] == EVENTS_OF_SAMPLES[name]
    assert len(rows) == len(EVENTS_OF_SAMPLES[name])
    assert not reader.unknown
