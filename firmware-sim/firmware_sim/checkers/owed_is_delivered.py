"""A persistent session gets everything that it is owed at QoS 1 and 2, in order and once; only what was in flight at a reconnect may come again.

What a session is owed follows from what was committed: a message is owed where a filter matches it that stood at its place. Filters are matched anew here.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from firmware_sim.checkers.view import Broken, View
from firmware_sim.record import Committed, Connected, FiltersAdded, FiltersRemoved, Received, Sent, SessionEnded, SessionOpened

Message = tuple[str, bytes]

ALOUD_MAX: Final = 3
"""Messages of one gap that are named."""


def check(view: View) -> Iterator[Broken]:
    if not view.commits:
        return
    post = _Post(_one_session_each(view))
    for entry in view.record.entries:
        if type(entry) is Received:
            if not entry.retain and entry.qos and (box := post.of_device.get(entry.device)) is not None and not box.is_next(entry):
                yield from box.receive(entry)
        elif type(entry) is Committed:
            for effect in entry.effects:
                post.take(effect)
        elif type(entry) is Connected and entry.device in post.of_device:
            post.of_device[entry.device].may_go_back = True
    dropped = {r["sid"]: r["dropped"] for r in view.table("sessions")}
    for sid, box in post.boxes.items():
        yield from box.close(dropped.get(sid, 0), is_whole=view.is_well(box.device) and post.of_device.get(box.device) is box)


def _one_session_each(view: View) -> set[str]:
    """Devices that never have a clean session or two sessions at once: what they receive is what their one session is sent."""
    open_now: dict[str, int] = {}
    device_of: dict[int, str] = {}
    several: set[str] = set()
    seen: set[str] = set()
    for commit in view.commits:
        for effect in commit.effects:
            if type(effect) is SessionOpened:
                seen.add(effect.device)
                if effect.sid == 0 or open_now.get(effect.device, effect.sid) != effect.sid:
                    several.add(effect.device)
                open_now[effect.device] = effect.sid
                device_of[effect.sid] = effect.device
            elif type(effect) is SessionEnded and effect.sid in device_of:
                open_now.pop(device_of[effect.sid], None)
    return seen - several


class _Post:
    """Sessions with their filters, as commits make and end them."""

    def __init__(self, devices: set[str]) -> None:
        self.devices = devices
        self.boxes: dict[int, _Box] = {}
        self.of_device: dict[str, _Box] = {}
        self.filters: dict[int, dict[str, tuple[list[str], int]]] = {}
        self._subscribers: dict[str, list[tuple[_Box, int]]] = {}

    def take(self, effect: object) -> None:
        if type(effect) is Sent:
            if effect.qos:
                for box, qos in self._subscribers_of(effect.topic):
                    if qos:
                        box.owe((effect.topic, effect.payload), min(qos, effect.qos))
            return
        self._subscribers.clear()
        match effect:
            case SessionOpened(sid, device, _) if device in self.devices and sid not in self.filters:
                self.boxes[sid] = self.of_device[device] = _Box(device)
                self.filters[sid] = {}
            case SessionEnded(sid):
                self.filters.pop(sid, None)
                if sid in self.boxes and self.of_device.get(self.boxes[sid].device) is self.boxes[sid]:
                    del self.of_device[self.boxes[sid].device]
            case FiltersAdded(sid, filters) if sid in self.filters:
                self.filters[sid].update((f, (f.split("/"), qos)) for f, qos in filters if qos < 128)
            case FiltersRemoved(sid, filters) if sid in self.filters:
                for topic_filter in filters:
                    self.filters[sid].pop(topic_filter, None)

    def _subscribers_of(self, topic: str) -> list[tuple[_Box, int]]:
        """Who is sent a topic, with the highest QoS of the filters that match: overlapping filters give one message (§3.3.5)."""
        found = self._subscribers.get(topic)
        if found is None:
            levels = topic.split("/")
            found = self._subscribers[topic] = []
            for sid, filters in self.filters.items():
                granted = [qos for f, (wanted, qos) in filters.items() if f == topic or is_matched(wanted, levels)]
                if granted:
                    found.append((self.boxes[sid], max(granted)))
        return found


def is_matched(wanted: list[str], levels: list[str]) -> bool:
    """Whether a filter matches a topic, level by level (§4.7)."""
    if wanted[0] != levels[0] and (wanted[0] not in ("+", "#") or levels[0].startswith("$")):
        return False
    if wanted[-1] == "#":
        wanted = wanted[:-1]
        levels = levels[: len(wanted)]
    return len(wanted) == len(levels) and all(w in ("+", level) for w, level in zip(wanted, levels, strict=True))


@dataclass(slots=True, eq=False)
class _Box:
    """What one session is owed, and how much of it came.

    `in_order` is how many came, where nothing but the one after them can come next; -1 where that is not sure. Then `places` are what the next message
    may be, as (how many came at least once, place of the next). After a reconnect the server goes back to the oldest message that it has no
    acknowledgement for, and comes again from there on, marked `dup`.
    """

    device: str
    owed: list[Message] = field(default_factory=list)
    qos: list[int] = field(default_factory=list)
    places: set[tuple[int, int]] = field(default_factory=lambda: {(0, 0)})
    in_order: int = 0
    may_go_back: bool = False
    lost: list[tuple[int, Message]] = field(default_factory=list)
    at: dict[Message, list[int]] = field(default_factory=dict)
    known: int = 0

    def owe(self, message: Message, qos: int) -> None:
        self.owed.append(message)
        self.qos.append(qos)

    def is_next(self, e: Received) -> bool:
        """Takes a message that comes in order, as nearly all do; False where it is not plainly the next."""
        came = self.in_order
        if e.dup or not 0 <= came < len(self.owed) or self.owed[came] != (e.topic, e.payload) or self.qos[came] != e.qos:
            return False
        self.in_order = came + 1
        self.may_go_back = False
        return True

    def receive(self, e: Received) -> Iterator[Broken]:
        yield from self._receive(e, (e.topic, e.payload))
        self.in_order = next(iter(self.places))[0] if len(self.places) == 1 and all(came == at for came, at in self.places) else -1

    def _receive(self, e: Received, message: Message) -> Iterator[Broken]:
        if self.in_order >= 0:
            self.places = {(self.in_order, self.in_order)}
        places = {(max(came, at + 1), at + 1) for came, at in self.places if at < len(self.owed) and self.owed[at] == message and (e.dup or at == came)}
        if e.dup and self.may_go_back:
            reached = {came for came, _ in self.places}
            places |= {(max(came, at + 1), at + 1) for came in reached for at in self._places_of(message) if at <= came}
        if not e.dup:
            self.may_go_back = False
        if places:
            self.places = places
            at = next(iter(places))[1] - 1
            if len(places) == 1 and self.qos[at] != e.qos:
                yield Broken(f"{self.device} got {_named(message)} at QoS {e.qos} instead of {self.qos[at]}", e.at_ms)
            return
        yield from self._astray(e, message)

    def _places_of(self, message: Message) -> list[int]:
        """Where a message stands among what is owed. The index is rarely needed, and brought up to date only then."""
        for at in range(self.known, len(self.owed)):
            self.at.setdefault(self.owed[at], []).append(at)
        self.known = len(self.owed)
        return self.at.get(message, [])

    def _astray(self, e: Received, message: Message) -> Iterator[Broken]:
        """It is not what comes next: something was left out, or it came when it was not due."""
        came = min(came for came, _ in self.places)
        at = self._places_of(message)
        later = next((a for a in at if a >= came), None)
        if later is not None:
            self.lost += [(e.at_ms, m) for m in self.owed[came:later]]
            self.places = {(later + 1, later + 1)}
        elif at:
            how = "again (dup) without a reconnect" if e.dup else "twice, the second time as new (no dup)"
            yield Broken(f"{self.device} got {_named(message)} {how}", e.at_ms)
        else:
            yield Broken(f"{self.device} got {_named(message)}, which nobody sent while it was subscribed", e.at_ms)

    def close(self, dropped: int, *, is_whole: bool) -> Iterator[Broken]:
        """What was left out is allowed where the session's row counts it as dropped; what never came, where the device is not well."""
        came = self.in_order if self.in_order >= 0 else max(came for came, _ in self.places)
        never = self.owed[came:] if is_whole else []
        lost = [m for _, m in self.lost] + never
        if len(lost) > dropped or (is_whole and len(lost) < dropped):
            first = self.lost[0][0] if self.lost else 0
            some = ", ".join(map(_named, lost[:ALOUD_MAX])) + (", …" if len(lost) > ALOUD_MAX else "")
            yield Broken(f"{self.device} was owed {len(self.owed)} messages and did not get {len(lost)} ({dropped} count as dropped): {some}", first)


def _named(message: Message) -> str:
    return f"{message[0]} ({len(message[1])} bytes)"
