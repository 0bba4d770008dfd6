"""In whose name this process gives commands: `--as NAME`, with the token that proves it."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Final

from bridge.errors import Refused
from bridge.operations.people_ports import Credential

TOKEN: Final = "DOCKBRIDGE_TOKEN"  # noqa: S105 -- the name of a variable
TOKEN_FILE: Final = "DOCKBRIDGE_TOKEN_FILE"  # noqa: S105 -- the name of a variable
TOKEN_BYTES_MAX: Final = 1_024

_PERSON: Final[list[str]] = []
"""Their name; it holds for every thread of the process."""


def ask_as(person: str | None) -> None:
    """Give all further commands of this process in the name of a person; None for the user of the operating system.

    Raises:
        Refused: if the name is empty: it is a variable that is not set, and must not make the command the owner's.
    """
    if person is not None and not person.strip():
        raise Refused("--as names nobody", fix="name a person, or leave --as out to give the command as the owner of the site's folder")
    _PERSON[:] = [person] if person is not None else []


def check_owner(command: str) -> None:
    """Make sure that a command that works on the site's folder itself is not given in a person's name: no role is asked for there.

    Raises:
        Refused: if it is.
    """
    if _PERSON:
        fix = "leave --as out, and unset DOCKBRIDGE_AS: the owner of the site's folder gives it in their own name"
        raise Refused(f"`dockbridge {command}` works on the site's folder itself, which no role allows", fix=fix)


def credential() -> Credential | None:
    """The person in whose name commands are given, with their token; None if it is the user of the operating system.

    Raises:
        Refused: if there is no token, or its file can't be read or can be read by others.
    """
    if not _PERSON:
        return None
    person = _PERSON[0]
    token = os.environ.get(TOKEN, "").strip()
    if not token and (file := os.environ.get(TOKEN_FILE)):
        token = _token_in(Path(file))
    if not token:
        raise Refused(f"--as {person} needs a token of {person}", fix=f"put it into {TOKEN}, or its file's name into {TOKEN_FILE}")
    return Credential(person=person, token=token)


def _token_in(file: Path) -> str:
    try:
        with file.open("rb") as opened:
            mode = stat.S_IMODE(os.fstat(opened.fileno()).st_mode)
            if mode & (stat.S_IRWXG | stat.S_IRWXO):
                raise Refused(f"{file} can be read by others (its mode is {mode:04o})", fix=f"chmod 600 {file}; if others may have read it, make a new token")
            return opened.read(TOKEN_BYTES_MAX).decode().strip()
    except OSError as error:
        raise Refused(f"the token's file {file} can't be read: {error.strerror}", fix=f"check the name in {TOKEN_FILE}") from error
    except UnicodeError as error:
        raise Refused(f"the token's file {file} is no text", fix="put the token into it, and nothing else") from error
