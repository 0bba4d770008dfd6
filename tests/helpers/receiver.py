"""A receiver of webhooks on a real socket, which answers as a test says: with a status, never, with a closed connection, or with other bytes."""

from __future__ import annotations

import json
import socket
import ssl
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Any, NamedTuple, Self

HANG = "hang"
CLOSE = "close"


class Request(NamedTuple):
    """A request as it came. Header names are in lower case."""

    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def id(self) -> str:
        return self.headers["webhook-id"]

    @property
    def plain(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.body)
        return found

    @property
    def told(self) -> tuple[str, str]:
        """(order, moment)."""
        data = self.plain["data"]
        return data["order"], ("not " if data.get("correction") else "") + data["moment"]


Answer = Callable[[Request], int | str | bytes]


class Receiver:
    """Listens, and keeps every request that came whole.

    Attributes:
        answer: what it does with a request; it may be replaced at any time.
        taken: the requests that it answered with 200.
    """

    def __init__(self, answer: Answer = lambda _: 200, *, context: ssl.SSLContext | None = None) -> None:
        self.answer = answer
        self.requests: list[Request] = []
        self.taken: list[Request] = []
        self.connections = 0
        self._context = context
        self.port = 0

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.stop()

    @property
    def url(self) -> str:
        return f"{'https' if self._context else 'http'}://127.0.0.1:{self.port}/hook"

    def start(self) -> None:
        """Listen, on the same port as before."""
        self._stopping = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", self.port), backlog=50)
        self.port = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._serve, name="receiver")
        self._thread.start()

    def stop(self) -> None:
        """Close everything at once, as a killed process does."""
        self._stopping.set()
        self._listener.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._listener.close()

    def _serve(self) -> None:
        workers = []
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                break
            self.connections += 1
            worker = threading.Thread(target=self._talk, args=(connection,), name="receiver of one")
            worker.start()
            workers.append(worker)
        for worker in workers:
            worker.join()

    def _talk(self, connection: socket.socket) -> None:
        try:
            if self._context is not None:
                connection = self._context.wrap_socket(connection, server_side=True)
            if (request := _read(connection)) is not None:
                self.requests.append(request)
                self._answer(connection, request)
        except OSError:
            pass
        finally:
            connection.close()

    def _answer(self, connection: socket.socket, request: Request) -> None:
        answer = self.answer(request)
        if answer == HANG:
            self._stopping.wait()
        elif isinstance(answer, bytes):
            connection.sendall(answer)
        elif isinstance(answer, int):
            if answer == 200:
                self.taken.append(request)
            connection.sendall(f"HTTP/1.1 {answer} so it is\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".encode())


def _read(connection: socket.socket) -> Request | None:
    data = b""
    while b"\r\n\r\n" not in data:
        if not (more := connection.recv(65_536)):
            return None
        data += more
    head, _, body = data.partition(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    while len(body) < int(headers["content-length"]):
        if not (more := connection.recv(65_536)):
            return None
        body += more
    return Request(first.split()[1], headers, body)
