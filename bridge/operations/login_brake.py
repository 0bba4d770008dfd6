"""Failed logins of people slow down the next ones: under the same name, and from the same address. All of it is in memory, bounded, and ends with the process.

A login takes a place of its name and one of its address before it is checked, and gets both back if it succeeds: so many that come at once pass no sooner than
one after the other. A name has places of its own inside and outside: a stranger who guesses does not slow down the person at the site.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from ipaddress import IPv6Address, ip_address, ip_network
from typing import Final, NamedTuple

from bridge.errors import Refused

NAME_CHARS_MAX: Final = 128
"""Longer than the name of any person; what is beyond is not kept."""
PRIVATE_NETWORKS: Final = tuple(map(ip_network, ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "127.0.0.0/8", "::1/128", "fc00::/7")))
"""RFC 1918, loopback, and unique local addresses (RFC 4193)."""
_SUBNET: Final = 64
"""Bits of an IPv6 address that a stranger can't choose: behind them, a home has as many addresses as it likes."""


class TotpRule(StrEnum):
    """When a login needs a code."""

    OUTSIDE = "outside"
    ALWAYS = "always"
    NEVER = "never"


class Allowance(NamedTuple):
    """How many logins may fail in a row, and after how many seconds one of them is forgotten."""

    failures_max: int
    forget_s: float


class LoginRules(NamedTuple):
    """The rules by which people log in."""

    totp: TotpRule
    of_name: Allowance
    of_address: Allowance
    remembered_max: int
    at_once_max: int


class Source(NamedTuple):
    """Where a login comes from: its address, the same without what a stranger can choose, and whether it is in a private network."""

    address: str
    network: str
    is_inside: bool


class Slowed(NamedTuple):
    """A login has to wait. `is_first` is False if another one had to before, for the same failures."""

    wait_s: float
    is_first: bool


def source_of(address: str) -> Source:
    """Where a login comes from.

    Raises:
        Refused: if this is not an IP address.
    """
    try:
        found = ip_address(address.partition("%")[0])
    except ValueError as error:
        raise Refused(f"{address!r} is not an IP address", fix="give the client's address, such as 192.168.1.20") from error
    if isinstance(found, IPv6Address) and found.ipv4_mapped is not None:
        found = found.ipv4_mapped
    network = str(ip_network((found, _SUBNET), strict=False)) if isinstance(found, IPv6Address) else str(found)
    return Source(str(found), network, any(found in private for private in PRIVATE_NETWORKS if private.version == found.version))


class LoginBrake:
    """What failed lately, and how long the next login waits for it. Used on the event loop.

    Attributes:
        rules: those that hold now.
    """

    def __init__(self, rules: LoginRules) -> None:
        self.rules = rules
        self._names = _Places()
        self._addresses = _Places()
        self._under_way = {True: 0, False: 0}
        """Inside, and outside."""

    def needs_code(self, source: Source) -> bool:
        """Whether a login from there needs a code."""
        return self.rules.totp is TotpRule.ALWAYS or (self.rules.totp is TotpRule.OUTSIDE and not source.is_inside)

    def take(self, name: str, source: Source, now_s: float) -> Slowed | None:
        """Take a place for a login; None if it may begin."""
        asked = [(places, allowance, key, places.wait_s(key, allowance, now_s)) for places, allowance, key in self._both(name, source)]
        if any(wait_s > 0 for *_, wait_s in asked):
            marked = [places.mark(key) for places, _, key, wait_s in asked if wait_s > 0]
            return Slowed(max(wait_s for *_, wait_s in asked), is_first=any(marked))
        for places, allowance, key, _ in asked:
            places.take(key, allowance, now_s, self.rules.remembered_max)
        return None

    def give_back(self, name: str, source: Source) -> None:
        """A login has succeeded."""
        for places, allowance, key in self._both(name, source):
            places.give_back(key, allowance)

    @contextmanager
    def under_way(self, source: Source) -> Iterator[None]:
        """A login is checked in the block.

        Raises:
            Refused: if there are too many. Those from outside do not count for those from inside.
        """
        if self._under_way[source.is_inside] >= self.rules.at_once_max:
            raise Refused("too many people log in at this moment", fix="try again in a few seconds")
        self._under_way[source.is_inside] += 1
        try:
            yield
        finally:
            self._under_way[source.is_inside] -= 1

    def _both(self, name: str, source: Source) -> tuple[tuple[_Places, Allowance, str], ...]:
        where = "inside" if source.is_inside else "outside"
        return (self._names, self.rules.of_name, f"{where} {name[:NAME_CHARS_MAX]}"), (self._addresses, self.rules.of_address, source.network)


class _Kept(NamedTuple):
    """Until when all failures are forgotten, and whether a login had to wait for them."""

    until_s: float
    is_marked: bool = False


class _Places:
    """The places of names, or of addresses."""

    def __init__(self) -> None:
        self._kept: OrderedDict[str, _Kept] = OrderedDict()

    def wait_s(self, key: str, allowance: Allowance, now_s: float) -> float:
        """Seconds until a place is free; 0 or less if one is."""
        kept = self._kept.get(key)
        return kept.until_s - now_s - (allowance.failures_max - 1) * allowance.forget_s if kept is not None else 0.0

    def mark(self, key: str) -> bool:
        """A login has to wait. Returns True if it is the first one since a place was taken."""
        kept = self._kept[key]
        self._kept[key] = kept._replace(is_marked=True)
        return not kept.is_marked

    def take(self, key: str, allowance: Allowance, now_s: float, remembered_max: int) -> None:
        kept = self._kept.pop(key, None)
        self._kept[key] = _Kept(max(kept.until_s if kept is not None else now_s, now_s) + allowance.forget_s)
        while len(self._kept) > remembered_max:
            self._kept.popitem(last=False)

    def give_back(self, key: str, allowance: Allowance) -> None:
        kept = self._kept.get(key)
        if kept is not None:
            self._kept[key] = kept._replace(until_s=kept.until_s - allowance.forget_s)


__all__ = ["Allowance", "LoginBrake", "LoginRules", "Slowed", "Source", "TotpRule", "source_of"]
