"""How commands hand out what is shown once: it is written and on its way before anything is enrolled, so that no secret is lost of a device that is."""

from __future__ import annotations

import errno
import io
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from bridge.entrypoints.cli.output import say
from bridge.errors import Refused

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
def kept_in(file: Path | None, text: str) -> Iterator[None]:
    """Write a file that only its owner may read, and remove it if what follows fails. None: no file.

    Raises:
        Refused: if it exists, or can't be written.
    """
    if file is None:
        yield
        return
    try:
        _write(file, text.encode())
    except FileExistsError as error:
        raise Refused(f"{file} exists already; nothing was changed", fix="choose another name, or remove it first") from error
    except OSError as error:
        raise Refused(f"{file} can't be written ({error.strerror}); nothing was changed", fix="choose a folder that you may write to, with room") from error
    try:
        yield
    except BaseException:
        file.unlink(missing_ok=True)
        raise


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


@contextmanager
def void_unless_done(what: str) -> Iterator[None]:
    """Say that what was printed is worth nothing if what follows fails."""
    try:
        yield
    except BaseException:
        say(f"{what} above is void: nothing was changed.")
        raise
