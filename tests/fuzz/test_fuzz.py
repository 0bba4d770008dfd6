"""Hostile input: whatever comes through the front door ends well, for the one who sent it and for everybody else.

`targets.py` says what "well" is. Here valid packets and payloads are changed, cut and mixed; inputs that were worth keeping are tried again. The search
that is guided by coverage is run by hand (`coverage_guided.py`).
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any, Final

import pytest
from a_site import BOOT, NOW_MS, event_id, log_of
from conformance.wire_cases import BAD, GOOD, Way
from contracts.wire_strategies import faults, valid, valid_event
from fuzz import targets
from fuzz.targets import PROBE, SENDERS, Act, Step, Story, Trial, World, read_story, write_payloads, write_story
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bridge.broker.front_door import State
from bridge.domain.access import MAY_SEND
from devices.protocol.messages import EVENT_KINDS, LocationBatch, Presence, encode_cbor, encode_json
from devices.protocol.vocabulary import EventType

EXAMPLES: Final = int(os.environ.get("DOCKBRIDGE_FUZZ_EXAMPLES", "150"))
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
    """A byte string that may have lost, changed, doubled or won some bytes."""
    data = draw(whole)
    for _ in range(draw(st.integers(0, 2))):
        at = draw(st.integers(0, len(data)))
        end = min(len(data), at + draw(st.integers(0, 4)))
        data = data[:at] + draw(st.sampled_from([b"", data[at:end] * 2]) | st.binary(max_size=3)) + data[end:]
    return data


PACKET: Final = st.sampled_from(PACKETS)
ANYTHING: Final = damaged(st.sampled_from([*PACKETS, *BROKEN, *CONNECTS]))


def bytes_of(data: st.SearchStrategy[bytes], act: Act) -> st.SearchStrategy[Step]:
    return st.builds(Step, st.just(act), st.integers(0, 3), data)


STEP: Final = st.one_of(
    bytes_of(PACKET, Act.BYTES),
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


@FUZZ
@given(st.lists(STEP, max_size=60))
def test_whatever_four_clients_do_the_door_and_its_bystander_are_well(story: Story) -> None:
    script = write_story(story)
    assert read_story(script) == story
    targets.door(script)


@FUZZ
@given(st.lists(PACKET, max_size=6), st.sampled_from(BROKEN), ANYTHING, st.lists(st.integers(1, 30), max_size=20))
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
@given(st.lists(PACKET | ANYTHING, max_size=6), st.booleans(), st.integers(0, 127))
def test_the_door_reads_packets_as_the_grammar_does(stream: list[bytes], is_open: bool, size: int) -> None:
    targets.packet(bytes((is_open | size << 1,)) + b"".join(stream))


@FUZZ
@given(damaged(st.sampled_from([*CONNECTS, *(case.wire for case in BAD if case.first)])), st.integers(0, 127))
def test_the_door_reads_a_connect_as_the_grammar_does(connect: bytes, size: int) -> None:
    targets.packet(bytes((size << 1,)) + connect)


# --- payloads ---------------------------------------------------------------------------------------------------------------


@st.composite
def a_message(draw: st.DrawFn) -> tuple[str, str, bytes]:
    """What a device sends: right, with one fault, or damaged on its way; some of it names an order, a job and a code that are known."""
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
