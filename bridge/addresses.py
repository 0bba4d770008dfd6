"""Addresses to listen on, and to post to, as the configuration names them."""

from __future__ import annotations

import ipaddress
from typing import Final, NamedTuple
from urllib.parse import urlsplit

from bridge.errors import ConfigError

PORTS: Final = {"https": 443, "http": 80}


def split_address(name: str, bind: str) -> tuple[str, int]:
    """Split a `host:port` into (host, port).

    Raises:
        ConfigError: if the text does not have this form.
    """
    host, _, port = bind.rpartition(":")
    if ":" in host:
        raise ConfigError(f"{name} is {bind!r}: the server can't listen on IPv6 addresses yet", fix="use an IPv4 address, such as 127.0.0.1:1883")
    if not host or not (port.isascii() and port.isdigit()) or int(port) > 65_535:
        raise ConfigError(f"{name} is {bind!r}; it must be host:port", fix="for example 127.0.0.1:1883")
    return host, int(port)


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach a host name or address."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def overlap(one: tuple[str, int], other: tuple[str, int]) -> bool:
    """Whether two listeners can't both have their addresses: 0.0.0.0 means every address, port 0 any free port."""
    hosts = {"127.0.0.1" if host == "localhost" else host for host, _ in (one, other)}
    return one[1] == other[1] != 0 and (len(hosts) == 1 or "0.0.0.0" in hosts)  # noqa: S104 -- only compared


class Target(NamedTuple):
    """Where to post, from a url. `path` begins with a slash and has the query."""

    scheme: str
    host: str
    port: int
    path: str

    @property
    def authority(self) -> str:
        """The value of `Host`."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == PORTS[self.scheme] else f"{host}:{self.port}"


def target_of(url: str) -> Target:
    """The parts of a url.

    Raises:
        ValueError: if it is no url of HTTP, or has a user or a fragment in it.
    """
    parts = urlsplit(url)
    if parts.scheme not in PORTS:
        raise ValueError("it must begin with https://")
    if not parts.hostname:
        raise ValueError("it names no host")
    if parts.username is not None or parts.password is not None or parts.fragment:
        raise ValueError("it must have no user, password or fragment")
    if not (url.isascii() and url.isprintable()) or " " in url:
        raise ValueError("it may have printable ASCII characters only")
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return Target(parts.scheme, parts.hostname, parts.port or PORTS[parts.scheme], path)
