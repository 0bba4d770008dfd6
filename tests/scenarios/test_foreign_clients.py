"""Clients that we did not write, with an enrolled device's name and password, against a real site.

| | mosquitto_pub and _sub | MQTT.js | paho-mqtt | aiomqtt |
|---|---|---|---|---|
| QoS 0, 1 and 2 | yes | yes | yes | yes |
| retained, replaced and cleared | yes | yes | yes | yes |
| the will of a client that vanishes, but not of one that leaves | yes | yes | yes | yes |
| messages that came while it was offline, in order | yes | yes | yes | yes |
| it sees that its session was present | not reported | yes | yes | not reported |
| a wrong password gives its own error message | yes | yes | yes | yes |
| TLS, with the site's certificate authority | yes | yes | yes | yes |
| WebSocket, plain and over TLS | not supported | yes | yes | yes |
| an order's event, its receipt and its retained status | yes | yes | yes | yes |

Each row is a test here, each column a driver in `foreign_clients/`. They need Debian's mosquitto-clients, Node.js with the npm package `mqtt` (found through
NODE_PATH), and aiomqtt; `.ci/run` installs them.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final

import pytest
from foreign_clients.aio import Aio
from foreign_clients.driver import Driver, Heard, Listener, Login, Refused, Will
from foreign_clients.mosquitto import Mosquitto
from foreign_clients.mqtt_js import MqttJs
from foreign_clients.paho import Paho
from helpers.events import LINES, SITE, TOPICS, event, event_id, log_of
from helpers.foreign_tools import needs
from helpers.site import Site

from devices.protocol.messages import OrderStatus, Receipt, decode
from devices.protocol.vocabulary import Role

CLIENTS: Final[tuple[type[Driver], ...]] = (Mosquitto, MqttJs, Paho, Aio)
OVER: Final = [(client, over) for client in CLIENTS for over in client.over if over != "mqtt"]
LISTEN: Final = dict.fromkeys(("mqtt", "mqtts", "websocket", "wss"), "127.0.0.1:0")
numbers = itertools.count(1)


@pytest.fixture(scope="module")
def drivers() -> Iterator[dict[type[Driver], Driver]]:
    """One driver for each client, shared by all tests."""
    opened = {client: client() for client in CLIENTS}
    yield opened
    for driver in opened.values():
        driver.close()


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with Site(tmp_path_factory.mktemp("cbor") / "site", listen=LISTEN) as served:
        yield served


@pytest.fixture(scope="module")
def json_site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A site for tools that can't read CBOR."""
    with Site(tmp_path_factory.mktemp("json") / "site", publish={"format": "json"}) as served:
        yield served


@dataclass(frozen=True, slots=True)
class Guest:
    """A foreign client at a site, with a topic of its own outside v1/. `listeners` are those that are still connected when the test is over."""

    driver: Driver
    site: Site
    topic: str
    over: str
    listeners: list[Listener]

    def login(self, client_id: str, device: str | None = None, secret: str | None = None) -> Login:
        device = device or f"lab-{self.driver.name}"
        if device not in self.site.secrets:
            self.site.enrol(device, Role.LAB)
        host, port = self.site.addresses[self.over]
        ca = self.site.tls / "ca.pem"
        return Login(over=self.over, host=host, port=port, ca=ca, device=device, secret=secret or self.site.secrets[device], client_id=client_id)

    def listen(self, who: str = "listener", topic: str | None = None, *, qos: int = 2, device: str | None = None, **how: Any) -> Listener:
        listener = self.driver.listen(self.login(f"{self.topic}-{who}", device), topic or self.topic, qos=qos, **how)
        self.listeners.append(listener)
        return listener

    def publish(self, *payloads: bytes, qos: int = 1, retain: bool = False, topic: str | None = None, device: str | None = None) -> None:
        self.driver.publish(self.login(f"{self.topic}-publisher", device), topic or self.topic, *payloads, qos=qos, retain=retain)

    def left(self, listener: Listener, leave: Callable[[], None]) -> None:
        self.listeners.remove(listener)
        leave()


Invite = Callable[..., Guest]


@pytest.fixture
def invite(drivers: dict[type[Driver], Driver]) -> Iterator[Invite]:
    """Makes a foreign client a guest of a site."""
    guests: list[Guest] = []

    def ask(client: type[Driver], site: Site, over: str = "mqtt") -> Guest:
        needs(client.tool)
        guests.append(Guest(drivers[client], site, f"foreign{next(numbers)}", over, []))
        return guests[-1]

    yield ask
    for listener in (listener for guest in guests for listener in guest.listeners):
        listener.leave()


def name_of(value: object) -> str | None:
    return value.name if isinstance(value, type) else None  # type: ignore[attr-defined]


each_client = pytest.mark.parametrize("client", CLIENTS, ids=name_of)


@each_client
@pytest.mark.parametrize("qos", [0, 1, 2])
def test_a_message_arrives_as_it_was_sent(invite: Invite, site: Site, client: type[Driver], qos: int) -> None:
    guest = invite(client, site)
    listener = guest.listen()
    guest.publish(b"\xc3\xa9 and a blank", qos=qos)
    assert listener.receive() == Heard(guest.topic, b"\xc3\xa9 and a blank", qos, False)


@each_client
def test_what_is_retained_is_there_for_who_comes_later_until_it_is_cleared(invite: Invite, site: Site, client: type[Driver]) -> None:
    guest = invite(client, site)
    guest.publish(b"old", retain=True)
    guest.publish(b"kept", qos=2, retain=True)
    for who in ("one", "two"):
        assert guest.listen(who).receive() == Heard(guest.topic, b"kept", 2, True)
    guest.publish(b"", retain=True)
    late = guest.listen("late")
    guest.publish(b"after")
    assert late.receive() == Heard(guest.topic, b"after", 1, False), "nothing is retained any more"


@each_client
def test_the_will_of_a_client_that_vanishes_is_published_and_of_one_that_leaves_is_not(invite: Invite, site: Site, client: type[Driver]) -> None:
    guest = invite(client, site)
    watcher = guest.listen("watcher", f"{guest.topic}/will")
    for who, how in (("polite", "leave"), ("gone", "vanish")):
        mortal = guest.listen(who, f"{guest.topic}/{who}", will=Will(f"{guest.topic}/will", who))
        guest.left(mortal, getattr(mortal, how))
    assert watcher.receive() == Heard(f"{guest.topic}/will", b"gone", 1, False)


@each_client
@pytest.mark.parametrize("qos", [1, 2])
def test_what_came_while_a_client_was_away_waits_for_it_in_order(invite: Invite, site: Site, client: type[Driver], qos: int) -> None:
    guest = invite(client, site)
    first = guest.listen(qos=qos, clean=False)
    assert not first.session_present
    guest.left(first, first.leave)
    sent = [str(i).encode() for i in range(20)]
    guest.publish(*sent, qos=qos)
    again = guest.listen(qos=qos, clean=False)
    assert again.session_present is not False
    assert [again.receive() for _ in sent] == [Heard(guest.topic, payload, qos, False) for payload in sent]


@each_client
def test_a_wrong_password_is_told_so(invite: Invite, site: Site, client: type[Driver]) -> None:
    guest = invite(client, site)
    login = guest.login("guessing", secret="guessed")
    with pytest.raises(Refused, match=r"(?i)bad user ?name or password"):
        guest.driver.listen(login, guest.topic, qos=0)


@pytest.mark.parametrize(("client", "over"), OVER, ids=name_of)
def test_it_is_the_same_over_tls_and_websocket(invite: Invite, site: Site, client: type[Driver], over: str) -> None:
    guest = invite(client, site, over)
    listener = guest.listen()
    for qos in (0, 1, 2):
        payload = b"x" * 100_000 + str(qos).encode()
        guest.publish(payload, qos=qos)
        assert listener.receive() == Heard(guest.topic, payload, qos, False)


@each_client
@pytest.mark.parametrize(("as_json", "qos"), [(False, 1), (True, 2)], ids=["cbor-qos1", "json-qos2"])
def test_a_pack_made_by_hand_is_seen_as_receipt_and_as_retained_status(
    invite: Invite, request: pytest.FixtureRequest, client: type[Driver], as_json: bool, qos: int
) -> None:
    site: Site = request.getfixturevalue("json_site" if as_json else "site")
    guest = invite(client, site)
    order, scanner, desk = f"PO-{guest.topic}", f"scan-{guest.topic}", f"desk-{guest.topic}"
    site.enrol(scanner)
    site.enrol(desk, Role.DESK)
    site.create(order)

    receipts = guest.listen("scanner", TOPICS.receipts(scanner), qos=1, clean=False, device=scanner)
    packed = event(scanner, 1, order, {"weight_g": 1250, "items": LINES}, at_ms=site.now_ms(), as_json=as_json)
    guest.publish(packed, qos=qos, topic=TOPICS.event(scanner, "pack"), device=scanner)
    heard = receipts.receive()
    assert heard.payload.startswith(b"{") is as_json
    receipt = decode(heard.payload, Receipt)
    assert (receipt.outcome, receipt.tone, receipt.state) == ("applied", "ok", "packed")
    assert (receipt.id, receipt.log) == (event_id(scanner, 1), log_of(scanner))

    status = guest.listen("desk", TOPICS.status(order), qos=1, device=desk).receive()
    assert (status.topic, status.qos, status.retain) == (f"v1/{SITE}/orders/{order}/status", 1, True)
    assert decode(status.payload, OrderStatus).state == "packed"
