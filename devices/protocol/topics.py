"""Topics: how ids become levels, how topics are built and read, and what a filter can match.

An id in a topic is `[A-Za-z0-9_~-]{1,96}`; any other character is written `~XX`, hex of its UTF-8 bytes, so `PO 17/3` is `PO~2017~2F3`.
Topic names and filters: MQTT 3.1.1 §4.7.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import lru_cache
from typing import NamedTuple

ROOT = "v1"
LEVEL_CHARS_MAX = 96
"""Characters of an id in a topic, once it is escaped."""
IDS_CACHED_MAX = 65_536
"""Ids whose level is remembered: the same order is named in every topic that changes with it."""
_PLAIN = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-")
_PLAIN_ID = re.compile(r"[A-Za-z0-9_-]{1,96}\Z")
_ESCAPE = re.compile(r"~([0-9A-F]{2})")


@lru_cache(maxsize=IDS_CACHED_MAX)
def escape(business_id: str) -> str:
    """The topic level of an id.

    Raises:
        ValueError: the id is empty or its level would be longer than 96 characters.
    """
    if _PLAIN_ID.match(business_id):
        return business_id
    level = "".join(c if c in _PLAIN else "".join(f"~{b:02X}" for b in c.encode()) for c in business_id)
    if not 1 <= len(level) <= LEVEL_CHARS_MAX:
        raise ValueError(f"expected 1 to {LEVEL_CHARS_MAX} characters after escaping, got {len(level)}")
    return level


def unescape(level: str) -> str:
    """The id behind a topic level. The exact reverse of `escape`.

    Raises:
        ValueError: `escape` could not have made the level.
    """
    if _PLAIN_ID.match(level):
        return level
    try:
        business_id = _ESCAPE.sub(lambda m: chr(int(m[1], 16)), level).encode("latin-1").decode()
    except UnicodeError as error:
        raise ValueError(f"{level!r} is not an escaped id") from error
    if escape(business_id) != level:
        raise ValueError(f"{level!r} is not an escaped id")
    return business_id


class TopicRow(NamedTuple):
    """One row of the contract's topic table."""

    shape: str
    publisher: str
    qos: str
    retained: str
    payload: str
    about: str
    """What it is for, and who may read it."""


TOPIC_TABLE: tuple[TopicRow, ...] = (
    TopicRow(
        *("v1/{site}/devices/{device}/events/{type}", "that device", "1 or 2", "no", "Event"),
        about="What happened. The PUBACK says that it is stored; the receipt says what became of it.",
    ),
    TopicRow(
        *("v1/{site}/devices/{device}/location", "that device, if it is a courier's", "0, 1 for backlog", "no", "LocationBatch"),
        about="Where a courier's phone is. It has no receipt unless it is refused.",
    ),
    TopicRow(
        *("v1/{site}/devices/{device}/presence", "that device, and its will", "1", "yes, cleared when the device is shut out", "Presence"),
        about="Whether a device is connected, and what it still has to send. The desk reads it.",
    ),
    TopicRow(
        *("v1/{site}/devices/{device}/receipts", "bridge", "1", "no", "Receipt or ResendRequest"),
        about="The answers to one device. Only that device reads them.",
    ),
    TopicRow(
        *("v1/{site}/devices/{device}/credentials", "bridge", "1", "no", "Credentials"),
        about="A device's password, once. Only a client that redeems the device's claim reads it.",
    ),
    TopicRow(
        *("v1/{site}/couriers/{courier}/assignments/{job}", "bridge", "1", "yes, cleared when the job closes", "Assignment"),
        about="A courier's open jobs. That courier's phone and the desk read them.",
    ),
    TopicRow(
        *("v1/{site}/orders/{order}/status", "bridge", "1", "yes", "OrderStatus"),
        about="Where an order is. Systems and the desk read it, and couriers that of the orders in their open jobs.",
    ),
    TopicRow(
        *("v1/{site}/orders/{order}/parcels/{parcel}", "bridge", "1", "yes", "ParcelStatus"),
        about="Where a parcel is. Systems and the desk read it.",
    ),
    TopicRow(
        *("v1/{site}/orders/{order}/eta", "bridge", "1", "yes", "Eta"),
        about="When an order will be delivered. A server of this edition does not publish it.",
    ),
    TopicRow(
        *("v1/{site}/orders/{order}/position", "bridge", "0", "yes, only while out for delivery", "Position"),
        about="Where an order is on the road. Systems and the desk read it.",
    ),
    TopicRow(
        *("v1/{site}/orders/{order}/notices", "bridge", "1", "no", "Notice"),
        about="What the customer of an order is told, once. Systems and the desk read it.",
    ),
    TopicRow(
        *("v1/{site}/alerts/{code}/{subject}", "bridge", "1", "yes, cleared when resolved", "Alert"),
        about="What a person has to look at. The desk reads it.",
    ),
    TopicRow(
        *("v1/{site}/bridge/state", "bridge", "1", "yes", "BridgeState"),
        about="Whether the server is there, and what it takes from a client. Every device reads it.",
    ),
)


@dataclass(frozen=True, slots=True)
class Topics:
    """Builds every topic of one site. Arguments are ids as people write them; levels are escaped here."""

    site: str
    base: str = field(init=False)
    """What every topic of the site begins with."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "base", f"{ROOT}/{escape(self.site)}")

    def event(self, device: str, event_type: str) -> str:
        return f"{self.base}/devices/{escape(device)}/events/{event_type}"

    def location(self, device: str) -> str:
        return f"{self.base}/devices/{escape(device)}/location"

    def presence(self, device: str) -> str:
        return f"{self.base}/devices/{escape(device)}/presence"

    def receipts(self, device: str) -> str:
        return f"{self.base}/devices/{escape(device)}/receipts"

    def credentials(self, device: str) -> str:
        return f"{self.base}/devices/{escape(device)}/credentials"

    def assignment(self, courier: str, job: str) -> str:
        return f"{self.base}/couriers/{escape(courier)}/assignments/{escape(job)}"

    def assignments(self, courier: str) -> str:
        """The filter of all of a courier's assignments."""
        return f"{self.base}/couriers/{escape(courier)}/assignments/+"

    def status(self, order: str) -> str:
        return f"{self.base}/orders/{escape(order)}/status"

    def parcel(self, order: str, parcel: str) -> str:
        return f"{self.base}/orders/{escape(order)}/parcels/{escape(parcel)}"

    def eta(self, order: str) -> str:
        return f"{self.base}/orders/{escape(order)}/eta"

    def position(self, order: str) -> str:
        return f"{self.base}/orders/{escape(order)}/position"

    def notices(self, order: str) -> str:
        return f"{self.base}/orders/{escape(order)}/notices"

    def alert(self, code: str, subject: str) -> str:
        return f"{self.base}/alerts/{code}/{escape(subject)}"

    @property
    def bridge_state(self) -> str:
        return f"{self.base}/bridge/state"


def topic_name_fault(topic: str) -> str | None:
    """Why a text can't be published to, or None (§4.7.1, §4.7.3)."""
    if not topic:
        return "a topic name is at least one character long"
    if "+" in topic or "#" in topic:
        return "a topic name has no wildcards"
    if "\0" in topic:
        return "a topic name has no NUL"
    return None


def topic_filter_fault(topic_filter: str) -> str | None:
    """Why a text can't be subscribed to, or None (§4.7.1, §4.7.3)."""
    if not topic_filter:
        return "a topic filter is at least one character long"
    if "\0" in topic_filter:
        return "a topic filter has no NUL"
    levels = topic_filter.split("/")
    for place, level in enumerate(levels):
        if "#" in level and (level != "#" or place != len(levels) - 1):
            return "'#' stands alone in the last level"
        if "+" in level and level != "+":
            return "'+' stands alone in its level"
    return None


def matches(topic_filter: str, topic: str) -> bool:
    """Whether a filter matches a topic name (§4.7.1; §4.7.2: a leading wildcard never matches a `$` topic)."""
    if topic.startswith("$") and topic_filter[:1] in ("+", "#"):
        return False
    wanted = topic_filter.split("/")
    have = topic.split("/")
    for place, level in enumerate(wanted):
        if level == "#":
            return True
        if place >= len(have) or level not in ("+", have[place]):
            return False
    return len(wanted) == len(have)


def covers(allowed: str, asked: str) -> bool:
    """Whether everything that the filter `asked` can match is matched by the filter `allowed`."""
    if allowed[:1] in ("+", "#") and asked.startswith("$"):
        return False
    wide = allowed.split("/")
    narrow = asked.split("/")
    for place, level in enumerate(wide):
        if level == "#":
            return True
        if place >= len(narrow) or narrow[place] == "#":
            return False
        if level != "+" and level != narrow[place]:
            return False
    return len(wide) == len(narrow)
