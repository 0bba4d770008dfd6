"""aiomqtt, on an event loop in a thread. It does not report whether a session was present."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Coroutine
from threading import Thread
from typing import Any

from foreign_clients.driver import DEADLINE_S, Heard, Inbox, Login, Refused, Will


class AioListener:
    session_present = None

    def __init__(self, driver: Aio) -> None:
        self._driver = driver
        self._inbox = Inbox()

    async def open(self, client: Any, topic_filter: str, qos: int) -> None:
        self._client = client
        try:
            await client.__aenter__()
        except _errors() as error:
            raise Refused(str(error)) from error
        await client.subscribe(topic_filter, qos)
        self._hearing = asyncio.ensure_future(self._hear())

    async def _hear(self) -> None:
        with contextlib.suppress(_errors()):  # the connection is gone
            async for m in self._client.messages:
                self._inbox.put(Heard(m.topic.value, m.payload, m.qos, m.retain))

    def receive(self) -> Heard:
        return self._inbox.receive()

    def leave(self) -> None:
        self._driver.run(self._leave())

    def vanish(self) -> None:
        self._driver.run(self._vanish())

    async def _leave(self) -> None:
        await self._client.__aexit__(None, None, None)
        await self._hearing

    async def _vanish(self) -> None:
        self._client._client.socket().shutdown(socket.SHUT_RDWR)  # aiomqtt has no function for it
        await self._hearing
        with contextlib.suppress(_errors()):
            await self._client.__aexit__(None, None, None)


class Aio:
    name = "aiomqtt"
    tool = "aiomqtt"
    over = ("mqtt", "mqtts", "ws", "wss")

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None

    def listen(self, login: Login, topic_filter: str, *, qos: int, clean: bool = True, will: Will | None = None) -> AioListener:
        listener = AioListener(self)

        async def listen() -> None:
            await listener.open(_client(login, clean=clean, will=will), topic_filter, qos)

        self.run(listen())
        return listener

    def publish(self, login: Login, topic: str, *payloads: bytes, qos: int, retain: bool = False) -> None:
        async def publish() -> None:
            async with _client(login) as client:
                for payload in payloads:
                    await client.publish(topic, payload, qos, retain)

        self.run(publish())

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        """Run a coroutine on the driver's event loop."""
        if self._loop is None:
            self._loop = asyncio.new_event_loop()
            self._thread = Thread(target=self._loop.run_forever, name="aiomqtt")
            self._thread.start()
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(DEADLINE_S)

    def close(self) -> None:
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join(DEADLINE_S)
            self._loop.close()


def _client(login: Login, *, clean: bool = True, will: Will | None = None) -> Any:
    import aiomqtt

    return aiomqtt.Client(
        login.host,
        login.port,
        username=login.device,
        password=login.secret,
        identifier=login.client_id,
        protocol=aiomqtt.ProtocolVersion.V311,
        clean_session=clean,
        will=aiomqtt.Will(will.topic, will.payload, qos=1) if will is not None else None,
        transport="websockets" if login.over in ("ws", "wss") else "tcp",
        tls_context=ssl.create_default_context(cafile=login.ca) if login.over in ("mqtts", "wss") else None,
        timeout=DEADLINE_S,
    )


def _errors() -> type[Exception]:
    import aiomqtt

    return aiomqtt.MqttError
