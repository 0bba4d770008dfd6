"""What a program is asked to do for its user, one thing after the other; and the names that the user has for events until the program has made their ids."""

from __future__ import annotations

import asyncio
import json
from collections import deque
from dataclasses import dataclass
from typing import Any

from devices.protocol import encoding
from firmware_sim.link.program import Plain, Program


@dataclass(slots=True, kw_only=True)
class Errand:
    """A command. `name` is set for a scan: it is asked for until it was carried out, over restarts."""

    what: str
    fields: Plain
    name: bytes | None = None
    was_asked: bool = False


class Errands:
    """The commands of one device, over all lives of its program."""

    def __init__(self) -> None:
        self.backlog = 0
        """Events without acknowledgement, as the program told last."""
        self.name_of: dict[bytes, bytes] = {}
        """By the id of an event: what its user calls it."""
        self.id_of: dict[bytes, bytes] = {}
        self._waiting: deque[Errand] = deque()
        self._is_one_there = asyncio.Event()
        self._last: tuple[str, int] | None = None
        """Log and number of the last event that is known to be stored."""

    @property
    def unsent(self) -> int:
        """Events that are not acknowledged, or not even stored."""
        return self.backlog + sum(errand.name is not None for errand in self._waiting)

    def add(self, what: str, *, name: bytes | None = None, **fields: Any) -> None:
        self._waiting.append(Errand(what=what, fields=fields, name=name))
        self._is_one_there.set()

    def forget(self) -> None:
        """The program lost its memory: what was no scan is not asked for again."""
        self._waiting = deque(errand for errand in self._waiting if errand.name is not None)

    def started(self, ready: Plain) -> bytes | None:
        """A program is there: its log tells whether the scan was stored in whose middle the last one was killed. Returns the name of that scan."""
        self.backlog = ready["backlog"]
        errand = self._waiting[0] if self._waiting else None
        if errand is None or not errand.was_asked or errand.name is None or (ready["log"], ready["seq"]) == (self._last or (ready["log"], 0)):
            return None
        self._waiting.popleft()
        self._store(errand.name, ready)
        return errand.name

    async def next(self, program: Program) -> Errand:
        """Carry out one command, as soon as there is one.

        Raises:
            ClientFailed: the program did not.
        """
        while not self._waiting:
            self._is_one_there.clear()
            await self._is_one_there.wait()
        errand = self._waiting[0]
        errand.was_asked = True
        answer = await program.ask(errand.what, **self._in_ids(errand.fields))
        if errand.name is not None:
            self._store(errand.name, answer)
        self._waiting.popleft()
        return errand

    def _store(self, name: bytes, answer: Plain) -> None:
        self._last, self.backlog = (answer["log"], answer["seq"]), answer["backlog"]
        self.id_of[name] = bytes.fromhex(answer["id"])
        self.name_of.setdefault(self.id_of[name], name)

    def _in_ids(self, fields: Plain) -> Plain:
        """With ids in the place of the user's names, and bytes as hex."""
        if "body" not in fields:
            return fields
        body = {field: self.id_of.get(value, value) if field == "ref" else value for field, value in fields["body"].items()}
        return {**fields, "body": json.loads(encoding.encode_json(body))}
