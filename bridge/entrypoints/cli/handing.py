"""How commands hand out what is shown once: it is written and on its way before anything is enrolled, so that no secret is lost of a device that is."""

from __future__ import annotations

import errno
import io
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from bridge.entrypoints.cli.output import say
from bridge.errors import BridgeError, Refused
from bridge.ingest.ports import StoreUnavailable
from bridge.operations.fleet import DeviceChange
from bridge.site_reader import ReadableSite

_NOT_A_FILE: Final = (errno.EINVAL, errno.ENOTSUP, errno.EROFS)


def print_first(show: Callable[[], None]) -> None:
    """Print to stdout, and make sure that it got there.

    Raises:
        Refused: if it did not.
    """
    if sys.stdout is None:
        raise Refused("stdout is closed: what is shown once would be lost; nothing was changed", fix="run the command again in a terminal, or with > FILE")
    try:
        show()
        sys.stdout.flush()
        _sync_stdout()
    except OSError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # what is still buffered must not raise again at exit
        raise Refused(f"the output can't be written ({error.strerror}); nothing was changed", fix="write to where there is room, then run it again") from error


def _sync_stdout() -> None:
    try:
        os.fsync(sys.stdout.fileno())
    except io.UnsupportedOperation:
        return  # it is no file of the system's
    except OSError as error:
        if error.errno not in _NOT_A_FILE:  # a pipe or a terminal keeps nothing
            raise


@contextmanager
def handed_out(what: str, site: Path, changes: Sequence[DeviceChange], *, file: Path | None = None, text: str = "") -> Iterator[None]:
    """Make changes inside the block, once what they need is handed out: printed inside the block, or written to a file first, which only its owner may read.
    If the block fails, the file goes again, and it is said that what was shown is void; unless the changes were made all the same.

    Raises:
        Refused: if the file exists, or can't be written.
    """
    if not any(change.claim is not None or change.password_hash is not None for change in changes):
        yield  # there is nothing to hand out
        return
    if file is not None:
        _write_new(file, text)
    try:
        yield
    except BaseException:
        try:
            is_made = _are_made(site, changes)
        except (BridgeError, StoreUnavailable):
            say(f"It is not known whether the changes were made: keep {what} until `dockbridge device list` shows it.")
            raise
        if is_made:
            say(f"The changes were made, although the command did not end well: {what} is valid.")
        else:
            if file is not None:
                file.unlink(missing_ok=True)
            say(f"Nothing was changed: {what} is void.")
        raise


def _are_made(site: Path, changes: Sequence[DeviceChange]) -> bool:
    """Whether changes are stored. They are made together, so that one of them speaks for all."""
    reader = ReadableSite(site)
    for change in changes:
        if change.claim is not None:
            return reader.claims.is_open(change.device, change.claim.token_sha256)
        if change.password_hash is not None:
            found = reader.registry.find(change.device)
            return found is not None and reader.registry.row_of(change.device)["password_hash"] == change.password_hash
    return False


def _write_new(file: Path, text: str) -> None:
    try:
        _write(file, text.encode())
    except FileExistsError as error:
        raise Refused(f"{file} exists already; nothing was changed", fix="choose another name, or remove it first") from error
    except OSError as error:
        raise Refused(f"{file} can't be written ({error.strerror}); nothing was changed", fix="choose a folder that you may write to, with room") from error


def _write(file: Path, data: bytes) -> None:
    with open(file, "xb", opener=lambda name, flags: os.open(name, flags, 0o600)) as out:
        try:
            out.write(data)
            out.flush()
            os.fsync(out.fileno())
        except OSError:
            with suppress(OSError):
                file.unlink()
            raise
