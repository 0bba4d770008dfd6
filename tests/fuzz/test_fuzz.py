"""Hostile input: whatever a client sends, the front door handles it well, for that client and for all others.

`targets.py` says what "well" is. Here valid packets and payloads are changed, cut and mixed; stored inputs are tried again. The coverage-guided
search is run by hand (`coverage_guided.py`).
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any, Final

import pytest
from conformance.wire_cases import BAD, GOOD, Way
from contracts.wire_strategies import faults, valid, valid_event
from fuzz import targets
from fuzz.targets import PROBE, SENDERS, Act, Step, Story, Trial, World, read_story, write_payloads, write_story
from helpers.events import BOOT, NOW_MS, TOPICS, event_id, log_of
from helpers.mqtt import connect_packet, publish_packet, subscribe_packet, unsubscribe_packet
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bridge.broker.state import State
from bridge.domain.access import MAY_SEND
from devices.protocol.messages import EVENT_KINDS, LocationBatch, Presence, encode_cbor, encode_json
from devices.protocol.vocabulary import EventType

EXAMPLES: Final = int(os.environ.get("DOCKBRIDGE_FUZZ_EXAMPLES", "100"))
FUZZ: Final = settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])
CONNECTS: Final = [case.wire for case in GOOD if case.way is not Way.OUT and case.wire[0] >> 4 == 1]
PACKETS: Final = [case.wire for case in GOOD if case.way is not Way.OUT and case.wire[0] >> 4 not in (1, 14) and len(case.wire) < 400]
BROKEN: Final = [case.wire for case in BAD if not case.first]


@pytest.fixture(scope="module")
def trial(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trial]:
    with Trial(tmp_path_factory.mktemp("trial")) as made:
        yield made


# --- what was kept --------------------------------------------------------------------------------------------------------


def test_every_story_that_was_kept_ends_well() -> None:
    for seed in targets.seeds("door"):
        targets.door(seed)


def test_every_packet_that_was_kept_is_read_as_the_grammar_reads_it() -> None:
    for seed in targets.seeds("packet"):
        targets.packet(seed)


def test_every_payload_that_was_kept_is_answered(trial: Trial) -> None:
    for seed in targets.seeds("payload"):
        targets.payload(trial, seed)


# --- the front door ---------------------------------------------------------------------------------------------------------


@st.composite
def damaged(draw: st.DrawFn, whole: st.SearchStrategy[bytes]) -> bytes:
    """A byte string in which some bytes may have been removed, changed, doubled or added."""
    data = draw(whole)
    for _ in range(draw(st.integers(0, 2))):
        at = draw(st.integers(0, len(data)))
        end = min(len(data), at + draw(st.integers(0, 4)))
        data = data[:at] + draw(st.sampled_from([b"", data[at:end] * 2]) | st.binary(max_size=3)) + data[end:]
    return data


PACKET: Final = st.sampled_from(PACKETS)
ANYTHING: Final = damaged(st.sampled_from([*PACKETS, *BROKEN, *CONNECTS]))


STORY_MAX: Final = 50


def short_or_long(parts: st.SearchStrategy[Any], most: int) -> st.SearchStrategy[list[Any]]:
    """By default Hypothesis makes lists of about five; only longer ones reach the limits."""
    return st.lists(parts, max_size=8) | st.lists(parts, min_size=most // 2, max_size=most)


IDS: Final = st.integers(1, 3)
TOPIC: Final = st.sampled_from(["lab/a", "lab/b", "lab/c", "lab/d/e", TOPICS.event("scan-1", "pick"), TOPICS.status("PO-1")])
FILTER: Final = st.sampled_from(["lab/#", "lab/+", "lab/a", f"{TOPICS.base}/orders/#", TOPICS.status("PO-1"), TOPICS.receipts("scan-1"), "#"])
TALK: Final = st.one_of(
    PACKET,
    st.builds(
        lambda topic, qos, number, dup, retain: publish_packet(topic, b"x", qos=qos, packet_id=number, dup=dup and qos > 0, retain=retain),
        TOPIC,
        st.integers(0, 2),
        IDS,
        st.booleans(),
        st.booleans(),
    ),
    st.builds(lambda first, number: bytes((first, 2, 0, number)), st.sampled_from([0x40, 0x50, 0x62, 0x70]), IDS),
    st.builds(lambda wanted, number: subscribe_packet(wanted, number), st.lists(st.tuples(FILTER, st.integers(0, 2)), min_size=1, max_size=3), IDS),
    st.builds(lambda unwanted, number: unsubscribe_packet(unwanted, number), st.lists(FILTER, min_size=1, max_size=3), IDS),
)
"""What a client sends that keeps to the protocol, more or less."""


def bytes_of(data: st.SearchStrategy[bytes], act: Act) -> st.SearchStrategy[Step]:
    return st.builds(Step, st.just(act), st.integers(0, 3), data)


STEP: Final = st.one_of(
    bytes_of(TALK, Act.BYTES),
    bytes_of(ANYTHING, Act.BYTES),
    bytes_of(st.binary(max_size=40), Act.BYTES),
    bytes_of(damaged(PACKET.map(lambda wire: wire[:1] + wire[2:])), Act.PACKET),
    bytes_of(st.builds(lambda flags, more: bytes((flags,)) + more, st.integers(0, 255), st.just(b"") | PACKET | ANYTHING), Act.CONNECT),
    bytes_of(st.builds(lambda flags, payload: bytes((flags,)) + payload, st.integers(0, 31), st.binary(max_size=8)), Act.PUBLISH),
    bytes_of(st.builds(lambda quarters, full: bytes((quarters, full)), st.integers(0, 255), st.integers(0, 1)), Act.WAIT),
    bytes_of(st.just(b""), Act.CHECK),
    bytes_of(st.just(b""), Act.COMMIT),
    bytes_of(st.just(b""), Act.CUT),
)


CHECK, COMMIT, CUT = (Step(act, 0) for act in (Act.CHECK, Act.COMMIT, Act.CUT))


def in_order(*steps: st.SearchStrategy[Step] | Step) -> st.SearchStrategy[list[Step]]:
    return st.tuples(*(s if isinstance(s, st.SearchStrategy) else st.just(s) for s in steps)).map(list)


def logged_in(number: int, who: int, flags: int, *, topic: str | None = None) -> list[Step]:
    """A client has logged in; if a topic is given, it has a retained will there and is cut off at once."""
    if topic is None:
        return [Step(Act.CONNECT, who, bytes((flags,))), CHECK, COMMIT]
    connect = connect_packet(f"c{number}", "gear", targets.SECRET, will=(topic, b"gone"), will_retain=True)
    return [Step(Act.BYTES, who, connect), CHECK, COMMIT, Step(Act.CUT, who), COMMIT]


def watching(who: int, flags: int, qos: int) -> list[Step]:
    """A client has logged in, and subscribed to all topics that it may read."""
    filters = [(f, qos) for f in ("lab/#", TOPICS.status("PO-1"), TOPICS.receipts("scan-1"), "#")]
    return [*logged_in(0, who, flags), Step(Act.BYTES, who, subscribe_packet(filters)), COMMIT]


SCENE: Final = st.one_of(
    st.builds(watching, st.integers(0, 3), st.integers(0, 31), st.integers(0, 2)),
    STEP.map(lambda step: [step]),
    st.builds(logged_in, st.just(0), st.integers(0, 3), st.integers(0, 31)),
    st.builds(logged_in, st.integers(0, 3), st.integers(0, 3), st.just(0), topic=TOPIC),
    in_order(bytes_of(TALK, Act.BYTES), COMMIT),
    st.builds(lambda flags, times: [*[Step(Act.PUBLISH, 0, bytes((flags,)) + b"x")] * times, COMMIT], st.integers(0, 23), st.integers(1, 12)),
)


@FUZZ
@given(short_or_long(SCENE, STORY_MAX).map(lambda scenes: [step for scene in scenes for step in scene]))
def test_whatever_four_clients_do_the_door_and_its_bystander_are_well(story: Story) -> None:
    script = write_story(story)
    assert read_story(script) == story
    targets.door(script)


@FUZZ
@given(
    st.lists(PACKET | TALK.filter(lambda wire: wire[0] >> 4 in (3, 8, 10)), max_size=6),
    st.sampled_from(BROKEN),
    ANYTHING,
    st.lists(st.integers(1, 30), max_size=20),
)
def test_a_packet_that_breaks_the_protocol_closes_its_connection_wherever_it_stands(before: list[bytes], broken: bytes, after: bytes, cuts: list[int]) -> None:
    world = World()
    world.take(Step(Act.CONNECT, 0, b"\7"))
    world.take(Step(Act.CHECK, 0))
    world.take(Step(Act.COMMIT, 0))
    connection = world.clients[0].connection
    assert (connection.state, connection.identity) == (State.OPEN, PROBE)
    stream = b"".join(before) + broken + after
    for size in [*cuts, len(stream)]:
        if connection.state is State.OPEN:
            world.take(Step(Act.BYTES, 0, stream[:size]))
            stream = stream[size:]
    assert connection.state is State.CLOSED
    assert world.door.counters.protocol_errors == 1
    world.finish()


@FUZZ
@given(short_or_long(TALK, STORY_MAX) | st.lists(TALK | ANYTHING, max_size=12), st.booleans(), st.integers(0, 127))
def test_the_door_reads_packets_as_the_grammar_does(stream: list[bytes], is_open: bool, size: int) -> None:
    targets.packet(bytes((is_open | size << 1,)) + b"".join(stream))


@FUZZ
@given(damaged(st.sampled_from([*CONNECTS, *(case.wire for case in BAD if case.first)])), st.integers(0, 127))
def test_the_door_reads_a_connect_as_the_grammar_does(connect: bytes, size: int) -> None:
    targets.packet(bytes((size << 1,)) + connect)


# --- payloads ---------------------------------------------------------------------------------------------------------------


@st.composite
def a_message(draw: st.DrawFn) -> tuple[str, str, bytes]:
    """What a device sends: valid, with one fault, or damaged on its way; some of it names an order, a job and a code that exist."""
    device = draw(st.sampled_from(SENDERS))
    role = targets.IDENTITIES[device].role
    kind = draw(st.sampled_from([*sorted(MAY_SEND[role]), "presence", "location"]))
    if kind in ("presence", "location"):
        value = draw(valid(Presence if kind == "presence" else LocationBatch))
        struct: Any = Presence if kind == "presence" else LocationBatch
    else:
        value = draw(valid_event(EventType(kind)))
        struct = EVENT_KINDS[EventType(kind)]
        value |= draw(st.fixed_dictionaries({}, optional=_known(device)))
        if "job" in value["body"]:
            value["body"]["job"] = draw(st.sampled_from(["job-1", value["body"]["job"]]))
    if draw(st.integers(0, 3)) == 0:
        value = draw(st.sampled_from(list(faults(struct, value))))[0]
    payload = (encode_json if draw(st.booleans()) else encode_cbor)(value)
    return device, kind, draw(damaged(st.just(payload))) if draw(st.booleans()) else payload


def _known(device: str) -> dict[str, st.SearchStrategy[Any]]:
    return {
        "order": st.sampled_from(["PO-1", "PO-2"]),
        "code": st.sampled_from(["WB-1", "PO-1", "4006381333931", "00340123450000000018"]),
        "id": st.integers(1, 3).map(lambda seq: event_id(device, seq)),
        "log": st.just(log_of(device)),
        "seq": st.integers(1, 5),
        "boot": st.just(BOOT),
        "sent_boot": st.just(BOOT),
        "at_ms": st.integers(NOW_MS - 1_000, NOW_MS + 1_000),
    }


@FUZZ
@given(st.lists(a_message(), min_size=1, max_size=6), st.booleans())
def test_whatever_a_device_sends_is_settled_and_its_neighbours_count(trial: Trial, batch: list[tuple[str, str, bytes]], as_json: bool) -> None:
    targets.payload(trial, write_payloads(batch, as_json=as_json))
