"""The 76 everyday situations of codes, settled by the product as a shift would send them: each event when it was received, in a batch of its own."""

from __future__ import annotations

import pytest
from helpers.streams.settled import Answer, arrive, times_of
from unit.the_situations import REJECTED, SITUATIONS, Situation, stored

from bridge.domain.codes.evidence import CONTAINER_EVENTS
from bridge.store.memory import MemoryStore


def shown(answer: Answer) -> str:
    """Where an event is, in the words of the situations. What its order then says about it (two parcels with one label, say) is another matter."""
    if not answer.orders or answer.reason == "unknown_order":
        return answer.outcome
    return REJECTED if answer.refusal else " ".join(sorted(answer.order_ids))


@pytest.mark.parametrize("told", SITUATIONS, ids=lambda told: told.sentence[:70])
def test_the_product_answers_as_the_law(told: Situation) -> None:
    events = stored(told)
    with times_of(events.values()):
        comes = arrive(MemoryStore(), [[e] for e in sorted(events.values(), key=lambda e: (e.received_ms, e.seq))])
    answers = {name: comes.answers[e.device, e.id] for name, e in events.items()}
    # What fills or empties a container is in no order of the product.
    asked = {name: act for name, act in told.acts.items() if act.answer and act.type not in CONTAINER_EVENTS}
    assert {name: shown(answers[name]) for name in asked} == {name: act.answer for name, act in asked.items()}
    assert all(act.warns in {*answers[name].warns, ""} for name, act in asked.items()), answers
