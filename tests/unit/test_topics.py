"""Topics: ids become levels and are read back unchanged, and filters match as MQTT 3.1.1 §4.7 says, compared with a second implementation of it."""

from __future__ import annotations

import re
from itertools import product

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from bridge.broker.topic_tree import Subscriptions
from devices.protocol.topics import LEVEL_CHARS_MAX, TOPIC_TABLE, Topics, covers, escape, matches, topic_filter_fault, topic_name_fault, unescape
from devices.protocol.vocabulary import EventType

laws = settings(derandomize=True, deadline=None, max_examples=120)

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
LEVELS = st.sampled_from(["a", "b", "", "$a", "+", "#"])
PATHS = st.lists(LEVELS, min_size=1, max_size=5).map("/".join)
NAMES = PATHS.filter(lambda path: topic_name_fault(path) is None)
FILTERS = PATHS.filter(lambda path: topic_filter_fault(path) is None)


# --- ids ------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("business_id", "level"),
    [
        ("PO 17/3", "PO~2017~2F3"),
        ("shop1-1001", "shop1-1001"),
        ("a_b", "a_b"),
        ("~", "~7E"),
        ("+", "~2B"),
        ("#", "~23"),
        ("$SYS", "~24SYS"),
        ("订单", "~E8~AE~A2~E5~8D~95"),
        ("\0", "~00"),
        ("x" * 96, "x" * 96),
    ],
)
def test_an_id_has_one_level_and_a_level_one_id(business_id: str, level: str) -> None:
    assert escape(business_id) == level
    assert unescape(level) == business_id


@laws
@given(TEXTS)
@example("~2F")
@example("a\n")
def test_every_text_that_fits_comes_back_whole(text: str) -> None:
    expected = "".join(c if re.fullmatch(r"[A-Za-z0-9_-]", c) else "".join(f"~{b:02X}" for b in c.encode()) for c in text)
    if not 1 <= len(expected) <= LEVEL_CHARS_MAX:
        with pytest.raises(ValueError, match="1 to 96"):
            escape(text)
        return
    assert escape(text) == expected
    assert re.fullmatch(r"[A-Za-z0-9_~-]{1,96}", expected)
    assert unescape(expected) == text


@laws
@given(st.text(st.sampled_from("ab~0123456789ABCDEFabcdef+#/éÃ©"), max_size=12) | TEXTS)
def test_a_level_that_no_id_makes_is_refused(level: str) -> None:
    try:
        business_id = unescape(level)
    except ValueError:
        return
    assert escape(business_id) == level


@laws
@given(TEXTS, TEXTS)
def test_two_ids_never_share_a_level(a: str, b: str) -> None:
    if 1 <= len(a.encode()) * 3 <= LEVEL_CHARS_MAX and 1 <= len(b.encode()) * 3 <= LEVEL_CHARS_MAX:
        assert (escape(a) == escape(b)) == (a == b)


@pytest.mark.parametrize("level", ["", "~", "~2", "~2f", "~G0", "~61", "~FF", "~C3", "a/b", "+", "#", "x" * 97, "\ud800", "a\n", "é"])
def test_what_escape_never_writes_is_not_a_level(level: str) -> None:
    with pytest.raises(ValueError):
        unescape(level)


@pytest.mark.parametrize("business_id", ["", "x" * 97, "/" * 33, "\ud800"])
def test_an_id_without_a_level_is_refused(business_id: str) -> None:
    with pytest.raises(ValueError):
        escape(business_id)


# --- names and filters ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("topic", ["", "+", "a/+", "#", "a#", "a\0b"])
def test_wildcards_nul_and_nothing_are_no_topic_name(topic: str) -> None:
    assert topic_name_fault(topic) is not None


@pytest.mark.parametrize("topic", ["/", "a", "a/b", "//", "$SYS/x", "a b", "v1/ams/orders/PO~2017/status"])
def test_any_other_text_is_a_topic_name(topic: str) -> None:
    assert topic_name_fault(topic) is None
    assert topic_filter_fault(topic) is None


@pytest.mark.parametrize("topic_filter", ["", "a#", "#/a", "a/#/b", "a/b#", "+a", "a+/b", "a/+b", "##", "++", "a\0"])
def test_a_wildcard_that_does_not_stand_alone_is_no_filter(topic_filter: str) -> None:
    assert topic_filter_fault(topic_filter) is not None


@pytest.mark.parametrize("topic_filter", ["#", "+", "/+", "+/+", "a/#", "a/+/b", "+/a/#", "/#"])
def test_a_wildcard_in_a_level_of_its_own_is_a_filter(topic_filter: str) -> None:
    assert topic_filter_fault(topic_filter) is None


@pytest.mark.parametrize(
    ("topic_filter", "topic", "does"),
    [
        ("sport/tennis/player1/#", "sport/tennis/player1", True),
        ("sport/tennis/player1/#", "sport/tennis/player1/score/wimbledon", True),
        ("sport/#", "sport", True),
        ("sport/tennis/+", "sport/tennis/player1/ranking", False),
        ("sport/+", "sport", False),
        ("sport/+", "sport/", True),
        ("+/+", "/finance", True),
        ("/+", "/finance", True),
        ("+", "/finance", False),
        ("#", "$SYS/x", False),
        ("+/monitor/Clients", "$SYS/monitor/Clients", False),
        ("$SYS/#", "$SYS/x", True),
        ("$SYS/monitor/+", "$SYS/monitor/Clients", True),
        ("a/+/b", "a/$x/b", True),
    ],
)
def test_filters_match_as_the_examples_of_mqtt_say(topic_filter: str, topic: str, does: bool) -> None:
    assert matches(topic_filter, topic) is does


def naive_matches(topic_filter: str, topic: str) -> bool:
    """MQTT 3.1.1 §4.7 again, as a regular expression."""
    if topic[0] == "$" and topic_filter[0] in "+#":
        return False
    pattern = "/".join("[^/]*" if level == "+" else re.escape(level) for level in topic_filter.split("/") if level != "#")
    if topic_filter == "#":
        return True
    if topic_filter.endswith("/#"):
        pattern += "(/.*)?"
    return re.fullmatch(pattern, topic, re.DOTALL) is not None


@laws
@given(FILTERS, NAMES.filter(bool))
def test_matching_agrees_with_another_reading(topic_filter: str, topic: str) -> None:
    assert matches(topic_filter, topic) == naive_matches(topic_filter, topic)


ALL_NAMES = [
    "/".join(levels) for depth in range(1, 5) for levels in product(["a", "b", "", "$a", "other"], repeat=depth) if topic_name_fault("/".join(levels)) is None
]


@laws
@given(FILTERS, FILTERS)
@example("a/#", "a")
@example("#", "$a/#")
@example("+/a", "$a/a")
@example("a/+", "a/#")
def test_a_filter_covers_another_only_if_it_matches_all_that_the_other_can(allowed: str, asked: str) -> None:
    matched = [topic for topic in ALL_NAMES if matches(asked, topic)]
    if covers(allowed, asked):
        assert all(matches(allowed, topic) for topic in matched)
    elif matched and "#" not in asked and "#" not in allowed:
        assert not all(matches(allowed, topic) for topic in matched), "more is refused than must be"


@laws
@given(FILTERS)
def test_every_filter_covers_itself(topic_filter: str) -> None:
    assert covers(topic_filter, topic_filter)


# --- the topics of a site -------------------------------------------------------------------------------------------------


def test_topics_are_built_as_the_table_says() -> None:
    t = Topics("ams 1")
    built = {
        t.event("scan/7", EventType.PACK): "v1/ams~201/devices/scan~2F7/events/pack",
        t.location("d"): "v1/ams~201/devices/d/location",
        t.presence("d"): "v1/ams~201/devices/d/presence",
        t.receipts("d"): "v1/ams~201/devices/d/receipts",
        t.credentials("d"): "v1/ams~201/devices/d/credentials",
        t.assignment("kim", "j 1"): "v1/ams~201/couriers/kim/assignments/j~201",
        t.status("PO 17/3"): "v1/ams~201/orders/PO~2017~2F3/status",
        t.parcel("o", "p#1"): "v1/ams~201/orders/o/parcels/p~231",
        t.eta("o"): "v1/ams~201/orders/o/eta",
        t.position("o"): "v1/ams~201/orders/o/position",
        t.notices("o"): "v1/ams~201/orders/o/notices",
        t.alert("gap", "scan/7"): "v1/ams~201/alerts/gap/scan~2F7",
        t.bridge_state: "v1/ams~201/bridge/state",
    }
    assert all(topic == expected for topic, expected in built.items())
    shapes = [re.sub(r"\{[a-z]+\}", "+", row.shape) for row in TOPIC_TABLE]
    assert [sum(matches(shape, topic) for topic in built) for shape in shapes] == [1] * len(built)
    assert covers(shapes[[r.payload for r in TOPIC_TABLE].index("Assignment")], t.assignments("kim"))


# --- who is subscribed ----------------------------------------------------------------------------------------------------


@laws
@given(
    st.lists(st.tuples(st.sampled_from(["put", "remove", "ask", "ask"]), FILTERS, st.sampled_from("kl"), st.integers(0, 2), NAMES), max_size=40),
    st.sampled_from([0, 3, 1_000]),
)
def test_what_is_remembered_of_subscriptions_is_what_they_are(story: list[tuple[str, str, str, int, str]], matches_max: int) -> None:
    subscriptions: Subscriptions[str] = Subscriptions(matches_max)
    held: dict[tuple[str, str], int] = {}
    for what, topic_filter, key, qos, topic in story:
        if what == "put":
            subscriptions.put(topic_filter, key, qos)
            held[(topic_filter, key)] = qos
        elif what == "remove":
            subscriptions.remove(topic_filter, key)
            held.pop((topic_filter, key), None)
        best: dict[str, int] = {}
        for (wanted, who), granted in held.items():
            if matches(wanted, topic):
                best[who] = max(best.get(who, 0), granted)
        assert dict(subscriptions.match(topic)) == best
        assert subscriptions.remembered <= matches_max
