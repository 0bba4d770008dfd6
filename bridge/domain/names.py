"""Names that people give: of devices, of places, of couriers. They stand in topics, on command lines, in files and on screens."""

from __future__ import annotations

from typing import Final

from devices.protocol.claims import CLAIM_PREFIX
from devices.protocol.topics import escape

GOOD_NAMES: Final = "choose another name, of letters, digits, _ and -, such as scan-07"
_FORBIDDEN: Final = "+#/"
_RESERVED: Final = "bridge"


def name_fault(name: str) -> str | None:
    """Why a text can't be a new name; None if it can. What was enrolled before this rule keeps its name."""
    if not name or name.isspace():
        return "it is empty"
    if any(c.isspace() and c.isprintable() for c in name):
        return "it has a blank in it"
    if (bad := next((c for c in name if not c.isprintable()), None)) is not None:
        return f"it has the control character {bad!r} in it"
    if (bad := next((c for c in name if c in _FORBIDDEN), None)) is not None:
        return f"it has {bad!r} in it"
    if name.startswith("-"):
        return "it begins with -, like an option"
    if name == _RESERVED or name.startswith(CLAIM_PREFIX):
        return "it is reserved"
    try:
        escape(name)
    except ValueError as error:
        return str(error)
    return None
