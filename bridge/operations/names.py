"""Names that people type: if one is unknown, that is said, with the known ones; an empty answer would look like a quiet day."""

from __future__ import annotations

from typing import Final

from bridge.errors import NotFound
from bridge.operations.ports import SiteReader

NAMED_MAX: Final = 10


def check_courier(site: SiteReader, courier: str) -> None:
    """Raises:
    NotFound: if no phone is a courier's, and no job was.
    """
    if site.registry.has_courier(courier) or site.queries.jobs(courier=courier):
        return
    known = sorted({d.courier for d in site.registry.list() if d.courier is not None})
    fix = f"the couriers are {_some(known)}" if known else "enrol a phone with `dockbridge device add PHONE --role courier --courier NAME`"
    raise NotFound(f"there is no courier {courier}", fix=fix)


def check_carrier(site: SiteReader, carrier: str) -> None:
    """Raises:
    NotFound: if no order is sent with a carrier of this name.
    """
    known = site.queries.carriers()
    if carrier.lower() not in [name.lower() for name in known]:
        fix = f"the carriers are {_some(known)}" if known else "map the shop's column of carriers: `carrier` in [columns]"
        raise NotFound(f"no order is sent with carrier {carrier}", fix=fix)


def check_device(site: SiteReader, device: str) -> None:
    """Raises:
    NotFound: if a device is not enrolled, and no event of it is stored.
    """
    if site.registry.find(device) is None and not site.queries.ledgers(device):
        raise NotFound(f"there is no device {device}", fix="`dockbridge device list` names them")


def check_order(site: SiteReader, order: str) -> None:
    """Raises:
    NotFound: if nothing is known of an order.
    """
    if not site.queries.event_count(order):
        raise NotFound(f"nothing is known of order {order}", fix="list the orders with `dockbridge orders list`")


def _some(names: list[str]) -> str:
    return ", ".join(names[:NAMED_MAX]) + (", …" if len(names) > NAMED_MAX else "")
