"""A broker that does what a story needs: withholds PUBACKs, cuts connections, refuses logins and filters, publishes what a test says.

MQTT 3.1.1 on a real socket, by hand: CONNECT, SUBSCRIBE, PUBLISH up to QoS 1, PINGREQ, DISCONNECT. One thread for each connection.
"""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from helpers.mqtt import publish_packet, remaining_length
from helpers.waiting import DEADLINE_S


@dataclass(frozen=True)
class Published:
    topic: str
    payload: bytes
    qos: int
    retain: bool
    connection: int


class FakeBroker:
    """Listens on a free port. Its lists hold all that it has received; `until` waits for a condition."""

    def __init__(self) -> None:
        self.published: list[Published] = []
        self.steps: list[tuple[str, str]] = []
        self.pubacks = 0
        self.connack = 0
        self.session_present = False
        self.acknowledging = True
        self.retained: dict[str, bytes] = {}
        self.denied: set[str] = set()
        self.wills: list[tuple[str, bytes]] = []
        self.connections = 0
        self._news = threading.Condition(threading.RLock())
        self._clients: dict[int, socket.socket] = {}
        self._owed: list[tuple[socket.socket, bytes]] = []
        self._threads: list[threading.Thread] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._start(self._accept)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.cut()
        for thread in self._threads:
            thread.join(DEADLINE_S)

    def until(self, ready: Callable[[], object]) -> None:
        """Waits for a condition; fails the test after a deadline."""
        with self._news:
            assert self._news.wait_for(ready, DEADLINE_S), f"still not so: {self.steps[-10:]}, {len(self.published)} published"

    def events(self) -> list[Published]:
        return [p for p in self.published if "/events/" in p.topic]

    def release(self) -> None:
        """Sends the PUBACKs that were withheld, and withholds no more."""
        with self._news:
            self.acknowledging = True
            for client, packet in self._owed:
                client.sendall(packet)
            self._owed.clear()

    def cut(self) -> None:
        """Cuts every connection without notice."""
        with self._news:
            for client in self._clients.values():
                client.shutdown(socket.SHUT_RDWR)
            self._clients.clear()
            self._owed.clear()

    def send(self, topic: str, payload: bytes, *, retain: bool = False) -> None:
        """Publishes at QoS 1 to all connected clients."""
        with self._news:
            for client in self._clients.values():
                client.sendall(publish_packet(topic, payload, packet_id=7, retain=retain))

    def _start(self, run: Callable[..., None], *args: object) -> None:
        self._threads.append(threading.Thread(target=run, args=args, daemon=True))
        self._threads[-1].start()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with self._news:
                self.connections += 1
                number = self.connections
                self._clients[number] = client
            self._start(self._serve, number, client)

    def _serve(self, number: int, client: socket.socket) -> None:
        will: list[tuple[str, bytes]] = []
        with client, client.makefile("rb") as stream:
            try:
                while head := stream.read(1):
                    body = stream.read(remaining_length(stream.read))
                    with self._news:
                        self._answer(number, client, head[0], body, will)
                        self._news.notify_all()
            except (OSError, struct.error, IndexError):
                pass  # cut in the middle of a packet
            with self._news:
                self._clients.pop(number, None)
                self.wills += will
                self._news.notify_all()

    def _answer(self, number: int, client: socket.socket, head: int, body: bytes, will: list[tuple[str, bytes]]) -> None:
        kind = head >> 4
        if kind == 1:  # CONNECT: protocol name and level (7 bytes), flags, keep-alive, then the texts
            self.steps.append(("connect", "clean" if body[7] & 2 else "persistent"))
            _, rest = _text(body[10:])
            if body[7] & 4:
                topic, rest = _text(rest)
                payload, rest = _text(rest)
                will.append((topic.decode(), payload))
            client.sendall(bytes((0x20, 2, self.session_present and not self.connack, self.connack)))
            if self.connack:
                client.shutdown(socket.SHUT_RDWR)
        elif kind == 8:  # SUBSCRIBE
            filters, rest = [], body[2:]
            while rest:
                topic, rest = _text(rest)
                filters.append(topic.decode())
                rest = rest[1:]
            self.steps += [("subscribe", topic_filter) for topic_filter in filters]
            client.sendall(bytes((0x90, 2 + len(filters))) + body[:2] + bytes(0x80 if topic_filter in self.denied else 1 for topic_filter in filters))
            for topic_filter in filters:
                for kept, payload in self.retained.items():
                    if topic_filter not in self.denied and kept.startswith(topic_filter.rstrip("+")):
                        client.sendall(publish_packet(kept, payload, packet_id=7, retain=True))
        elif kind == 3:  # PUBLISH
            qos = head >> 1 & 3
            name, rest = _text(body)
            packet_id, rest = (rest[:2], rest[2:]) if qos else (b"", rest)
            # What was published is there before its sender hears so: it may look at once.
            self.steps.append(("publish", name.decode()))
            self.published.append(Published(name.decode(), rest, qos, bool(head & 1), number))
            if qos:
                (self._owed.append if not self.acknowledging else lambda owed: owed[0].sendall(owed[1]))((client, b"\x40\x02" + packet_id))
        elif kind == 4:  # PUBACK
            self.pubacks += 1
        elif kind == 12:
            client.sendall(b"\xd0\x00")
        elif kind == 14:  # DISCONNECT: the will is not to be published
            self.steps.append(("disconnect", ""))
            will.clear()


def _text(data: bytes) -> tuple[bytes, bytes]:
    (length,) = struct.unpack_from("!H", data)
    return data[2 : 2 + length], data[2 + length :]
