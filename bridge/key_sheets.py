"""The recovery sheet of a site's key: what is printed, and what is typed in again."""

from __future__ import annotations

import base64
import binascii
from hashlib import sha256
from typing import Final

from bridge.errors import Refused
from bridge.vault import ID_BYTES, KEY_BYTES, SiteKey

GROUP_CHARS: Final = 4
GROUPS_PER_LINE: Final = 7
CHECK_CHARS: Final = 8
_LINES: Final = ("id", "site", "made", "key", "check")
_FIX: Final = "compare each letter with the sheet: there is no 0, 1, 8 or 9 in a key"

_SHEET: Final = """\
Dockbridge: recovery sheet of a key

Whoever has this sheet and a backup of site {site} can read all contact data in it. Keep it in a safe, away from the machine.
If the folder with the key is lost: dockbridge keys restore, and type these lines.

id      {id}
site    {site}
made    {made_ms}
{lines}
check   {check}

made {made} UTC for site {site}
"""


def sheet_of(key: SiteKey, made: str) -> str:
    """The sheet of a key, as text."""
    letters = base64.b32encode(key.key).decode().rstrip("=")
    groups = [letters[at : at + GROUP_CHARS] for at in range(0, len(letters), GROUP_CHARS)]
    lines = [" ".join(groups[at : at + GROUPS_PER_LINE]) for at in range(0, len(groups), GROUPS_PER_LINE)]
    named = [f"{'key' if not no else '':<8}{line}" for no, line in enumerate(lines)]
    return _SHEET.format(site=key.site, id=key.id.hex(), made_ms=key.created_ms, lines="\n".join(named), check=_check(key), made=made)


def read_typed(text: str, site: str) -> SiteKey:
    """The key of a sheet that was typed in; only its lines from `id` to `check` count.

    Raises:
        Refused: if something is missing, or was typed wrong, or if the sheet is that of another site.
    """
    found: dict[str, str] = {}
    name = ""
    for line in text.splitlines():
        word, _, rest = line.strip().partition(" ")
        if word.lower() in _LINES and (word.lower() not in found):
            name = word.lower()
            found[name] = rest.strip()
        elif name == "key" and line.strip():
            found["key"] += line.strip()
    for name in _LINES:
        if not found.get(name):
            raise Refused(f"the line `{name}` is missing", fix="type the lines of the sheet from `id` to `check`")
    try:
        key_id, created_ms = bytes.fromhex(found["id"]), int(found["made"])
        letters = "".join(found["key"].split()).upper()
        key = SiteKey(key_id, found["site"], base64.b32decode(letters + "=" * (-len(letters) % 8)), created_ms)
    except (ValueError, binascii.Error):
        raise Refused("this is not a key", fix=_FIX) from None
    if len(key.id) != ID_BYTES or len(key.key) != KEY_BYTES or _check(key) != found["check"].lower():
        raise Refused("a letter is wrong: the check does not fit", fix=_FIX)
    if key.site != site:
        raise Refused(f"this is a sheet of site {key.site}, and not of {site}", fix=f"name the folder of {key.site} with --site, or take the sheet of {site}")
    return key


def _check(key: SiteKey) -> str:
    return sha256(key.id + key.key + f"{key.created_ms} {key.site}".encode()).hexdigest()[:CHECK_CHARS]
