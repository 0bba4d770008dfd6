"""CBOR by hand gives what cbor2 gives."""

from __future__ import annotations

import cbor2
from hypothesis import given, settings
from hypothesis import strategies as st

from bridge.domain import encoding
from devices.protocol.vocabulary import Flag, OrderState

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
@given(LENGTHS.filter(lambda n: n < 65_536).map(lambda n: [n] * n))
def test_arrays(values: list[int]) -> None:
    assert encoding.array([encoding.integer(v) for v in values]) == cbor2.dumps(values)


def test_heads_of_maps() -> None:
    for length in range(24):
        assert encoding.map_head(length) == cbor2.dumps(dict.fromkeys(range(length)))[:1]


def test_words() -> None:
    assert encoding.words(Flag, OrderState) == {w.value: cbor2.dumps(w.value) for w in (*Flag, *OrderState)}
