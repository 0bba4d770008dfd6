"""CBOR made by our own encoder equals that of cbor2."""

from __future__ import annotations

import cbor2
from hypothesis import given, settings
from hypothesis import strategies as st

from bridge.domain import encoding
from bridge.domain.facts import Verdict, tone_of
from bridge.ingest.receipt import once_more, receipt_cbor
from devices.protocol import messages
from devices.protocol.messages import Receipt
from devices.protocol.vocabulary import EventType, Flag, Next, OrderState, Outcome, Reason, Warn

laws = settings(derandomize=True, deadline=None, max_examples=300)

EDGES = [edge + by for edge in (0, 24, 256, 1 << 16, 1 << 32, 1 << 64) for by in (-1, 0, 1)]
LENGTHS = st.sampled_from([0, 1, 22, 23, 24, 25, 254, 255, 256, 257, 65_535, 65_536])


@laws
@given(st.sampled_from(EDGES) | st.integers(-(1 << 70), 1 << 70))
def test_integers(n: int) -> None:
    assert encoding.integer(n) == cbor2.dumps(n)


@laws
@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=40) | LENGTHS.map("é".__mul__) | LENGTHS.map("x".__mul__))
def test_texts(value: str) -> None:
    assert encoding.text(value) == cbor2.dumps(value)


@laws
@given(st.binary(max_size=40) | LENGTHS.map(b"x".__mul__))
def test_octets(value: bytes) -> None:
    assert encoding.octets(value) == cbor2.dumps(value)


@laws
@given(LENGTHS.filter(lambda n: n < 65_536).map(lambda n: [n] * n))
def test_arrays(values: list[int]) -> None:
    assert encoding.array([encoding.integer(v) for v in values]) == cbor2.dumps(values)


def test_heads_of_maps() -> None:
    for length in range(24):
        assert encoding.map_head(length) == cbor2.dumps(dict.fromkeys(range(length)))[:1]


def test_words() -> None:
    assert encoding.words(Flag, OrderState) == {w.value: cbor2.dumps(w.value) for w in (*Flag, *OrderState)}


NAMES = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=96)
VERDICTS = st.builds(
    Verdict,
    st.sampled_from(Outcome),
    st.none() | st.sampled_from(Reason),
    st.lists(st.sampled_from(Warn), max_size=3, unique=True).map(tuple),
    st.none() | st.sampled_from(Next),
    st.none() | st.sampled_from(OrderState),
    st.none() | NAMES,
    st.none() | NAMES.filter(lambda name: len(name) <= 64),
)


@laws
@given(
    n=st.integers(1, 1_000_000),
    event_id=st.binary(min_size=16, max_size=16),
    log=st.binary(min_size=8, max_size=8),
    seq=st.integers(1, (1 << 53) - 1),
    verdict=VERDICTS,
    at_ms=st.integers(0, (1 << 53) - 1),
    order_id=st.none() | NAMES,
    rev=st.integers(0, 1 << 40),
    left=st.lists(st.tuples(NAMES, st.integers(1, 100_000)), max_size=30),
    detail=st.none() | st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=300),
    event_type=st.sampled_from([t.value for t in EventType]),
    quiet=st.booleans(),
)
def test_receipts(
    n: int,
    event_id: bytes,
    log: bytes,
    seq: int,
    verdict: Verdict,
    at_ms: int,
    order_id: str | None,
    rev: int,
    left: list[tuple[str, int]],
    detail: str | None,
    event_type: str,
    quiet: bool,
) -> None:
    receipt = receipt_cbor(
        n=n,
        event_type=event_type,
        event_id=event_id,
        log=log,
        seq=seq,
        verdict=verdict,
        at_ms=at_ms,
        order_id=order_id,
        rev=rev,
        left=left,
        detail=detail,
        quiet=quiet,
    )
    told = {
        "n": n,
        "type": event_type,
        "quiet": quiet or None,
        "id": event_id,
        "log": log,
        "seq": seq,
        "rev": rev or None,
        "left": [{"qty": qty, "sku": sku} for sku, qty in left] or None,
        "next": verdict.next,
        "tone": tone_of(verdict),
        "warn": list(verdict.warn) or None,
        "at_ms": at_ms,
        "final": verdict.outcome is not Outcome.PARKED,
        "order": order_id,
        "state": verdict.state if order_id is not None else None,
        "detail": detail[:200] if detail else None,
        "parcel": verdict.parcel,
        "reason": verdict.reason,
        "outcome": verdict.outcome,
        "expected": {"carrier": verdict.carrier} if verdict.carrier is not None else None,
    }
    told = {key: value for key, value in told.items() if value is not None}
    assert receipt == cbor2.dumps(told, canonical=True)
    assert once_more(receipt) == cbor2.dumps({**told, "again": True}, canonical=True)
    messages.decode(receipt, Receipt)
