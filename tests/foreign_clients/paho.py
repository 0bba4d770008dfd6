"""paho-mqtt, the reference client for Python, with a thread of its own for every client."""

from __future__ import annotations

import socket
import ssl
from threading import Event
from typing import Any

from foreign_clients.driver import DEADLINE_S, Heard, Inbox, Login, Refused, Will
from paho.mqtt.client import Client, MQTTMessage, MQTTv311
from paho.mqtt.enums import CallbackAPIVersion


class PahoClient:
    """A connected client; its messages are in `inbox`."""

    def __init__(self, login: Login, *, clean: bool = True, will: Will | None = None) -> None:
        self.inbox = Inbox()
        self.session_present = False
        websocket = login.over in ("ws", "wss")
        self._client = Client(
            CallbackAPIVersion.VERSION2,
            client_id=login.client_id,
            clean_session=clean,
            protocol=MQTTv311,
            transport="websockets" if websocket else "tcp",
            reconnect_on_failure=False,
        )
        self._client.username_pw_set(login.device, login.secret)
        if login.over in ("mqtts", "wss"):
            self._client.tls_set_context(ssl.create_default_context(cafile=login.ca))
        if will is not None:
            self._client.will_set(will.topic, will.payload, qos=1)
        self._refused = ""
        self._connected, self._subscribed, self._ended = Event(), Event(), Event()
        self._client.on_connect = self._on_connect
        self._client.on_subscribe = lambda *_: self._subscribed.set()
        self._client.on_disconnect = lambda *_: self._ended.set()
        self._client.on_message = self._on_message
        self._client.connect(login.host, login.port)
        self._client.loop_start()
        assert self._connected.wait(DEADLINE_S), "no CONNACK came in time"
        if self._refused:
            self._client.loop_stop()
            raise Refused(self._refused)

    def _on_connect(self, _client: Client, _data: Any, flags: Any, code: Any, _properties: Any) -> None:
        self.session_present = flags.session_present
        self._refused = str(code) if code.is_failure else ""
        self._connected.set()

    def _on_message(self, _client: Client, _data: Any, message: MQTTMessage) -> None:
        self.inbox.put(Heard(message.topic, message.payload, message.qos, message.retain))

    def subscribe(self, topic_filter: str, qos: int) -> None:
        self._client.subscribe(topic_filter, qos)
        assert self._subscribed.wait(DEADLINE_S), "no SUBACK came in time"

    def publish(self, topic: str, payload: bytes, qos: int, *, retain: bool) -> Any:
        return self._client.publish(topic, payload, qos, retain)

    def receive(self) -> Heard:
        return self.inbox.receive()

    def leave(self) -> None:
        self._client.disconnect()
        self._end()

    def vanish(self) -> None:
        wire = self._client.socket()
        assert wire is not None
        wire.shutdown(socket.SHUT_RDWR)
        self._end()

    def _end(self) -> None:
        assert self._ended.wait(DEADLINE_S), "the connection did not end in time"
        self._client.loop_stop()


class Paho:
    name = "paho-mqtt"
    tool = "paho.mqtt"
    over = ("mqtt", "mqtts", "ws", "wss")

    def listen(self, login: Login, topic_filter: str, *, qos: int, clean: bool = True, will: Will | None = None) -> PahoClient:
        client = PahoClient(login, clean=clean, will=will)
        client.subscribe(topic_filter, qos)
        return client

    def publish(self, login: Login, topic: str, *payloads: bytes, qos: int, retain: bool = False) -> None:
        client = PahoClient(login)
        for sent in [client.publish(topic, payload, qos, retain=retain) for payload in payloads]:
            sent.wait_for_publish(DEADLINE_S)
            assert sent.is_published()
        client.leave()

    def close(self) -> None:
        """Every client had a thread of its own."""
