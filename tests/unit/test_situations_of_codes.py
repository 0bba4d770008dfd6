"""The 76 everyday situations of codes, answered by the judge's model of the law."""

from __future__ import annotations

import msgspec
import pytest
from helpers.streams import CONTAINERS
from unit.the_situations import PARKED, REJECTED, SITUATIONS, Situation, stored

from bridge.domain import barcodes
from bridge.domain.access import MAY_SEND
from devices.protocol.bodies import BODIES
from devices.protocol.vocabulary import EventType, Role
from firmware_sim.checkers.model.codes.placing import places
from firmware_sim.checkers.model.codes.told import Placing, Verdict


def shown(placing: Placing) -> str:
    """An answer in the words of the situations."""
    return {Verdict.PARKED: PARKED, Verdict.REJECTED: REJECTED}.get(placing.verdict) or " ".join(sorted(placing.orders))


@pytest.mark.parametrize("told", SITUATIONS, ids=lambda told: told.sentence[:70])
def test_the_law_answers(told: Situation) -> None:
    events = stored(told)
    found = places(list(events.values()), CONTAINERS)
    placings = {name: found[e.device, e.id] for name, e in events.items()}
    asked = {name: act for name, act in told.acts.items() if act.answer}
    assert {name: shown(placings[name]) for name in asked} == {name: act.answer for name, act in asked.items()}
    assert all(act.warns in {*placings[name].warnings, ""} for name, act in asked.items()), placings


def test_there_are_76_and_in_seven_the_law_says_why_it_answers_otherwise() -> None:
    assert len(SITUATIONS) == 76
    otherwise = [s for s in SITUATIONS if any(act.law for act in s.acts.values())]
    assert [s for s in SITUATIONS if s.because] == otherwise
    assert len(otherwise) == 7


def test_every_event_of_a_situation_could_be_sent() -> None:
    for event in (e for told in SITUATIONS for e in stored(told).values()):
        assert EventType(event.type) in MAY_SEND[Role(event.role)]
        msgspec.convert(event.body, BODIES[EventType(event.type)])
        assert event.code is None or not isinstance(barcodes.read(event.code), barcodes.Unreadable)
