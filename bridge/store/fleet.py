"""What a change makes of a device's row. Nothing here reads or writes a table."""

from __future__ import annotations

from typing import Any, Final

from bridge.domain.names import GOOD_NAMES, name_fault
from bridge.errors import NotFound, Refused
from bridge.operations.fleet import ALL_ORDERS, Action, DeviceChange
from bridge.store.tables import devices
from devices.protocol.vocabulary import Role

Row = dict[str, Any]

ENDS_CLAIM: Final = frozenset({Action.ROTATE, Action.REVOKE, Action.REMOVE})
"""After these, a claim that the device had is worth nothing."""


def changed(row: Row | None, change: DeviceChange, now_ms: int) -> Row | None:
    """The row of a device after a change; None if it is removed. `row` is the one before, None if it is not enrolled.

    Raises:
        NotFound: if it is not enrolled.
        Refused: if the change can't be made.
    """
    if change.action is Action.ADD:
        return _added(row, change, now_ms)
    if row is None:
        raise NotFound(f"there is no device {change.device}", fix="list the devices with `dockbridge device list`")
    match change.action:
        case Action.EDIT:
            _check_admitted(row)
            return _edited(row, change)
        case Action.ROTATE:
            if not change.readmit:
                _check_admitted(row)
            return {**row, "password_hash": change.password_hash, "rotated_ms": now_ms, "revoked_ms": None}
        case Action.CLAIM:
            if not change.readmit:
                _check_admitted(row)
            return {**row, "revoked_ms": None}
        case Action.REVOKE:
            return _revoked(row, now_ms)
        case Action.REMOVE:
            if row["revoked_ms"] is None and not change.revoke:
                fix = f"shut it out first (`dockbridge device revoke {row['device']}`), or do both with --revoke"
                raise Refused(f"{row['device']} may still log in", fix=fix)
            return None
    raise AssertionError(change.action)


def _added(row: Row | None, change: DeviceChange, now_ms: int) -> Row:
    if row is not None:
        readmit = " --readmit" if row["revoked_ms"] is not None else ""
        raise Refused(f"device {change.device} is enrolled already", fix=f"`dockbridge device rotate {change.device}{readmit}` gives it a new secret")
    check_name("device", change.device)
    if change.role is None:
        raise Refused(f"{change.device} has no role", fix=f"give it one of {', '.join(Role)}")
    values = {
        "device": change.device,
        "role": change.role.value,
        "courier": _courier(change.role, change.device, change.courier),
        "orders_prefix": prefix_of(change.role, change.orders),
        "at": _checked("place", change.at),
        "created_ms": now_ms,
        "password_hash": change.password_hash,
    }
    return {column.name: values.get(column.name) for column in devices.columns}


def _edited(row: Row, change: DeviceChange) -> Row:
    role, device = Role(row["role"]), row["device"]
    if change.role not in (None, role):
        raise Refused(f"{device} is a {role}, and a role can't be changed", fix="enrol it under a new name, or remove it and enrol it anew")
    after = dict(row)
    if change.courier is not None:
        after["courier"] = _courier(role, device, change.courier)
    if change.orders is not None:
        after["orders_prefix"] = prefix_of(role, change.orders)
    if change.at is not None:
        after["at"] = _checked("place", change.at)
    return after


def _revoked(row: Row, now_ms: int) -> Row:
    revoked_ms = row["revoked_ms"] if row["revoked_ms"] is not None else now_ms
    return {**row, "revoked_ms": revoked_ms, "password_hash": None, "certificate_sha256": None}


def _check_admitted(row: Row) -> None:
    if row["revoked_ms"] is not None:
        fix = f"`dockbridge device rotate {row['device']} --readmit` lets it in again, with a new password"
        raise Refused(f"{row['device']} is shut out", fix=fix)


def _courier(role: Role, device: str, courier: str | None) -> str | None:
    if role is Role.COURIER:
        return _checked("courier", courier) or device
    if courier:
        raise Refused(f"a {role} belongs to no courier", fix="leave the courier out, or give it the role courier")
    return None


def prefix_of(role: Role, orders: str | None) -> str | None:
    """The prefix of the orders that a device sends and reads about; None if it is not limited to any.

    Raises:
        Refused: if it is not said which orders a system serves, or said of another role.
    """
    if role is not Role.SYSTEM:
        if orders:
            raise Refused(f"a {role} is not limited to some orders", fix="leave --orders out: only a system has orders of its own")
        return None
    if not orders:
        fix = f"give it --orders PREFIX (shop1- for orders such as shop1-1001), or --orders {ALL_ORDERS} if it serves the whole site"
        raise Refused("which orders does this system serve? It sends and reads about those only", fix=fix)
    return None if orders == ALL_ORDERS else _checked("prefix", orders)


def _checked(what: str, name: str | None) -> str | None:
    if not name:
        return None
    check_name(what, name)
    return name


def check_name(what: str, name: str) -> None:
    """Raises:
    Refused: if a text can't be a new name.
    """
    if (fault := name_fault(name)) is not None:
        raise Refused(f"{what} {name!r}: {fault}", fix=GOOD_NAMES)
