"""Who may do what: the whole role table, and every filter that could match more than its reader may see is refused."""

from __future__ import annotations

from itertools import product

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from bridge.domain.access import MAY_SEND, Answer, Identity, Publishing, may_publish, may_send, may_send_about, may_subscribe, readable
from devices.protocol.topics import Topics, escape, matches, topic_filter_fault
from devices.protocol.vocabulary import EventType, Role

laws = settings(derandomize=True, deadline=None, max_examples=200)

ROLES = [Role.SCANNER, Role.COURIER, Role.SYSTEM, Role.CARRIER, Role.DESK, Role.LAB]

TABLE = """
                      scanner courier system carrier desk lab
created                  .       .      x      .     .    .
paid                     .       .      x      .     .    .
refunded                 .       .      x      .     .    .
approved                 .       .      x      .     x    .
amended                  .       .      x      .     x    .
held                     .       .      x      .     x    .
released                 .       .      x      .     x    .
cancelled                .       .      x      .     x    .
completed                .       .      x      .     x    .
note_added               .       .      x      .     x    .
shift_started            x       x      .      .     .    .
shift_ended              x       x      .      .     x    .
break_started            x       x      .      .     .    .
break_ended              x       x      .      .     .    .
pick                     x       .      .      .     .    .
pack                     x       .      .      .     .    .
unpack                   x       .      .      .     .    .
labelled                 x       .      .      .     x    .
aggregated               x       .      .      .     .    .
disaggregated            x       .      .      .     .    .
stage                    x       .      .      .     .    .
load                     x       .      .      .     .    .
unload                   x       .      .      .     .    .
depart                   x       .      x      x     .    .
arrive                   x       .      x      x     .    .
customs_entered          x       .      x      x     .    .
customs_held             x       .      x      x     .    .
customs_cleared          x       .      x      x     .    .
border_entered           x       .      x      x     .    .
assigned                 .       .      x      .     x    .
unassigned               .       .      x      .     x    .
cash_counted             .       x      x      .     x    .
claim                    .       x      .      .     .    .
decline                  .       x      .      .     .    .
pickup                   .       x      x      x     .    .
out_for_delivery         .       x      x      x     .    .
stop_arrived             .       x      x      x     .    .
attempt_failed           .       x      x      x     .    .
available_for_pickup     .       x      x      x     .    .
delivery                 x       x      x      x     .    .
refused                  .       x      x      x     .    .
return_started           .       x      x      x     x    .
returned                 x       x      x      x     .    .
damaged                  x       x      x      x     .    .
lost                     x       x      x      x     .    .
found                    x       x      x      x     .    .
destroyed                x       .      x      x     .    .
void                     x       x      x      x     x    .
"""
"""Which role sends which events."""

ROWS = [row.split() for row in TABLE.strip().splitlines()[1:]]


def test_the_table_names_every_role_and_event() -> None:
    assert TABLE.split()[: len(ROLES)] == ROLES
    assert set(ROLES) == set(Role) == set(MAY_SEND)
    assert [row[0] for row in ROWS] == list(EventType)


@pytest.mark.parametrize(("event", "cells"), [(row[0], row[1:]) for row in ROWS], ids=[row[0] for row in ROWS])
def test_an_event_is_sent_by_the_roles_that_the_table_names(event: str, cells: list[str]) -> None:
    assert [may_send(role, event).allowed for role in ROLES] == [cell == "x" for cell in cells]


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("event", ["", "decided", "PACK", "pack ", "packaged", "+", "#"])
def test_an_unknown_event_type_may_not_be_sent_by_any_role(role: Role, event: str) -> None:
    answer = may_send(role, event)
    assert not answer.allowed
    assert "no event type" in answer.rule


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("prefix", [None, "shop1-"])
@pytest.mark.parametrize("order", [None, "shop1-1", "shop1-", "shop1", "shop2-1", "SHOP1-1", " shop1-1"])
def test_only_a_system_with_a_prefix_is_limited_to_orders(role: Role, prefix: str | None, order: str | None) -> None:
    answer = may_send_about(Identity(site=SITE, device="d1", role=role, orders_prefix=prefix), order)
    is_limited = role is Role.SYSTEM and prefix is not None
    assert answer.allowed is (not is_limited or order in ("shop1-1", "shop1-"))
    assert order is None or order not in answer.rule.replace("shop1-", "") or order == "shop1", "another shop's order is not named"


# --- identities -----------------------------------------------------------------------------------------------------------

SITE = "ams"


def who(role: Role, device: str = "d1", **more: str) -> Identity:
    return Identity(site=SITE, device=device, role=role, **more)


SCANNER = who(Role.SCANNER, "scan 7")
COURIER = who(Role.COURIER, "phone", courier="kim")
UNBOUND = who(Role.COURIER, "phone")
SYSTEM = who(Role.SYSTEM, "erp")
SHOP = who(Role.SYSTEM, "shop", orders_prefix="shop1-")
DESK = who(Role.DESK, "desk")
CARRIER = who(Role.CARRIER, "dhl")
LAB = who(Role.LAB, "lab")
EVERYONE = [SCANNER, COURIER, UNBOUND, SYSTEM, SHOP, CARRIER, DESK, LAB]

ORDERS = ["shop1-1", "shop1-2", "shop2-1", "o 1"]
OPEN_JOBS = {("kim", "shop1-1"), ("kim", "o 1"), ("bo", "shop2-1")}


def in_open_job(courier: str, order: str) -> bool:
    return (courier, order) in OPEN_JOBS


def everything() -> list[str]:
    """Sample topics: all shapes of two sites with several devices, couriers and orders, and some outside `v1/`."""
    topics = ["v1", "v2/ams/orders/shop1-1/status", "lab/scale", "$SYS/uptime", "$share/g/v1/ams/orders/x/status", "ams", "/"]
    for site in (SITE, "rtm"):
        t = Topics(site)
        topics += [t.base, f"{t.base}/orders", f"{t.base}/other/x", t.bridge_state, t.alert("gap", "d1"), t.alert("parked", "shop1-1")]
        for device in ("scan 7", "phone", "erp", "shop", "desk", "dhl", "lab", "other"):
            topics += [t.receipts(device), t.presence(device), t.location(device), t.event(device, "pack"), f"{t.base}/devices/{escape(device)}"]
        for courier, job in product(("kim", "bo"), ("j1", "j2")):
            topics += [t.assignment(courier, job), f"{t.base}/couriers/{courier}/position"]
        for order in ORDERS:
            topics += [t.status(order), t.eta(order), t.position(order), t.parcel(order, "p1"), f"{t.base}/orders/{escape(order)}"]
    return topics


TOPICS = everything()


def may_read(identity: Identity, topic: str) -> bool:
    """The contract's table of subscriptions in its simplest form: may this identity see this one topic?"""
    t = Topics(SITE)
    order = next((o for o in ORDERS if topic == f"{t.base}/orders/{escape(o)}" or topic.startswith(f"{t.base}/orders/{escape(o)}/")), None)
    if identity.role is Role.LAB:
        return topic != "v1" and not topic.startswith(("v1/", "$"))
    if topic in (t.receipts(identity.device), t.bridge_state):
        return True
    if identity.role is Role.COURIER and identity.courier is not None:
        its_orders = [o for o in ORDERS if in_open_job(identity.courier, o)]
        return topic.startswith(f"{t.base}/couriers/{identity.courier}/assignments/") or topic in [f(o) for o in its_orders for f in (t.status, t.eta)]
    if identity.role is Role.SYSTEM and identity.orders_prefix is not None:
        return order is not None and order.startswith(identity.orders_prefix)
    if identity.role is Role.SYSTEM:
        return topic == f"{t.base}/orders" or order is not None
    if identity.role is Role.DESK:
        shared = topic == f"{t.base}/orders" or topic.startswith((f"{t.base}/alerts/",)) or "/assignments/" in topic or topic.endswith("/presence")
        return topic.startswith(t.base + "/") and (shared or order is not None)
    return False


# --- reading --------------------------------------------------------------------------------------------------------------

_WORDS = ["v1", SITE, "rtm", "orders", "devices", "couriers", "alerts", "bridge", "state", "shop1-1", "shop1-2", "shop2-1", "o~201", "shop1-", "o 1", "~"]
_WORDS += [
    "status",
    "eta",
    "position",
    "parcels",
    "p1",
    "receipts",
    "presence",
    "scan~207",
    "phone",
    "kim",
    "bo",
    "assignments",
    "j1",
    "+",
    "+",
    "+",
    "#",
    "$SYS",
    "",
]


@st.composite
def asked_filters(draw: st.DrawFn) -> str:
    """Filters close to what an identity may read: topics with some levels replaced by wildcards, cut short or changed; and arbitrary ones."""
    levels = draw(st.sampled_from([t.split("/") for t in TOPICS]))
    for place in draw(st.sets(st.integers(0, 6), max_size=3)):
        if place < len(levels):
            levels = [*levels[:place], draw(st.sampled_from(_WORDS)), *levels[place + 1 :]]
    end = draw(st.sampled_from(["", "", "/#", "/+", "#"]))
    return "/".join(levels[: draw(st.integers(1, 7))]) + end


@laws
@given(st.sampled_from(EVERYONE), asked_filters() | st.lists(st.sampled_from(_WORDS), min_size=1, max_size=7).map("/".join))
@example(LAB, "#")
@example(LAB, "+/#")
@example(LAB, "$SYS/#")
@example(SHOP, "v1/ams/orders/+/status")
@example(COURIER, "v1/ams/orders/shop1-1/+")
@example(COURIER, "v1/ams/couriers/kim/assignments/#")
@example(CARRIER, "v1/ams/orders/shop1-1/status")
@example(DESK, "v1/ams/#")
def test_whatever_a_granted_filter_matches_may_be_read(identity: Identity, topic_filter: str) -> None:
    if not may_subscribe(identity, topic_filter, in_open_job).allowed:
        return
    assert topic_filter_fault(topic_filter) is None
    for topic in TOPICS:
        if matches(topic_filter, topic):
            assert may_read(identity, topic), topic


@pytest.mark.parametrize("identity", EVERYONE, ids=lambda i: f"{i.role}-{i.device}-{i.orders_prefix or i.courier}")
def test_each_single_topic_is_granted_to_exactly_those_who_may_read_it(identity: Identity) -> None:
    granted = {t for t in TOPICS if may_subscribe(identity, t, in_open_job).allowed}
    missing = {t for t in TOPICS if may_read(identity, t)} - granted
    assert granted <= {t for t in TOPICS if may_read(identity, t)}
    assert missing <= {f"{Topics(SITE).base}/orders/{escape(o)}" for o in ORDERS}, "only a level above the order's topics may be refused"


@pytest.mark.parametrize("identity", EVERYONE, ids=lambda i: f"{i.role}-{i.device}-{i.orders_prefix or i.courier}")
def test_the_widest_filters_are_granted(identity: Identity) -> None:
    assert all(may_subscribe(identity, f, in_open_job).allowed for f in readable(identity))


@pytest.mark.parametrize(
    ("identity", "topic_filter", "granted"),
    [
        (SYSTEM, "v1/ams/orders/#", True),
        (SYSTEM, "v1/ams/orders/+/status", True),
        (SYSTEM, "v1/ams/+/+/status", False),
        (SYSTEM, "v1/ams/alerts/#", False),
        (SYSTEM, "v1/rtm/orders/#", False),
        (SHOP, "v1/ams/orders/#", False),
        (SHOP, "v1/ams/orders/+/status", False),
        (SHOP, "v1/ams/orders/shop1-77/#", True),
        (SHOP, "v1/ams/orders/shop1-77/parcels/+", True),
        (SHOP, "v1/ams/orders/shop2-77/status", False),
        (SHOP, "v1/ams/orders/shop1-~2/status", False),
        (DESK, "v1/ams/devices/+/presence", True),
        (DESK, "v1/ams/devices/+/receipts", False),
        (DESK, "v1/ams/devices/#", False),
        (DESK, "v1/ams/couriers/+/assignments/+", True),
        (DESK, "v1/ams/alerts/gap/+", True),
        (COURIER, "v1/ams/couriers/kim/assignments/+", True),
        (COURIER, "v1/ams/couriers/kim/assignments/#", False),
        (COURIER, "v1/ams/couriers/+/assignments/+", False),
        (COURIER, "v1/ams/orders/o~201/status", True),
        (COURIER, "v1/ams/orders/o~201/position", False),
        (COURIER, "v1/ams/orders/shop2-1/status", False),
        (UNBOUND, "v1/ams/orders/shop1-1/status", False),
        (CARRIER, "v1/ams/devices/dhl/receipts", True),
        (CARRIER, "v1/ams/bridge/state", True),
        (CARRIER, "v1/ams/orders/shop1-1/status", False),
        (CARRIER, "v1/ams/orders/#", False),
        (SCANNER, "v1/ams/devices/scan~207/receipts", True),
        (SCANNER, "v1/ams/devices/scan~207/#", False),
        (LAB, "lab/#", True),
        (LAB, "#", False),
        (LAB, "+/scale", False),
        (LAB, "v1/#", False),
        (LAB, "$share/g/lab/#", False),
    ],
)
def test_a_filter_is_granted_only_if_all_of_it_is_allowed(identity: Identity, topic_filter: str, granted: bool) -> None:
    answer = may_subscribe(identity, topic_filter, in_open_job)
    assert answer.allowed is granted
    assert answer.rule


# --- publishing -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("identity", EVERYONE, ids=lambda i: f"{i.role}-{i.device}-{i.orders_prefix or i.courier}")
def test_a_device_publishes_only_below_its_own_name(identity: Identity) -> None:
    t = Topics(SITE)
    own = {t.presence(identity.device)} if identity.role is not Role.LAB else set()
    own |= {t.location(identity.device)} if identity.role is Role.COURIER else set()
    own |= {t.event(identity.device, e) for e in EventType if e in MAY_SEND[identity.role]}
    everywhere = {*TOPICS, *own, *(t.event(identity.device, e) for e in EventType)}
    expected = {topic for topic in everywhere if not topic.startswith(("v1/", "$")) and topic != "v1"} if identity.role is Role.LAB else own
    assert {topic for topic in everywhere if may_publish(identity, topic)[0].allowed} == expected


@pytest.mark.parametrize(
    ("topic", "publishing"),
    [
        ("v1/ams/devices/scan~207/events/pack", Publishing("events", "pack")),
        ("v1/ams/devices/scan~207/presence", Publishing("presence")),
    ],
)
def test_what_is_published_is_known_from_its_topic(topic: str, publishing: Publishing) -> None:
    answer, kind = may_publish(SCANNER, topic)
    assert answer.allowed
    assert kind == publishing


def test_a_courier_publishes_where_it_is() -> None:
    assert may_publish(COURIER, "v1/ams/devices/phone/location") == (Answer(True, "a device publishes its own location"), Publishing("location"))


@pytest.mark.parametrize("identity", [i for i in EVERYONE if i.role not in (Role.COURIER, Role.LAB)], ids=lambda i: f"{i.role}-{i.device}")
def test_a_location_of_any_other_role_is_refused(identity: Identity) -> None:
    answer, _ = may_publish(identity, Topics(SITE).location(identity.device))
    assert answer == (False, "only role courier publishes its location")


def test_an_event_that_a_role_may_not_send_is_still_known_as_an_event() -> None:
    answer, kind = may_publish(SCANNER, "v1/ams/devices/scan~207/events/paid")
    assert (answer.allowed, kind) == (False, Publishing("events", "paid")), "so that it is answered with a receipt"


@pytest.mark.parametrize(
    "topic",
    [
        "",
        "v1/ams/devices/scan~207/events/+",
        "v1/ams/devices/scan~207/events/pack/x",
        "v1/ams/devices/scan~207/receipts",
        "v1/ams/devices/scan 7/presence",
        "v1/ams/devices/scan~207",
        "v1/rtm/devices/scan~207/presence",
        "v1/ams/orders/o/status",
        "scan~207/presence",
        "$SYS/x",
        "a\0b",
    ],
)
def test_everything_else_is_refused_with_its_rule(topic: str) -> None:
    answer, _ = may_publish(SCANNER, topic)
    assert not answer.allowed
    assert answer.rule
