"""Who may publish and subscribe to what, and which rule says so."""

from __future__ import annotations

from enum import StrEnum
from functools import cache

from msgspec import Struct

from bridge.domain.access import OpenOrders, may_publish, may_subscribe
from bridge.errors import Refused
from bridge.operations.ports import SiteReader
from devices.protocol.topics import topic_filter_fault, topic_name_fault
from devices.protocol.vocabulary import Role


class Action(StrEnum):
    """What a device does with a topic."""

    PUBLISH = "publish"
    SUBSCRIBE = "subscribe"


class Explained(Struct, frozen=True, kw_only=True):
    """Whether a device may do something with a topic (or topic filter), and the rule that decides it."""

    device: str
    role: Role
    action: Action
    topic: str
    allowed: bool
    rule: str


class Reach(Struct, frozen=True, kw_only=True):
    """What a device may do with one topic, and the rules that allow it."""

    device: str
    role: Role
    reads: bool
    writes: bool
    rule: str


async def why(site: SiteReader, device: str, action: Action, topic: str) -> Explained:
    """Explain whether a device may publish to a topic or subscribe to a topic filter.

    Raises:
        NotFound: if the device is not enrolled.
    """
    identity, state = site.registry.identity(device), site.registry.get(device)
    allowed, rule = may_publish(identity, topic)[0] if action is Action.PUBLISH else may_subscribe(identity, topic, _open_orders(site, identity.courier))
    if allowed and not state.can_log_in:
        allowed, rule = False, f"{device} can't log in: it is {'a channel without a login' if state.is_admitted else 'revoked'}"
    return Explained(device=device, role=identity.role, action=action, topic=topic, allowed=allowed, rule=rule)


async def who(site: SiteReader, topic: str) -> list[Reach]:
    """Devices that may read or write a topic.

    Raises:
        Refused: if it is not the name of one topic.
    """
    if fault := topic_name_fault(topic) or topic_filter_fault(topic):
        raise Refused(f"{topic}: {fault}", fix="give the name of one topic")
    identities = site.registry.identities()
    in_open_job = _open_orders(site)
    found = []
    for device in site.registry.list():
        if not device.can_log_in:
            continue
        identity = identities[device.device]
        read, write = may_subscribe(identity, topic, in_open_job), may_publish(identity, topic)[0]
        if read.allowed or write.allowed:
            rule = "; ".join(a.rule for a in (read, write) if a.allowed)
            found.append(Reach(device=device.device, role=identity.role, reads=read.allowed, writes=write.allowed, rule=rule))
    return found


def _open_orders(site: SiteReader, courier: str | None = None) -> OpenOrders:
    """Which orders are in open jobs, of one courier if it is given; the jobs are read only if a rule asks."""

    @cache
    def held() -> frozenset[tuple[str, str]]:
        return frozenset((job.courier, order) for job in site.queries.jobs(courier=courier, only_open=True) for order in job.orders)

    return lambda courier, order: (courier, order) in held()
