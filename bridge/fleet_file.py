"""A fleet as a CSV file: one change of a device per line."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple

from bridge.errors import Refused
from bridge.operations.fleet import Action, DeviceChange
from devices.protocol.vocabulary import Role

COLUMNS: Final = ("action", "device", "role", "courier", "at", "orders")
NOTHING: Final = "-"
"""In a line that edits a device: takes a value away. An empty cell leaves it as it is."""
_FORM: Final = f"name the columns in the first line, each once: {','.join(COLUMNS)}"


class FleetRow(NamedTuple):
    """What one line asks for."""

    line: int
    change: DeviceChange


class LineFault(NamedTuple):
    """Why a line can't be used, and what to do."""

    line: int
    text: str
    fix: str | None


class Fleet(NamedTuple):
    """The lines of a file, and what is wrong with it."""

    rows: Sequence[FleetRow]
    faults: Sequence[LineFault]


def read_fleet(file: Path, *, rows_max: int, revoke: bool = False) -> Fleet:
    """Read a fleet file. `revoke` lets its lines remove devices that were not revoked before.

    Raises:
        Refused: if the file is not CSV, its columns are not those of a fleet, or it has too many lines.
    """
    rows: list[FleetRow] = []
    faults: list[LineFault] = []
    try:
        with file.open(encoding="utf-8-sig", newline="") as text:
            reader = csv.reader(text, strict=True)
            names = _columns(file, next(reader, []))
            for cells in reader:
                if len(rows) + len(faults) >= rows_max:
                    raise Refused(f"{file} has more than {rows_max:,} lines", fix="split it, or raise enrolment.fleet_rows_max")
                if any(cells):
                    read = _row(reader.line_num, names, cells, revoke=revoke)
                    if isinstance(read, FleetRow):
                        rows.append(read)
                    else:
                        faults.append(read)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise Refused(f"{file} can't be read: {getattr(error, 'strerror', None) or error}", fix="give a CSV file in UTF-8") from error
    return Fleet(rows, faults)


def _columns(file: Path, cells: Sequence[str]) -> list[str]:
    names = [cell.strip().lower() for cell in cells]
    if "device" not in names:
        raise Refused(f"{file} has no column device", fix=_FORM)
    if unknown := [name for name in names if name not in COLUMNS]:
        raise Refused(f"{file} has a column {unknown[0]!r}, which means nothing here", fix=f"remove it, or correct its name; {_FORM}")
    if len(set(names)) < len(names):
        raise Refused(f"{file} has a column twice", fix=_FORM)
    return names


def _row(line: int, names: Sequence[str], cells: Sequence[str], *, revoke: bool) -> FleetRow | LineFault:
    if len(cells) > len(names):
        return LineFault(line, f"it has {len(cells)} cells, and the file has {len(names)} columns", "put a text with a comma in it in quotes")
    cell = {name: value.strip() for name, value in zip(names, cells, strict=False)}
    action = cell.get("action") or Action.ADD.value
    if action not in set(Action):
        return LineFault(line, f"{action!r} is not an action", f"choose one of {', '.join(Action)}; empty means add")
    role = cell.get("role", "")
    if role and role not in set(Role):
        return LineFault(line, f"{role!r} is not a role", f"choose one of {', '.join(Role)}")
    if not role and action == Action.ADD:
        return LineFault(line, "its role is empty", f"choose one of {', '.join(Role)}")
    courier, at, orders = (_value(cell.get(name, ""), Action(action)) for name in ("courier", "at", "orders"))
    change = DeviceChange(
        action=Action(action),
        device=cell.get("device", ""),
        role=Role(role) if role else None,
        courier=courier,
        at=at,
        orders=orders,
        revoke=revoke,
    )
    return FleetRow(line, change)


def _value(cell: str, action: Action) -> str | None:
    if action is Action.EDIT and cell == NOTHING:
        return ""
    return cell or None
