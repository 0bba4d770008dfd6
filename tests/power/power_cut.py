"""A power cut: what a disk holds at a moment of a recorded run, and what the server had promised by then.

`shim.c` records what a server does. `Disk` replays the record: for each file, what is durable and what was written since. `after` makes the files that a
cut leaves; `Fate` says how much of the unsynced part is in them. `losses` compares those files with the packets that the server had begun to send.

When a sync ends, the file is durable as it was when that sync began; a name is durable when its folder was synced. A disk may keep any part of the rest: each
512 bytes of each write separately, in any order.

To check a new promise, add a `Promise`: what a packet acknowledges, and how to find it in the database.
"""

from __future__ import annotations

import random
import shutil
import sqlite3
import struct
import subprocess
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Final, NamedTuple

from helpers.mqtt import first_packet

SECTOR_BYTES: Final = 512
_CONNACK: Final = b"\x20"
_HEAD: Final = struct.Struct("=cxxxIiIq")


# --- the record ------------------------------------------------------------------------------------------------------------------


class What(StrEnum):
    """The kind of a step. The letters are those of `shim.c`."""

    OPEN = "O"
    CLOSE = "C"
    WRITE = "W"
    TRUNCATE = "T"
    SYNC_BEGINS = "S"
    SYNC_ENDS = "D"
    UNLINK = "U"
    SEND = "M"
    SENT_LESS = "N"


class Did(NamedTuple):
    """One step of the recorded program.

    `at` is the offset of a write, the length after a truncation, the number of the socket, or how many bytes of a message were taken;
    for an opened file 1 if it is made when missing, 2 if it is emptied. `data` is what was written or sent, or a path.
    """

    what: What
    fd: int = -1
    at: int = 0
    data: bytes = b""
    thread: int = 0


def build(folder: Path) -> Path:
    """Compiles the shim with the machine's C compiler."""
    shim = folder / "shim.so"
    subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-o", shim, Path(__file__).with_name("shim.c")], check=True)
    return shim


def environment(shim: Path, database: Path, log: Path) -> dict[str, str]:
    """The environment variables that make a process record its steps."""
    return {"LD_PRELOAD": str(shim), "POWER_CUT_DATABASE": str(database.resolve()), "POWER_CUT_LOG": str(log)}


def read_log(log: bytes) -> list[Did]:
    """The steps of a record. If the kernel took only a part of a message, the step has that part."""
    steps: list[Did] = []
    sending: dict[int, int] = {}
    start = 0
    while start < len(log):
        letter, thread, fd, length, at = _HEAD.unpack_from(log, start)
        start += _HEAD.size
        did = Did(What(letter.decode()), fd, at, log[start : start + length], thread)
        start += length
        if did.what is What.SENT_LESS:
            sent = steps[sending[thread]]
            steps[sending[thread]] = sent._replace(data=sent.data[:at])
            continue
        if did.what is What.SEND:
            sending[thread] = len(steps)
        steps.append(did)
    return steps


# --- the disk --------------------------------------------------------------------------------------------------------------------


class Fate(StrEnum):
    """What happens to data that was not synced."""

    GONE = "gone"
    KEPT = "kept"
    """As after SIGKILL: the page cache is complete."""
    TORN = "torn"
    """Each sector of each write is kept or lost, and so is each change of the folder."""


class Change(NamedTuple):
    """A write at an offset; without data, a truncation to that length."""

    at: int
    data: bytes | None

    def on(self, content: bytearray) -> None:
        if self.data is None:
            del content[self.at :]
            content.extend(bytes(self.at - len(content)))
            return
        content.extend(bytes(max(0, self.at - len(content))))
        content[self.at : self.at + len(self.data)] = self.data

    def torn(self) -> Iterator[Change]:
        """Its sectors."""
        if self.data is None:
            yield self
            return
        start = 0
        while start < len(self.data):
            length = SECTOR_BYTES - (self.at + start) % SECTOR_BYTES
            yield Change(self.at + start, self.data[start : start + length])
            start += length


@dataclass(eq=False, slots=True)
class File:
    """A file's durable content, and the changes that no sync has covered yet."""

    durable: bytearray = field(default_factory=bytearray)
    unsynced: list[Change] = field(default_factory=list)
    changes_synced: int = 0

    def sync(self, changes: int) -> None:
        """The first changes, up to this number of all changes, are durable."""
        count = max(0, changes - self.changes_synced)
        for change in self.unsynced[:count]:
            change.on(self.durable)
        del self.unsynced[:count]
        self.changes_synced += count

    def after(self, fate: Fate, rng: random.Random) -> bytes:
        content = bytearray(self.durable)
        for change in self.unsynced if fate is not Fate.GONE else ():
            for part in change.torn() if fate is Fate.TORN else (change,):
                if fate is Fate.KEPT or rng.random() < 0.5:
                    part.on(content)
        return bytes(content)


Names = dict[str, File]


class Disk:
    """The files of a folder while the steps of a run are applied to them.

    Args:
        database: its absolute path.
        files: by name, the content that is durable at the beginning.
    """

    def __init__(self, database: Path, files: Mapping[str, bytes]) -> None:
        self.database = database.name
        self._folder = str(database.parent)
        self._names: Names = {name: File(bytearray(content)) for name, content in files.items()}
        self._durable_names: Names = dict(self._names)
        self._open: dict[int, File | None] = {}
        self._syncing: dict[int, Callable[[], None]] = {}

    def do(self, did: Did) -> None:
        match did.what:
            case What.OPEN:
                self._open_file(did)
            case What.CLOSE:
                self._open.pop(did.fd, None)
            case What.WRITE:
                self._file(did).unsynced.append(Change(did.at, did.data))
            case What.TRUNCATE:
                self._file(did).unsynced.append(Change(did.at, None))
            case What.SYNC_BEGINS:
                self._syncing[did.thread] = self._sync_of(did)
            case What.SYNC_ENDS:
                self._syncing.pop(did.thread)()
            case What.UNLINK:
                del self._names[self._name(did)]

    def after(self, fate: Fate, rng: random.Random) -> dict[str, bytes]:
        """The files that a power cut leaves here."""
        kept = fate is Fate.KEPT or (fate is Fate.TORN and rng.random() < 0.5)
        return {name: file.after(fate, rng) for name, file in (self._names if kept else self._durable_names).items()}

    def _open_file(self, did: Did) -> None:
        if did.data.decode() == self._folder:
            self._open[did.fd] = None
            return
        name = self._name(did)
        if name not in self._names:
            self._names[name] = File()
        file = self._open[did.fd] = self._names[name]
        if did.at == 2:
            file.unsynced.append(Change(0, None))

    def _sync_of(self, did: Did) -> Callable[[], None]:
        """What will be durable after a sync that begins now."""
        file = self._open[did.fd]
        if file is None:
            names = dict(self._names)
            return lambda: setattr(self, "_durable_names", names)
        changes = file.changes_synced + len(file.unsynced)
        return lambda: file.sync(changes)

    def _file(self, did: Did) -> File:
        file = self._open[did.fd]
        assert file is not None, "a folder is not written"
        return file

    def _name(self, did: Did) -> str:
        return did.data.decode().removeprefix(self._folder + "/")


# --- what was promised ---------------------------------------------------------------------------------------------------------------


class Sent(NamedTuple):
    """A control packet that the server began to send at a step, on a socket."""

    step: int
    socket: int
    kind: int
    body: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Promise:
    """What a server's packet promises to keep.

    Args:
        name: what is kept, for messages.
        made: the thing that a packet acknowledges, or None.
        found: how often each thing is in a database; it must be there once.
    """

    name: str
    made: Callable[[Sent], bytes | None]
    found: Callable[[sqlite3.Connection], Counter[bytes]]


class Loss(NamedTuple):
    """A cut after which the database does not hold what was promised."""

    step: int
    fate: Fate
    what: str
    things: frozenset[bytes] = frozenset()


def packets(steps: Sequence[Did]) -> list[Sent]:
    """The packets of all MQTT connections (those that begin with a CONNACK), each with the step in which its last byte was sent."""
    streams: dict[int, bytearray] = {}
    strangers: set[int] = set()
    found: list[Sent] = []
    for step, did in enumerate(steps):
        if did.what is not What.SEND or not did.data or did.at in strangers:
            continue
        if did.at not in streams and not did.data.startswith(_CONNACK):
            strangers.add(did.at)
            continue
        stream = streams.setdefault(did.at, bytearray())
        stream += did.data
        while (found_one := first_packet(stream)) is not None:
            packet, end = found_one
            del stream[:end]
            found.append(Sent(step, did.at, packet.kind, packet.body))
    return found


def losses(disk: Disk, steps: Sequence[Did], cuts: Iterable[int], fates: Iterable[Fate], promises: Sequence[Promise], folder: Path, seed: int) -> list[Loss]:
    """Cuts the power just after each of some steps, and returns what is missing then.

    Args:
        disk: its state before the first step.
        cuts: numbers of steps.
        folder: for the database that the cut leaves; it is made anew for each cut.
        seed: decides which unsynced sectors are kept.
    """
    rng = random.Random(seed)
    wanted = sorted(set(cuts))
    made = [(sent.step, promise, thing) for sent in packets(steps) for promise in promises if (thing := promise.made(sent)) is not None]
    found: list[Loss] = []
    done = 0
    for cut in wanted:
        for did in steps[done : cut + 1]:
            disk.do(did)
        done = cut + 1
        due = {promise.name: {thing for step, other, thing in made if step <= cut and other is promise} for promise in promises}
        for fate in fates:
            shutil.rmtree(folder, ignore_errors=True)
            write_files(folder, disk.after(fate, rng))
            found += [Loss(cut, fate, *wrong) for wrong in _wrong(folder / disk.database, due, promises)]
    return found


def write_files(folder: Path, files: Mapping[str, bytes]) -> None:
    folder.mkdir()
    for name, content in files.items():
        (folder / name).write_bytes(content)


def read_files(database: Path) -> dict[str, bytes]:
    """The files of a database that matter after a crash."""
    return {p.name: p.read_bytes() for p in database.parent.glob(f"{database.name}*") if not p.name.endswith("-shm")}


def _wrong(database: Path, due: Mapping[str, set[bytes]], promises: Sequence[Promise]) -> Iterator[tuple[str, frozenset[bytes]]]:
    connection = sqlite3.connect(database)
    try:
        connection.execute("PRAGMA synchronous=OFF")
        if (said := connection.execute("PRAGMA integrity_check").fetchone()[0]) != "ok":
            yield f"integrity: {said}", frozenset()
        for promise in promises:
            there = promise.found(connection)
            if missing := due[promise.name] - there.keys():
                yield f"missing {promise.name}", frozenset(missing)
            if double := {thing for thing, count in there.items() if count > 1}:
                yield f"double {promise.name}", frozenset(double)
    except sqlite3.DatabaseError as error:
        yield f"unreadable: {error}", frozenset()
    finally:
        connection.close()
