"""Looks for texts in files, byte by byte: whether what was forgotten is anywhere still."""

from __future__ import annotations

import base64
import mmap
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final, NamedTuple

NEEDLE_BYTES_MIN: Final = 6
"""A shorter text stands somewhere by chance."""


class Searched(NamedTuple):
    """A file that was searched, and how often something was found in it."""

    file: str
    bytes: int
    found: int


def forms_of(text: str) -> Iterator[bytes]:
    """A text as it may stand in a file: in UTF-8, in UTF-16, and each of these in base64, wherever it begins there."""
    for plain in dict.fromkeys((text.encode(), text.encode("utf-16-le"), text.encode("utf-16-be"))):
        if len(plain) < NEEDLE_BYTES_MIN:
            continue
        yield plain
        for skipped in range(3):
            # What stands before shifts the letters of base64, and what stands after changes the last one.
            whole = len(plain) - (len(plain) - (3 - skipped) % 3) % 3
            middle = base64.b64encode(plain[(3 - skipped) % 3 : whole])
            if len(middle) >= NEEDLE_BYTES_MIN:
                yield middle


def search(files: Iterable[Path], needles: Sequence[bytes]) -> list[Searched]:
    """Look for byte strings in files. A file that is gone by then is left out.

    Raises:
        OSError: if a file can't be read.
    """
    found = []
    for path in files:
        try:
            size = path.stat().st_size
            found.append(Searched(str(path), size, sum(_count(path, needles)) if size else 0))
        except FileNotFoundError:
            continue
    return found


def _count(path: Path, needles: Sequence[bytes]) -> Iterator[int]:
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        for needle in needles:
            yield int(content.find(needle) >= 0)
