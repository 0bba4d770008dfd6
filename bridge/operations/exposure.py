"""When a phone is lost: whose contact data, parcels and cash it could hold. With `--json` it is the list for the authority (GDPR, Art. 33: within 72 hours)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from bridge.domain.facts import COUNTED, Decided
from bridge.domain.fold import OrderFold, fold
from bridge.domain.jobs import derived_job_id
from bridge.domain.order.possession import TAKES
from bridge.errors import Refused, SiteError
from bridge.operations import contacts
from bridge.operations.names import check_device
from bridge.operations.order_ports import StoredFact
from bridge.operations.ports import SiteContext, SiteReader
from bridge.operations.waits import ENDED
from devices.protocol.bodies import Assigned, Unassigned
from devices.protocol.choices import Payment
from devices.protocol.vocabulary import EventType, OrderState, Outcome, Role

_ENDED: Final = ENDED | {OrderState.EXCEPTION}
"""States in which a job has nothing more to do with an order, and its phone is no longer sent it."""


class Held(Struct, frozen=True, kw_only=True):
    """An order that a phone could show, from a time until another; None if it still could.

    `contact` are the fields that are known of who gets it, not what they say; None if the key is missing with which they are sealed. `on_board` are the parcels
    that its courier has now. `amount_minor` is what its courier is, or was, to collect.
    """

    order: str
    from_ms: int
    until_ms: int | None
    contact: list[str] | None
    parcels: list[str]
    on_board: list[str]
    amount_minor: int | None
    currency: str | None


class Exposed(Struct, frozen=True, kw_only=True):
    """What a phone could hold since a time: the orders in the jobs of its courier. `revoked_ms` is when it was shut out."""

    device: str
    courier: str
    since_ms: int
    revoked_ms: int | None
    orders: list[Held]


async def look(site: SiteContext, device: str, reason: str = "") -> None:
    """Someone looks at what a phone could hold: an act, for those who may.

    Raises:
        NotFound: if there is no such device.
    """
    check_device(site, device)


async def exposed(site: SiteReader, device: str, since_ms: int, until_ms: int) -> Exposed:
    """What a phone could hold from a time until another, or until it was shut out.

    Raises:
        NotFound: if it is not enrolled.
        Refused: if it is no courier's phone.
    """
    known = site.registry.get(device)
    if known.role is not Role.COURIER or known.courier is None:
        fix = "scanners hold codes, and neither names nor addresses; what a desk or a system can read, see with `dockbridge access explain`"
        raise Refused(f"{device} is no courier's phone", fix=fix)
    end_ms = min(until_ms, known.revoked_ms) if known.revoked_ms is not None else until_ms
    begin_ms = max(since_ms, known.created_ms)
    found = [_held(site, order, known.courier, begin_ms, end_ms) for order in site.queries.orders_of_courier(known.courier)]
    held = [one for one in found if one is not None]
    fields = _contact_fields(site, [one.order for one in held])
    orders = [one if fields is None else replace(one, contact=fields.get(one.order, [])) for one in held]
    return Exposed(device=device, courier=known.courier, since_ms=since_ms, revoked_ms=known.revoked_ms, orders=orders)


def _held(site: SiteReader, order_id: str, courier: str, begin_ms: int, end_ms: int) -> Held | None:
    """What of an order a courier's phone could hold between two times; None if nothing."""
    stored = site.queries.facts(order_id)
    whole = fold(order_id, [one.fact for one in stored])
    spans = [(first, last) for first, last in _spans(stored, whole, courier) if first < end_ms and (last is None or last > begin_ms)]
    if not spans:
        return None
    order = whole.order
    last = spans[-1][1]
    to_collect = order.account if order.created is not None and order.created.payment == Payment.ON_DELIVERY else None
    return Held(
        order=order_id,
        from_ms=max(spans[0][0], begin_ms),
        until_ms=last if last is None or last < end_ms else None,
        contact=None,
        parcels=sorted(order.parcels),
        on_board=sorted(parcel.id for parcel in order.parcels.values() if parcel.courier == courier),
        amount_minor=to_collect.due_minor if to_collect is not None else None,
        currency=to_collect.currency if to_collect is not None else None,
    )


def _spans(stored: Iterable[StoredFact], whole: OrderFold, courier: str) -> list[tuple[int, int | None]]:
    """From when until when an order was in a job of a courier, or taken by them, as the server knew it; the last one may have no end."""
    spans: list[tuple[int, int | None]] = []
    jobs: set[str] = set()
    since_ms: int | None = None
    for one in stored:
        fact, at_ms = one.fact, one.row.received_ms
        body, verdict = fact.body, whole.verdicts.get(fact.uid)
        if verdict is None:
            continue
        ends = verdict.state in _ENDED
        if verdict.outcome in COUNTED:
            if isinstance(body, Assigned) and body.courier == courier:
                jobs.add(body.job or derived_job_id(fact.id))
                since_ms = at_ms if since_ms is None else since_ms
            elif isinstance(body, Assigned):
                ends = ends or fact.parcel is None
            elif isinstance(body, Unassigned):
                ends = ends or body.job in jobs
            elif isinstance(body, Decided):
                ends = ends or (body.answer == EventType.DECLINE and body.outcome is Outcome.APPLIED and body.job in jobs)
            elif fact.type in TAKES and fact.courier == courier:
                since_ms = at_ms if since_ms is None else since_ms
        if ends and since_ms is not None:
            spans.append((since_ms, at_ms))
            since_ms = None
    return [*spans, (since_ms, None)] if since_ms is not None else spans


def _contact_fields(site: SiteReader, orders: list[str]) -> dict[str, list[str]] | None:
    """The fields of the contacts of some orders; None if they can't be opened."""
    try:
        return {order: sorted(contact) for order, contact in contacts.contacts_of(site, orders).items()}
    except SiteError:
        return None
