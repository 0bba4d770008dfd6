"""A fleet as a CSV file: the devices to enrol, one per line."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import NamedTuple

from bridge.errors import Refused


class FleetRow(NamedTuple):
    """One line of the file. Empty or missing columns are None; `device` may be empty."""

    line: int
    device: str
    role: str | None
    courier: str | None
    at: str | None
    orders: str | None


def read_fleet(file: Path) -> list[FleetRow]:
    """Read a fleet file.

    Raises:
        Refused: if the file is not CSV, or has no column `device`.
    """
    try:
        with file.open(encoding="utf-8-sig", newline="") as text:
            reader = csv.DictReader(text, strict=True)
            if "device" not in (reader.fieldnames or []):
                raise Refused(f"{file} has no column device", fix="name the columns in the first line: device,role,courier,at,orders")
            return [_row(reader.line_num, row) for row in reader]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise Refused(f"{file} can't be read: {error}", fix="give a CSV file in UTF-8") from error


def _row(line: int, row: dict[str, str | None]) -> FleetRow:
    cell = {name: (value or "").strip() or None for name, value in row.items() if isinstance(name, str)}
    return FleetRow(line, cell["device"] or "", cell.get("role"), cell.get("courier"), cell.get("at"), cell.get("orders"))
