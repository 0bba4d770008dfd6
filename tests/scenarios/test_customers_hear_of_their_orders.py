"""Notices go out by a channel whose receiver fails, hangs, redirects, wants no more, or is gone for a while; each arrives, signed, in order per order."""

from __future__ import annotations

import re
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cbor2
import pytest
from helpers.receiver import CLOSE, HANG, Receiver
from helpers.site import Site
from helpers.waiting import until
from standardwebhooks import Webhook

from bridge.domain.access import Identity, may_subscribe
from bridge.operations.notice_ports import ChannelState, Sending
from devices.protocol.vocabulary import AlertCode, Role

QUICK: dict[str, Any] = {
    "allow_private": True,
    "allow_plain": True,
    "poll_s": 0.01,
    "retry_first_s": 0.001,
    "retry_max_s": 0.01,
    "tries_max": 3,
    "timeout_s": 5.0,
    "alert_after_s": 0.0,
}


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as made:
        yield made


@pytest.fixture
def site(tmp_path: Path, receiver: Receiver) -> Iterator[Site]:
    with Site(tmp_path / "ams1", notices={**QUICK, "url": receiver.url}) as made:
        ready(made)
        yield made


def ready(site: Site) -> None:
    """Wait until the channel stands: it is not sent what was told before."""
    until(lambda: site.rows("SELECT 1 FROM cursors WHERE name = 'notices'") != [], "the channel")


def pack(site: Site, *orders: str) -> None:
    site.create(*orders)
    for order in orders:
        tell(site, "scan-1", Role.SCANNER, "pack", order)


def tell(site: Site, device: str, role: Role, kind: str, order: str, body: dict[str, Any] | None = None) -> None:
    site._seq += 1
    site.tell(device, role, kind, site.event(device, 1_000 + site._seq, order, body))


def load(site: Site, order: str) -> None:
    tell(site, "scan-1", Role.SCANNER, "load", order, {"vehicle": "v1"})


def arrive(receiver: Receiver, *told: tuple[str, str]) -> None:
    """Wait until the receiver has taken these."""
    until(lambda: set(told) <= {r.told for r in list(receiver.taken)}, f"{told}")


def state(site: Site) -> ChannelState:
    found = site.on_loop(lambda: site.app.figures)
    assert found is not None
    return ChannelState(found.notices.state)


def alerts(site: Site) -> list[str]:
    return [text for (text,) in site.rows("SELECT text FROM alerts WHERE code = ?", AlertCode.NOTICES)]


def told(site: Site, sending: Sending) -> list[tuple[str, str]]:
    return [(n.order, n.moment.value) for n in site.app.queries.notices(order_id=None, sending=sending, limit=100)]


def set_notices(site: Site, **settings: Any) -> None:
    """Change settings in bridge.toml, and let the server read it."""
    path = site.directory / "bridge.toml"
    text = path.read_text()
    for name, value in settings.items():
        shown = f'"{value}"' if isinstance(value, str) else str(value).lower()
        begin = text.index("\n[notices]\n")
        text = text[:begin] + re.sub(rf"\n{name} = .*\n", f"\n{name} = {shown}\n", text[begin:], count=1)
    path.write_text(text)
    site.wait_for(site.app.reload_settings())


# --- all is well --------------------------------------------------------------------------------------------------------------


def test_each_notice_is_one_signed_post(site: Site, receiver: Receiver) -> None:
    pack(site, "PO-1")
    load(site, "PO-1")
    arrive(receiver, ("PO-1", "packed"), ("PO-1", "collected"))
    verifier = Webhook((site.directory / "notices.secret").read_text().strip())
    for request in receiver.taken:
        verified: Any = verifier.verify(request.body, request.headers)
        assert (verified["type"], request.id) == (f"order.{verified['data']['moment']}", verified["data"]["id"])
        assert (request.path, request.headers["content-type"]) == ("/hook", "application/json")
    until(lambda: told(site, Sending.SENT) == [("PO-1", "packed"), ("PO-1", "collected")], "what was sent")
    assert len({r.id for r in receiver.taken}) == 2
    assert (site.directory / "notices.secret").stat().st_mode & 0o777 == 0o600


def test_the_desk_reads_the_notice_that_goes_out(site: Site, receiver: Receiver) -> None:
    site.enrol("screen", Role.DESK)
    with site.client("screen") as desk:
        desk.subscribe("v1/ams1/orders/+/notices")
        pack(site, "PO-1")
        arrive(receiver, ("PO-1", "packed"))
        notice = desk.receive()
        assert (notice.topic, notice.qos, notice.retain) == ("v1/ams1/orders/PO-1/notices", 1, False)
        assert cbor2.loads(notice.payload)["id"].hex() == receiver.taken[0].id
    with site.client("screen") as later:
        later.subscribe("v1/ams1/orders/+/notices")
        assert later.ping() == []  # what was retained would have come before the answer


def test_a_courier_does_not_read_notices() -> None:
    phone = Identity(site="ams1", device="phone", role=Role.COURIER, courier="anna")
    shop = Identity(site="ams1", device="shop-a", role=Role.SYSTEM, orders_prefix="a-")
    desk = Identity(site="ams1", device="screen", role=Role.DESK)
    topics = ("v1/ams1/orders/a-1/notices", "v1/ams1/orders/b-1/notices", "v1/ams1/orders/+/notices")
    read = [[may_subscribe(who, topic, lambda courier, order: True).allowed for topic in topics] for who in (phone, shop, desk)]
    assert read == [[False, False, False], [True, False, False], [True, True, True]]


def test_what_was_told_before_there_was_a_channel_is_not_sent(tmp_path: Path, receiver: Receiver) -> None:
    with Site(tmp_path / "ams1", notices=QUICK) as site:
        pack(site, "PO-1")
        assert state(site) is ChannelState.OFF
        set_notices(site, url=receiver.url)
        ready(site)
        load(site, "PO-1")
        arrive(receiver, ("PO-1", "collected"))
        assert [r.told for r in receiver.requests] == [("PO-1", "collected")]
        assert told(site, Sending.PUBLISHED) == [("PO-1", "packed")]


def test_a_restart_goes_on_after_what_was_sent(site: Site, receiver: Receiver) -> None:
    pack(site, "PO-1")
    arrive(receiver, ("PO-1", "packed"))
    until(lambda: told(site, Sending.SENT) != [], "what was sent")
    site.restart()
    load(site, "PO-1")
    arrive(receiver, ("PO-1", "collected"))
    assert [r.told for r in receiver.requests] == [("PO-1", "packed"), ("PO-1", "collected")]


# --- a receiver in trouble ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "trouble",
    [
        pytest.param(500, id="fails"),
        pytest.param(CLOSE, id="closes the connection"),
        pytest.param(b"SSH-2.0-OpenSSH_9.6\r\n\r\n", id="does not speak HTTP"),
        pytest.param(b"HTTP/1.1 200 OK\r\nX: " + b"x" * 200_000, id="answers without end"),
        pytest.param(b"HTTP/1.1 302 Found\r\nLocation: /elsewhere\r\nContent-Length: 0\r\n\r\n", id="redirects"),
    ],
)
def test_a_receiver_that_does_not_take_it_is_sent_it_again_under_the_same_id(site: Site, receiver: Receiver, trouble: int | str | bytes) -> None:
    receiver.answer = lambda _: trouble
    pack(site, "PO-1")
    until(lambda: len(receiver.requests) > 4, "tries")
    load(site, "PO-1")
    assert state(site) is ChannelState.FAILING
    until(lambda: alerts(site) != [], "an alert")
    receiver.answer = lambda _: 200
    arrive(receiver, ("PO-1", "packed"), ("PO-1", "collected"))
    until(lambda: state(site) is ChannelState.ON and alerts(site) == [], "the end of the alert")
    assert {r.path for r in receiver.requests} == {"/hook"}
    assert len({r.id for r in receiver.requests if r.told == ("PO-1", "packed")}) == 1
    assert [r.told for r in receiver.taken] == [("PO-1", "packed"), ("PO-1", "collected")]


def test_a_receiver_that_hangs_is_waited_for_no_longer_than_the_site_says(tmp_path: Path, receiver: Receiver) -> None:
    with Site(tmp_path / "ams1", notices={**QUICK, "url": receiver.url, "timeout_s": 0.1}) as site:
        ready(site)
        receiver.answer = lambda _: HANG
        pack(site, "PO-1")
        until(lambda: len(receiver.requests) > 1, "a second try")
        receiver.answer = lambda _: 200
        arrive(receiver, ("PO-1", "packed"))


def test_a_receiver_that_was_killed_gets_everything_when_it_is_back(site: Site, receiver: Receiver) -> None:
    receiver.stop()
    pack(site, "PO-1", "PO-2")
    until(lambda: "can't be reached" in "".join(alerts(site)), "an alert")
    load(site, "PO-1")
    receiver.start()
    arrive(receiver, ("PO-1", "collected"), ("PO-2", "packed"))
    assert [r.told for r in receiver.taken if r.told[0] == "PO-1"] == [("PO-1", "packed"), ("PO-1", "collected")]


def test_a_receiver_that_wants_no_more_is_left_alone_until_the_settings_change(site: Site, receiver: Receiver) -> None:
    receiver.answer = lambda _: 410
    pack(site, "PO-1")
    until(lambda: state(site) is ChannelState.UNWANTED and alerts(site) != [], "the end of the channel")
    asked = len(receiver.requests)
    load(site, "PO-1")
    receiver.answer = lambda _: 200
    set_notices(site, url=f"{receiver.url}?again")
    arrive(receiver, ("PO-1", "packed"), ("PO-1", "collected"))
    assert [r.path for r in receiver.requests][asked:] == ["/hook?again"] * 2
    until(lambda: alerts(site) == [], "the end of the alert")


@pytest.mark.parametrize("status", [422, 500])
def test_an_order_that_is_never_taken_does_not_block_the_others(site: Site, receiver: Receiver, status: int) -> None:
    receiver.answer = lambda request: status if request.told == ("PO-1", "packed") else 200
    pack(site, "PO-1")
    number = 2
    while not told(site, Sending.ASIDE):
        pack(site, f"PO-{number}")
        arrive(receiver, (f"PO-{number}", "packed"))
        number += 1
    assert told(site, Sending.ASIDE) == [("PO-1", "packed")]
    (aside,) = site.app.queries.notices(order_id="PO-1", sending=None, limit=5)
    assert aside.error is not None
    assert aside.error.startswith(f"the receiver answered {status}, ")
    load(site, "PO-1")
    arrive(receiver, ("PO-1", "collected"))
    until(lambda: site.app.queries.notice_counts().waiting == 0, "nothing that waits")


def test_what_could_not_be_sent_in_time_is_put_aside(tmp_path: Path, receiver: Receiver) -> None:
    with Site(tmp_path / "ams1", notices={**QUICK, "url": receiver.url, "give_up_h": 0.01}) as site:
        ready(site)
        receiver.answer = lambda _: 500
        pack(site, "PO-1")
        until(lambda: len(receiver.requests) > 0, "a try")
        site.wait_for(site.app.on_writer(lambda: age(site, 3_600_000)))
        until(lambda: told(site, Sending.ASIDE) == [("PO-1", "packed")], "what is put aside")


def age(site: Site, ms: int) -> None:
    """Let notices be older than they are."""
    with site.app._site.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE notices SET told_ms = told_ms - ?", (ms,))


# --- where it may go ----------------------------------------------------------------------------------------------------------


def test_an_address_of_this_machine_is_not_connected_to_unless_the_site_says_so(tmp_path: Path, receiver: Receiver) -> None:
    with Site(tmp_path / "ams1", notices={**QUICK, "url": receiver.url, "allow_private": False}) as site:
        ready(site)
        pack(site, "PO-1")
        until(lambda: "may not be posted to" in "".join(alerts(site)), "an alert")
        assert receiver.connections == 0
        set_notices(site, allow_private=True)
        arrive(receiver, ("PO-1", "packed"))


def test_a_receiver_is_trusted_by_its_certificate(tmp_path: Path) -> None:
    with Site(tmp_path / "ams1", listen={"mqtt": "127.0.0.1:0", "mqtts": "127.0.0.1:0"}, notices=QUICK) as site:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(site.tls / "server.pem", site.tls / "server.key")
        with Receiver(context=context) as receiver:
            set_notices(site, url=receiver.url)
            ready(site)
            pack(site, "PO-1")
            until(lambda: "can't be trusted" in "".join(alerts(site)), "an alert")
            assert receiver.requests == []
            set_notices(site, ca_file="tls/ca.pem")
            arrive(receiver, ("PO-1", "packed"))


def test_a_secret_that_is_none_is_named_and_nothing_is_sent(tmp_path: Path, receiver: Receiver) -> None:
    with Site(tmp_path / "ams1", notices={**QUICK, "secret_file": "own.secret"}) as site:
        (site.directory / "own.secret").write_text("whsec_short")
        set_notices(site, url=receiver.url)
        until(lambda: "holds no secret" in "".join(alerts(site)), "an alert")
        assert state(site) is ChannelState.FAILING


def test_nobody_is_named_in_a_notice(site: Site, receiver: Receiver) -> None:
    contact = {"name": "Ada Byron", "phone": "+44 20 7946 0018"}
    body = {"channel": "shop1", "lines": [{"sku": "pen", "qty": 1}], "allow_partial": False, "payment": "prepaid", "contact": contact}
    tell(site, "shop1", Role.SYSTEM, "created", "PO-1", body)
    tell(site, "scan-1", Role.SCANNER, "pack", "PO-1")
    arrive(receiver, ("PO-1", "packed"))
    (request,) = receiver.taken
    assert set(request.plain["data"]) == {"id", "at_ms", "order", "texts", "moment", "parcel", "occurrence"}
