"""The network of a run over real sockets, between a device and a bridge that are only sockets."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from random import Random
from typing import Any

import pytest

from firmware_sim.faults import Bandwidth, Corrupt, Delay, Drop, Duplicate, Fault, HalfOpen, Jitter, Reorder
from firmware_sim.link import packets
from firmware_sim.link.proxy import Proxy
from firmware_sim.link.weather import Weather

DEADLINE_S = 10.0
CONNECT = packets.connect("scan-1", "scan-1", "secret", will=packets.Will("gone", b"x" * 200, 1, True))
CONNACK = b"\x20\x02\x00\x00"


def publish(n: int, payload: bytes = b"") -> bytes:
    return packets.publish("t", payload or b"%d" % n, qos=1, packet_id=n)


class Bridge(asyncio.Protocol):
    """Records the packets that arrive, with their times; `send` writes to the connected device."""

    def __init__(self) -> None:
        self.came: list[tuple[float, bytes]] = []
        self.is_over = False
        self.transport: Any = None
        self._cutter = packets.Cutter()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.came += [(time.monotonic(), packet) for packet in self._cutter.whole(data)]

    def connection_lost(self, exc: Exception | None) -> None:
        self.is_over = True

    @property
    def packets(self) -> list[bytes]:
        return [packet for _, packet in self.came]


class Street:
    """A device's socket, the proxy, and the bridge."""

    def __init__(self, proxy: Proxy, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, bridges: list[Bridge], weather: Weather) -> None:
        self.proxy = proxy
        self.reader = reader
        self.writer = writer
        self.bridges = bridges
        self.weather = weather
        self.mangled: list[bytes] = []
        self.rng = Random(1)

    @property
    def bridge(self) -> Bridge:
        return self.bridges[0]

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(DEADLINE_S):
            while not condition():  # noqa: ASYNC110 -- a test observes from outside
                await asyncio.sleep(0.005)

    async def sees(self, *wanted: bytes) -> None:
        """Waits until the bridge has this many packets after the CONNECT, and returns them."""
        await self.until(lambda: len(self.bridge.came) > len(wanted))
        assert self.bridge.packets == [CONNECT, *wanted]


class World:
    """What faults do besides changing packets: only waiting and cutting."""

    def __init__(self) -> None:
        self.rng = Random(1)
        self.proxy: Proxy
        self.timers: list[asyncio.TimerHandle] = []

    def stream(self, name: str) -> Random:
        return Random(name)

    def after(self, delay_ms: float, call: Callable[[], None]) -> None:
        self.timers.append(asyncio.get_running_loop().call_later(delay_ms / 1000, call))

    def cut(self, device: str) -> None:
        self.proxy.cut(device)


@asynccontextmanager
async def street(*faults: Fault) -> AsyncIterator[Street]:
    loop = asyncio.get_running_loop()
    bridges: list[Bridge] = []

    def made() -> Bridge:
        bridges.append(Bridge())
        return bridges[-1]

    server = await loop.create_server(made, "127.0.0.1", 0)
    world: Any = World()
    weather = Weather(faults, ["scan-1"], world, ends_s=1_000, now_ms=lambda: time.monotonic_ns() // 1_000_000, see=lambda _entry: None)
    mangled: list[bytes] = []
    proxy = Proxy(weather, lambda: server.sockets[0].getsockname()[:2], on_mangled=lambda _port, packet: mangled.append(packet))
    world.proxy = proxy
    await asyncio.sleep(0.01)  # faults that begin at once have begun
    reader, writer = await asyncio.open_connection(*await proxy.start())
    it = Street(proxy, reader, writer, bridges, weather)
    it.mangled = mangled
    try:
        await it.until(lambda: bool(bridges))
        writer.write(CONNECT)
        yield it
    finally:
        writer.close()
        for timer in world.timers:
            timer.cancel()
        await proxy.close()
        server.close()
        for bridge in bridges:
            if bridge.transport is not None:
                bridge.transport.abort()
        await server.wait_closed()
        await asyncio.sleep(0)


def played(story: Callable[[], Awaitable[None]]) -> None:
    asyncio.run(story())  # type: ignore[arg-type]


def test_what_no_fault_touches_passes_as_it_is_even_where_it_is_no_mqtt() -> None:
    async def story() -> None:
        async with street() as it:
            await it.sees()
            it.writer.write(publish(1)[:3])
            await asyncio.sleep(0.02)
            it.writer.write(publish(1)[3:] + publish(2))
            await it.sees(publish(1), publish(2))
            it.bridge.transport.write(b"anything at all")
            assert await it.reader.readexactly(15) == b"anything at all"
            it.writer.close()
            await it.until(lambda: it.bridge.is_over)
            await it.until(lambda: not it.proxy.lines)

    played(story)


def test_packets_that_take_longer_keep_their_order_in_both_directions() -> None:
    async def story() -> None:
        async with street(Jitter(up_to_ms=80), Delay(by_ms=5)) as it:
            sent = [publish(n) for n in range(1, 60)]
            it.writer.write(b"".join(sent))
            await it.sees(*sent)
            it.bridge.transport.write(CONNACK + b"".join(sent))
            assert await it.reader.readexactly(len(CONNACK + b"".join(sent))) == CONNACK + b"".join(sent)

    played(story)


def test_a_fault_that_begins_amid_a_packet_has_the_next_ones() -> None:
    async def story() -> None:
        async with street(Drop(share=1.0, from_s=0.2)) as it:
            it.writer.write(publish(1) + publish(2)[:4])
            await it.sees(publish(1))
            await it.until(lambda: it.weather.touches("scan-1"))
            it.writer.write(publish(2)[4:] + publish(3) + packets.PINGREQ)
            await it.sees(publish(1), packets.PINGREQ)

    played(story)


def test_one_that_is_held_back_is_overtaken() -> None:
    async def story() -> None:
        async with street(Reorder(share=0.5, by_ms=200)) as it:
            sent = [publish(n) for n in range(1, 40)]
            it.writer.write(b"".join(sent))
            await it.until(lambda: len(it.bridge.came) == 40)
            assert it.bridge.packets[1:] != sent
            assert sorted(it.bridge.packets[1:]) == sorted(sent)

    played(story)


def test_a_doubled_event_comes_twice() -> None:
    async def story() -> None:
        async with street(Duplicate(share=1.0, within_ms=50)) as it:
            it.writer.write(publish(1) + packets.PINGREQ)
            await it.until(lambda: len(it.bridge.came) == 4)
            assert sorted(it.bridge.packets[1:]) == sorted([publish(1), publish(1), packets.PINGREQ])

    played(story)


def test_a_spoilt_event_is_told() -> None:
    async def story() -> None:
        async with street(Corrupt(share=1.0)) as it:
            it.writer.write(publish(7, b"payload"))
            await it.sees(publish(7, b"\xffayload"))
            assert it.mangled == [publish(7, b"\xffayload")]
            assert packets.read_packet_id(it.mangled[0]) == 7

    played(story)


def test_on_a_narrow_line_a_packet_takes_as_long_as_its_size_wants() -> None:
    async def story() -> None:
        async with street(Bandwidth(up_bytes_per_s=20_000, down_bytes_per_s=1_000_000)) as it:
            sent = [publish(n, b"x" * 991) for n in (1, 2, 3)]
            it.writer.write(b"".join(sent))
            await it.sees(*sent)
            first_s, second_s, third_s = [at_s for at_s, _ in it.bridge.came[1:]]
            assert second_s - first_s >= 0.04
            assert third_s - first_s >= 0.09

    played(story)


def test_a_narrow_line_holds_its_sender_back() -> None:
    async def story() -> None:
        async with street(Bandwidth(up_bytes_per_s=2_000_000, down_bytes_per_s=1_000_000)) as it:
            sent = [publish(n % 60_000 + 1, b"x" * 4_000) for n in range(500)]
            it.writer.write(b"".join(sent))
            await it.sees(*sent)

    played(story)


def test_a_line_that_is_half_open_carries_nothing_not_even_its_end_and_is_cut_when_that_is_over() -> None:
    async def story() -> None:
        async with street(HalfOpen(from_s=0.3, to_s=0.8)) as it:
            await it.sees()
            await it.until(lambda: it.weather.touches("scan-1"))
            it.writer.write(publish(1))
            it.bridge.transport.write(CONNACK)
            await asyncio.sleep(0.1)
            it.writer.close()
            await asyncio.sleep(0.1)
            assert it.bridge.packets == [CONNECT]
            assert not it.bridge.is_over
            await it.until(lambda: it.bridge.is_over)
            assert it.bridge.packets == [CONNECT]
            assert not it.proxy.lines

    played(story)


def test_the_end_of_a_stream_comes_after_what_was_sent_before_it() -> None:
    async def story() -> None:
        async with street(Delay(by_ms=60)) as it:
            it.writer.write(publish(1) + packets.DISCONNECT)
            it.writer.close()
            await it.sees(publish(1), packets.DISCONNECT)
            await it.until(lambda: it.bridge.is_over)

    played(story)


def test_a_cut_is_noticed_at_both_ends_and_loses_what_was_on_its_way() -> None:
    async def story() -> None:
        async with street(Delay(by_ms=300)) as it:
            await it.sees()
            it.writer.write(publish(1))
            await asyncio.sleep(0.05)
            it.proxy.cut("scan-1")
            await it.until(lambda: it.bridge.is_over)
            with pytest.raises(ConnectionResetError):
                await it.reader.read()
            assert it.bridge.packets == [CONNECT]

    played(story)


def test_where_the_bridge_is_away_the_device_is_hung_up_on() -> None:
    async def story() -> None:
        world: Any = World()
        weather = Weather((), ["scan-1"], world, ends_s=1, now_ms=lambda: 0, see=lambda _entry: None)
        proxy = Proxy(weather, lambda: None)
        reader, writer = await asyncio.open_connection(*await proxy.start())
        with pytest.raises(ConnectionResetError):
            await reader.read()
        writer.close()
        await proxy.close()

    played(story)
