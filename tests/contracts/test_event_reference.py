"""The reference of event types is true: every example is sent to a server and applied, and every answer that a page names is provoked."""

from __future__ import annotations

import re
from collections.abc import Callable
from hashlib import sha256
from typing import Any

import pytest
from contracts.example_site import RECEIVED_AFTER_MS, ExampleSite

from bridge.documents import effects
from bridge.documents.events import event_page, event_reference
from bridge.domain.access import Kind, may_send
from devices.ids import RANDOM_BYTES, uuid7
from devices.protocol.bodies import BODIES
from devices.protocol.documents import examples
from devices.protocol.documents.event_examples import COURIER, EVENT_EXAMPLES, JOB, LABEL, ORDER, PARCEL, START_MS, EventExample
from devices.protocol.documents.texts import WIDTH
from devices.protocol.messages import encode_cbor
from devices.protocol.vocabulary import EventType as E
from devices.protocol.vocabulary import OrderState, Reason, Role

every_type = pytest.mark.parametrize("event_type", E)
PAGES = {event_type: event_page(event_type) for event_type in E}
JSON_BLOCK = re.compile(r"```json\n(.*?)\n```", re.DOTALL)
HEX_BLOCK = re.compile(r"```hex\n(.*?)\n```", re.DOTALL)


def told(site: ExampleSite, *types: E) -> list[dict[str, Any]]:
    """The receipts of these examples, sent in one batch."""
    return site.send(*(EVENT_EXAMPLES[event_type] for event_type in types))


def told_one_by_one(site: ExampleSite, *types: E) -> dict[str, Any]:
    """The receipt of the last of these examples; each is a batch of its own, as it is when people work."""
    return [told(site, event_type)[0] for event_type in types][-1]


# --- examples -------------------------------------------------------------------------------------------------------------


@every_type
def test_the_example_on_a_page_is_applied_in_json_and_in_cbor(event_type: E) -> None:
    page, example = PAGES[event_type], EVENT_EXAMPLES[event_type]
    assert may_send(example.role, event_type).allowed
    (text,), (hexadecimal,) = JSON_BLOCK.findall(page), HEX_BLOCK.findall(page)
    assert f"`v1/ams1/devices/{example.device}/events/{event_type}`" in page
    for payload in (text.encode(), bytes.fromhex(hexadecimal)):
        site = ExampleSite()
        before = told(site, *example.after)
        assert [receipt["outcome"] for receipt in before] == ["applied"] * len(before)
        (receipt,) = site.take([site.incoming(example.role, event_type, payload, example.at_ms + RECEIVED_AFTER_MS)])
        assert (receipt["outcome"], receipt["tone"], receipt.get("warn"), receipt["n"]) == ("applied", "ok", None, 1), receipt


def test_every_event_type_has_an_example_with_an_id_of_its_own() -> None:
    assert set(EVENT_EXAMPLES) == set(E)
    assert len({example.payload["id"] for example in EVENT_EXAMPLES.values()}) == len(E)
    numbers = {(example.device, example.payload["seq"]) for example in EVENT_EXAMPLES.values()}
    assert len(numbers) == len(E)
    for event_type, example in EVENT_EXAMPLES.items():
        assert example.payload["id"][6] >> 4 == 7
        assert all(EVENT_EXAMPLES[earlier].at_ms < example.at_ms for earlier in example.after), event_type


def test_what_the_server_says_about_the_story_is_what_the_examples_say() -> None:
    """The receipts, statuses, assignment, alert and position of `MESSAGE_EXAMPLES`."""
    named = {example.name: example.payload for kind in ("Receipt", "Alert", "Position") for example in examples.MESSAGE_EXAMPLES[kind]}
    site = ExampleSite()
    assert told_one_by_one(site, *EVENT_EXAMPLES[E.PICK].after, E.PICK) == named["applied"]
    assert told(ExampleSite(), E.PICK) == [named["parked"]]
    assert told_one_by_one(ExampleSite(), E.CREATED, E.HELD, E.PICK) == named["blocked"]
    pick = EVENT_EXAMPLES[E.PICK]
    broken = encode_cbor({**pick.payload, "body": {"sku": "MUG-RED", "qty": 0}})
    site = ExampleSite()
    assert site.take([site.incoming(Role.SCANNER, E.PICK, broken, pick.at_ms + RECEIVED_AFTER_MS)]) == [named["malformed"]]
    site = ExampleSite()
    told_one_by_one(site, *EVENT_EXAMPLES[E.OUT_FOR_DELIVERY].after, E.OUT_FOR_DELIVERY)
    assert site.shown(f"orders/{ORDER}/status") == examples.MESSAGE_EXAMPLES["OrderStatus"][0].payload
    assert site.shown(f"orders/{ORDER}/parcels/{PARCEL}") == examples.MESSAGE_EXAMPLES["ParcelStatus"][0].payload
    assert site.shown(f"couriers/{COURIER}/assignments/{JOB}") == examples.MESSAGE_EXAMPLES["Assignment"][0].payload
    locations = encode_cbor(examples.MESSAGE_EXAMPLES["LocationBatch"][0].payload)
    site.take([site.incoming(Role.COURIER, None, locations, START_MS + 2_400_250, kind=Kind.LOCATION)])
    assert site.shown(f"orders/{ORDER}/position") == named["on_the_road"]
    site = ExampleSite()
    told_one_by_one(site, E.CREATED, E.HELD, *EVENT_EXAMPLES[E.LOAD].after[1:], E.LOAD)
    assert site.shown(f"alerts/moved_on_hold/{ORDER}") == named["moved_on_hold"]


# --- fields ---------------------------------------------------------------------------------------------------------------


def without(example: EventExample, *names: str) -> EventExample:
    """The same event without some of its fields, as another event."""
    return changed(example, dict.fromkeys(names))


def changed(example: EventExample, said: dict[str, Any] | None = None, body: dict[str, Any] | None = None) -> EventExample:
    """The same event with other fields, a `seq` and an id of its own."""
    payload = {**example.payload, "seq": 1_000, **(said or {}), "body": {**example.payload["body"], **(body or {})}}
    kept = {name: value for name, value in payload.items() if value is not None}
    kept["body"] = {name: value for name, value in kept["body"].items() if value is not None}
    kept["id"] = uuid7(example.at_ms, sha256(repr(kept).encode()).digest()[:RANDOM_BYTES])
    return example._replace(payload=kept)


def test_an_event_that_needs_an_order_does_not_count_without_one() -> None:
    for event_type, example in EVENT_EXAMPLES.items():
        site = ExampleSite()
        told(site, *example.after)
        (receipt,) = site.send(without(example, "order", "code"))
        needed = event_type not in effects.WITHOUT_AN_ORDER
        assert receipt.get("reason") == ("order_needed" if needed else None), (event_type, receipt)
        assert needed or "order" not in example.payload, event_type


def test_the_order_or_the_label_is_enough_where_a_page_says_so() -> None:
    enough = [event_type for event_type in E if "at least one has to say" in PAGES[event_type]]
    assert set(enough) == effects.BY_SCAN - {E.LABELLED}
    for event_type in enough:
        example = EVENT_EXAMPLES[event_type]
        for fields in ({"order": None, "code": LABEL}, {"order": ORDER, "code": None}):
            site = ExampleSite()
            told(site, *example.after)
            (receipt,) = site.send(changed(example, fields))
            assert receipt["outcome"] == "applied", (event_type, fields, receipt)


def test_a_page_names_every_field_of_the_body() -> None:
    for event_type, page in PAGES.items():
        fields = BODIES[event_type].__struct_encode_fields__
        assert [name for name in fields if f"- `body.{name}`" not in page] == [], event_type
        assert ("`body`: an empty map." in page) == (not fields), event_type


# --- answers --------------------------------------------------------------------------------------------------------------


def unpaid(site: ExampleSite, example: EventExample) -> EventExample:
    told(site, E.CREATED)
    return example


def unknown(site: ExampleSite, example: EventExample) -> EventExample:
    return changed(example, {"order": "shop1-9", "code": None})


def unlabelled(site: ExampleSite, example: EventExample) -> EventExample:
    told(site, *example.after)
    return changed(example, {"order": None, "code": "WB-UNHEARD-OF"})


def scanning(code: str) -> Callable[[ExampleSite, EventExample], EventExample]:
    """What is scanned, or said of a label or a container, is this."""

    def story(site: ExampleSite, example: EventExample) -> EventExample:
        told(site, *example.after)
        if example.type is E.LABELLED:
            return changed(example, body={"code": code})
        if example.type in (E.AGGREGATED, E.DISAGGREGATED):
            return changed(example, body={"parent": code})
        return changed(example, {"order": ORDER if example.type in (E.PICK, E.PACK, E.UNPACK) else None, "code": code})

    return story


LATER = {"at_ms": START_MS + 7_200_000, "mono_ms": 10_800_000, "sent_mono_ms": 10_800_120}
"""When all of the story is over."""


def after(*types: E) -> Callable[[ExampleSite, EventExample], EventExample]:
    """It comes after these, too."""

    def story(site: ExampleSite, example: EventExample) -> EventExample:
        told(site, *sorted({*example.after, *types}, key=lambda t: EVENT_EXAMPLES[t].at_ms))
        return changed(example, LATER)

    return story


def amended_while_picking(site: ExampleSite, example: EventExample) -> EventExample:
    told(site, E.CREATED, E.PAID, E.PICK, *(t for t in example.after if t not in (E.CREATED, E.PAID, E.PICK)))
    site.send(changed(EVENT_EXAMPLES[E.AMENDED], {"at_ms": START_MS + 7_000_000}))
    return changed(example, LATER)


def with_another_parcel(site: ExampleSite, example: EventExample) -> EventExample:
    """The order has other parcels, and the event does not say which one it is about."""
    told(site, *example.after)
    for seq, parcel in ((501, "other-a"), (502, "other-b")):
        site.send(changed(EVENT_EXAMPLES[E.PACK], {"seq": seq, "parcel": parcel}, {"items": [{"sku": "PEN", "qty": 1}]}))
    return changed(example, {"parcel": None}, {"items": None} if example.type is E.PACK else {})


def of_another_order(site: ExampleSite, example: EventExample) -> EventExample:
    """The label is on a parcel of another order; or, of one order, on another parcel than the named one."""
    told(site, *EVENT_EXAMPLES[E.STAGE].after)
    if example.type is E.STAGE:
        with_another_parcel(site, EVENT_EXAMPLES[E.LABELLED])
        return changed(example, {"parcel": "other-a", "order": ORDER})
    other = changed(EVENT_EXAMPLES[E.CREATED], {"order": "shop1-2"}, {"payment": "on_delivery"})
    site.send(other)
    return changed(example, {"order": "shop1-2", "code": LABEL, "parcel": None})


def held_by_another_device(site: ExampleSite, example: EventExample) -> EventExample:
    told(site, E.CREATED)
    shop, hold = EVENT_EXAMPLES[E.CREATED], EVENT_EXAMPLES[E.HELD]
    fraud = changed(hold, {"boot": shop.payload["boot"]}, {"reason": "fraud"})
    site.send(fraud._replace(role=Role.SYSTEM))
    return changed(example, body={"reason": "fraud"})


def of_another_scanner(site: ExampleSite, example: EventExample) -> EventExample:
    told(site, *example.after, E.APPROVED)
    return changed(example, body={"ref": EVENT_EXAMPLES[E.APPROVED].payload["id"]})


def of_a_void(site: ExampleSite, example: EventExample) -> EventExample:
    told(site, *example.after, E.VOID)
    return changed(example, body={"ref": EVENT_EXAMPLES[E.VOID].payload["id"]})


def named_like_an_order(site: ExampleSite, example: EventExample) -> EventExample:
    told(site, *example.after)
    site.send(changed(EVENT_EXAMPLES[E.CREATED], {"order": "shop1-2"}))
    return changed(example, body={"code": "shop1-2", "kind": "plain"})


def given_to_another(site: ExampleSite, example: EventExample) -> EventExample:
    told(site, *example.after)
    site.send(changed(EVENT_EXAMPLES[E.ASSIGNED], body={"courier": "ben"}))
    return changed(example)


def said(**body: Any) -> Callable[[ExampleSite, EventExample], EventExample]:
    """Its body says something else."""

    def story(site: ExampleSite, example: EventExample) -> EventExample:
        told(site, *example.after)
        return changed(example, body=body)

    return story


def alone(site: ExampleSite, example: EventExample) -> EventExample:
    return example


STORIES: dict[Reason, Callable[[ExampleSite, EventExample], EventExample]] = {
    Reason.UNKNOWN_ORDER: unknown,
    Reason.ORDER_NEEDED: lambda site, example: without(example, "order", "code"),
    Reason.UNKNOWN_PARCEL: unlabelled,
    Reason.UNREADABLE_CODE: scanning("]C1(99"),
    Reason.CHECK_DIGIT: scanning("340000000000000129"),
    Reason.CONTAINER: scanning("(8003)01234567890128"),
    Reason.HELD: after(E.HELD),
    Reason.CANCELLED: after(E.CANCELLED),
    Reason.NEEDS_CONFIRM: amended_while_picking,
    Reason.NOT_PAID: unpaid,
    Reason.WRONG_SKU: said(sku="A-SPOON"),
    Reason.WRONG_PARCEL: of_another_order,
    Reason.ITEMS_NEEDED: with_another_parcel,
    Reason.PARCEL_NEEDED: with_another_parcel,
    Reason.CODE_TAKEN: named_like_an_order,
    Reason.UNKNOWN_JOB: said(job="a-job-of-nobody"),
    Reason.JOB_CLOSED: after(E.UNASSIGNED),
    Reason.STALE_REV: said(rev=7),
    Reason.HELD_BY_ANOTHER: given_to_another,
    Reason.UNKNOWN_REFERENCE: alone,
    Reason.VOID_OF_VOID: of_a_void,
}
NOT_YOURS = {E.RELEASED: held_by_another_device, E.VOID: of_another_scanner}


@every_type
def test_every_answer_on_a_page_is_given_to_someone(event_type: E) -> None:
    for reason in effects.reasons(event_type):
        site = ExampleSite()
        story = NOT_YOURS[event_type] if reason is Reason.NOT_YOURS else STORIES[reason]
        (receipt,) = site.send(story(site, EVENT_EXAMPLES[event_type]))
        assert receipt.get("reason") == reason, receipt
        assert receipt.get("next") == effects.next_of(reason), reason
        assert f"- `{reason}`" in PAGES[event_type]


# --- the whole ------------------------------------------------------------------------------------------------------------


def test_a_page_says_who_sends_it_and_what_it_does_to_a_parcel() -> None:
    for event_type, page in PAGES.items():
        head, _, rest = page.partition("**Fields**")
        senders = re.findall(r"`(\w+)`", head.partition("sent by: ")[2].partition("- it is")[0])
        assert senders == [str(role) for role in Role if may_send(role, event_type).allowed], event_type
        assert all(f"→ `{to}`" in " ".join(rest.split()) for _, _, to in effects.moves(event_type)), event_type
        assert ("an instruction" in head) == effects.is_instruction(event_type)


def test_the_effects_on_jobs_are_those_of_the_examples() -> None:
    site = ExampleSite()
    told(site, *EVENT_EXAMPLES[E.CLAIM].after)
    assert site.shown(f"couriers/{COURIER}/assignments/{JOB}") == {**_job(site), "rev": 1, "state": "assigned"}
    told(site, E.CLAIM)
    assert _job(site)["state"] == "accepted"
    told(site, E.UNASSIGNED)
    assert site.shown(f"couriers/{COURIER}/assignments/{JOB}") is None


def _job(site: ExampleSite) -> dict[str, Any]:
    job = site.shown(f"couriers/{COURIER}/assignments/{JOB}")
    assert job is not None
    return job


@pytest.mark.parametrize(
    ("event_type", "state"),
    [(E.CREATED, "pending_payment"), (E.PAID, "paid"), (E.APPROVED, "approved"), (E.CANCELLED, "cancelled"), (E.COMPLETED, "completed")],
)
def test_an_event_of_the_shop_leads_to_the_state_that_its_page_names(event_type: E, state: OrderState) -> None:
    site = ExampleSite()
    receipt = told(site, *EVENT_EXAMPLES[event_type].after, event_type)[-1]
    assert receipt["state"] == state
    assert f"`{state}`" in PAGES[event_type].partition("- sent by")[0]


def test_the_reference_has_every_page_and_fits_into_a_terminal() -> None:
    reference = event_reference()
    assert all(page in reference for page in PAGES.values())
    assert [line for line in reference.splitlines() if len(line) > WIDTH] == []
