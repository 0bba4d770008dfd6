"""What stands in the place of a reason that is no word."""

from __future__ import annotations

import re
from enum import StrEnum

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devices.protocol.reasons import REASONS, Condition, stored_as


@pytest.mark.parametrize("words", [*REASONS.values(), Condition], ids=lambda words: words.__name__)
def test_every_word_of_the_lists_is_a_word(words: type[StrEnum]) -> None:
    assert [stored_as(word) for word in words] == list(words)


@pytest.mark.parametrize("word", ["qc", "qc-2", "vip_check", "step.4", "after_1800", "x" * 64])
def test_other_words_are_stored_as_they_are(word: str) -> None:
    assert stored_as(word) == word


@pytest.mark.parametrize(
    "said", ["Ada", "ada vos", "Frau Vos ist verreist", "0301234567", "call_01701234567", "缺货", "ada@example.org", " ", "a\n", "a\nb", "é", "x" * 63 + " "]
)
def test_what_may_be_about_somebody_is_not_stored(said: str) -> None:
    assert re.fullmatch(r"other_[0-9a-f]{4}", stored_as(said))


@given(st.text(min_size=1, max_size=64))
def test_what_is_stored_is_a_word_and_stays_the_same(said: str) -> None:
    assert stored_as(stored_as(said)) == stored_as(said)
