"""Where a notice may be posted to, how it is signed, and which urls and secrets a site may have."""

from __future__ import annotations

import base64
from datetime import UTC, datetime
from ipaddress import ip_address
from pathlib import Path

import pytest
from standardwebhooks import Webhook

from bridge.addresses import target_of
from bridge.config_file import parse
from bridge.errors import ConfigError
from bridge.outbound.posting import refusal
from bridge.outbound.signing import PREFIX, secret_in, signed_headers

PUBLIC = ("93.184.216.34", "2606:2800:220:1:248:1893:25c8:1946", "::ffff:93.184.216.34", "64:ff9b::5db8:d822")
PRIVATE = ("10.1.2.3", "172.16.0.1", "192.168.1.1", "127.0.0.1", "127.9.9.9", "::1", "fd00::1", "::ffff:10.0.0.1", "::ffff:127.0.0.1", "64:ff9b::a00:1")
NEVER = (
    *("169.254.169.254", "fe80::1", "224.0.0.1", "ff02::1", "0.0.0.0", "::", "::ffff:169.254.169.254", "64:ff9b::a9fe:a9fe"),
    *("2002:a9fe:a9fe::1", "::169.254.169.254"),
)


@pytest.mark.parametrize("address", PUBLIC)
def test_the_world_may_be_posted_to(address: str) -> None:
    assert [refusal(ip_address(address), allow_private=allowed) for allowed in (False, True)] == [None, None]


@pytest.mark.parametrize("address", [*PRIVATE, "100.64.0.1", "2002:a00:1::1"])
def test_the_own_network_may_not(address: str) -> None:
    assert refusal(ip_address(address), allow_private=False) is not None


@pytest.mark.parametrize("address", PRIVATE)
def test_the_own_network_may_be_posted_to_if_the_site_says_so(address: str) -> None:
    assert refusal(ip_address(address), allow_private=True) is None


@pytest.mark.parametrize("address", NEVER)
def test_where_clouds_have_their_metadata_may_never_be_posted_to(address: str) -> None:
    assert None not in [refusal(ip_address(address), allow_private=allowed) for allowed in (False, True)]


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("ftp://shop.example/", "it must begin with https://"),
        ("https:///hook", "it names no host"),
        ("https://ada:secret@shop.example/", "it must have no user, password or fragment"),
        ("https://shop.example/#hook", "it must have no user, password or fragment"),
        ("https://shop.example/a b", "it may have printable ASCII characters only"),
        ("https://shop.example/ü", "it may have printable ASCII characters only"),
        ("https://shop.example:99999/", "Port out of range 0-65535"),
        ("http://shop.example/", "notices.url is not https"),
    ],
)
def test_a_url_that_can_not_be_used_is_named(url: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        parse({"notices": {"url": url}})


def test_a_url_has_its_parts() -> None:
    assert target_of("https://shop.example/hook?key=1") == ("https", "shop.example", 443, "/hook?key=1")
    assert target_of("https://[2606:2800::1]:8443") == ("https", "2606:2800::1", 8443, "/")
    assert [target_of(url).authority for url in ("https://a.example", "https://[2606::1]:8443", "http://a.example:80")] == [
        "a.example",
        "[2606::1]:8443",
        "a.example",
    ]
    assert parse({"notices": {"url": "http://shop.example/", "allow_plain": True}}).notices.url == "http://shop.example/"


def test_a_signature_is_what_the_library_of_the_standard_makes() -> None:
    secret, body, at = bytes(range(32)), b'{"type":"order.packed"}', datetime(2026, 3, 31, 12, tzinfo=UTC)
    headers = dict(signed_headers(secret, "msg-1", int(at.timestamp()), body))
    assert headers["webhook-signature"] == Webhook(PREFIX + base64.b64encode(secret).decode()).sign("msg-1", at, body.decode())


def test_a_secret_is_made_once_for_its_owner_only(tmp_path: Path) -> None:
    path = tmp_path / "own.secret"
    made = secret_in(path)
    assert (len(made), path.stat().st_mode & 0o777) == (32, 0o600)
    assert secret_in(path) == made
    path.write_text(base64.b64encode(b"k" * 24).decode())
    assert secret_in(path) == b"k" * 24


@pytest.mark.parametrize("text", ["", "whsec_", "whsec_c2hvcnQ=", "whsec_no base64", "whsec_" + base64.b64encode(bytes(65)).decode(), "gehéim"])
def test_a_secret_that_is_none_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "own.secret"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError, match=r"notices\.secret_file"):
        secret_in(path)
