"""One HTTPS POST to an address outside: the connection goes to the very address that was checked, no redirect is followed, and everything has a bound.

A site's own network is not to be reached through a url that someone has typed into its settings: private, loopback, link-local (where clouds have their
metadata), multicast and reserved addresses are refused, also inside IPv6 addresses that stand for IPv4 ones.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import ssl
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from typing import Final

import h11

from bridge.addresses import Target

Address = IPv4Address | IPv6Address

READ_BYTES: Final = 65_536
_NAT64: Final = (ipaddress.ip_network("64:ff9b::/96"), ipaddress.ip_network("64:ff9b:1::/48"), ipaddress.ip_network("::ffff:0:0:0/96"))
"""IPv6 addresses whose last 32 bits are an IPv4 address (RFC 6052, RFC 8215, RFC 7915)."""
_COMPATIBLE: Final = ipaddress.ip_network("::/96")


class PostFailed(Exception):
    """The receiver has not answered."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PostLimits:
    """Bounds of one request, and where it may go."""

    timeout_s: float = 15.0
    """For all of it: the name, the connection, the request and the answer."""
    response_bytes_max: int = 65_536
    allow_private: bool = False


def refusal(address: Address, *, allow_private: bool) -> str | None:
    """Why an address may not be connected to; None if it may."""
    for one in (address, *_inside(address)):
        if one.is_link_local or one.is_multicast or one.is_unspecified or (isinstance(one, IPv6Address) and one.is_site_local):
            return f"{address} is link-local, multicast or unspecified"
        if not one.is_global and not (allow_private and (one.is_private or one.is_loopback)):
            return f"{address} is in a private network or reserved"
    return None


def _inside(address: Address) -> Sequence[IPv4Address]:
    """The IPv4 addresses that an IPv6 address stands for."""
    if isinstance(address, IPv4Address):
        return ()
    found = [a for a in (address.ipv4_mapped, address.sixtofour, *(address.teredo or ())) if a is not None]
    if any(address in net for net in _NAT64) or (address in _COMPATIBLE and int(address) > 1):
        found.append(IPv4Address(int(address) & 0xFFFF_FFFF))
    return found


async def post(target: Target, headers: Sequence[tuple[str, str]], body: bytes, limits: PostLimits, context: ssl.SSLContext) -> int:
    """Post a body. Returns the status of the answer.

    Raises:
        PostFailed: if there is no whole head of an answer, for whatever reason. The text names the host, never the path: it may hold a secret.
    """
    try:
        async with asyncio.timeout(limits.timeout_s):
            return await _post(target, headers, body, limits, context)
    except TimeoutError as error:
        raise PostFailed(f"{target.host} did not answer in {limits.timeout_s:g} s") from error
    except ssl.SSLCertVerificationError as error:
        raise PostFailed(f"the certificate of {target.host} can't be trusted: {error.verify_message}") from error
    except OSError as error:
        raise PostFailed(f"{target.host} can't be reached: {error.strerror or type(error).__name__}") from error
    except h11.ProtocolError as error:
        raise PostFailed(f"{target.host} did not answer in HTTP") from error


async def _post(target: Target, headers: Sequence[tuple[str, str]], body: bytes, limits: PostLimits, context: ssl.SSLContext) -> int:
    address = await _checked_address(target, allow_private=limits.allow_private)
    is_tls = target.scheme == "https"
    reader, writer = await asyncio.open_connection(str(address), target.port, ssl=context if is_tls else None, server_hostname=target.host if is_tls else None)
    try:
        client = h11.Connection(h11.CLIENT)
        own = [("Host", target.authority), ("Content-Length", str(len(body))), ("Connection", "close"), *headers]
        request = h11.Request(method="POST", target=target.path, headers=own)
        for event in (request, h11.Data(body), h11.EndOfMessage()):
            writer.write(client.send(event) or b"")
        await writer.drain()
        return await _status(client, reader, target, limits.response_bytes_max)
    finally:
        writer.transport.abort()
        with suppress(OSError):
            await writer.wait_closed()


async def _checked_address(target: Target, *, allow_private: bool) -> Address:
    """An address of the host that may be connected to."""
    try:
        found = await asyncio.get_running_loop().getaddrinfo(target.host, target.port, type=socket.SOCK_STREAM)
    except UnicodeError as error:  # a part of the name is empty or too long
        raise PostFailed(f"{target.host} is not a name of a host") from error
    refused = f"{target.host} has no address"
    for *_, (host, *_) in found:
        address = ipaddress.ip_address(host)
        if (why := refusal(address, allow_private=allow_private)) is None:
            return address
        refused = f"{target.host} may not be posted to: {why}"
    raise PostFailed(refused)


async def _status(client: h11.Connection, reader: asyncio.StreamReader, target: Target, bytes_max: int) -> int:
    """The status of the answer. Its body is of no use, and is not read further than the bytes that come with the head."""
    left = bytes_max
    while True:
        event = client.next_event()
        if isinstance(event, h11.Response):
            return event.status_code
        if event is not h11.NEED_DATA:
            continue  # 1xx: the answer follows
        data = await reader.read(min(READ_BYTES, left))
        if not data:
            raise PostFailed(f"{target.host} closed the connection without an answer" if left else f"{target.host} answers with too long a head")
        left -= len(data)
        client.receive_data(data)
