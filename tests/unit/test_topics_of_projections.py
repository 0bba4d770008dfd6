"""What a projection says of its topics' readers is what access grants: two truths that must not drift apart."""

from __future__ import annotations

import pytest
from helpers.events import SITE, TOPICS

from bridge.app import ingest_of
from bridge.broker.session_log import SessionLog
from bridge.config import Settings
from bridge.domain.access import Identity, may_subscribe
from bridge.ingest.rules import Rules
from bridge.ingest.seam import TopicFamily
from devices.protocol.vocabulary import Role

FAMILIES = tuple(family for projection in ingest_of(Rules(site=SITE), Settings(), SessionLog()).projections for family in projection.topics)


@pytest.mark.parametrize("role", Role)
@pytest.mark.parametrize("family", FAMILIES, ids=[f.topic_filter for f in FAMILIES])
def test_a_role_may_read_all_of_a_family_exactly_if_the_projection_says_so(family: TopicFamily, role: Role) -> None:
    identity = Identity(site=SITE, device="someone", role=role, courier="anna")
    granted = may_subscribe(identity, f"{TOPICS.base}/{family.topic_filter}", lambda courier, order: False).allowed
    assert granted is (role in family.roles)
