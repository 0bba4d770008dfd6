"""Settings: the file that we ship states the defaults, and the error for a wrong setting names it and says what to do."""

from __future__ import annotations

import dataclasses
import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.config import BrokerSettings, IngestSettings, ListenSettings, OrderSettings, PublishSettings, Settings, SiteSettings
from bridge.config_file import load, parse, render
from bridge.errors import ConfigError

SHIPPED = Path(__file__).parents[2] / "config" / "bridge.toml"
EVERY = [
    (section.name, setting)
    for section in dataclasses.fields(Settings)
    for setting in dataclasses.fields(getattr(Settings(), section.name))
    if "sections" not in setting.metadata  # those below [carriers] and [cutoffs] are in test_settings_of_carriers.py
]
NAMES = [f"{section}.{setting.name}" for section, setting in EVERY]


def test_the_file_that_we_ship_is_the_defaults() -> None:
    assert SHIPPED.read_text(encoding="utf-8") == render(Settings())
    assert load(SHIPPED) == Settings()


def test_a_rule_for_unpaid_orders_is_one_of_two() -> None:
    assert parse({"payments": {"unpaid": "warn"}}).payments.unpaid == "warn"
    with pytest.raises(ConfigError, match=r"payments.unpaid is 'maybe'") as wrong:
        parse({"payments": {"unpaid": "maybe"}})
    assert wrong.value.fix == "choose one of warn, block_pick"


def test_an_empty_file_is_the_defaults(tmp_path: Path) -> None:
    (tmp_path / "bridge.toml").write_text("")
    assert load(tmp_path / "bridge.toml") == Settings()


@pytest.mark.parametrize(("section", "setting"), EVERY, ids=NAMES)
def test_every_setting_has_a_sentence_and_its_default_is_within_its_bounds(section: str, setting: dataclasses.Field[Any]) -> None:
    assert setting.metadata["about"]
    assert f"# {setting.metadata['about']}\n{setting.name} = " in render(Settings())
    assert parse({section: {setting.name: setting.default}}) == Settings()


printable = st.text(st.characters(min_codepoint=0x20, exclude_characters="\x7f", exclude_categories=["Cs"]), max_size=12)


@given(
    st.builds(
        Settings,
        site=st.builds(SiteSettings, name=st.text("abcdefghijklmnopqrstuvwxyz0123456789-", min_size=1, max_size=20)),
        listen=st.builds(
            ListenSettings,
            mqtt=st.sampled_from(["127.0.0.1:0", "localhost:1883"]),
            mqtts=st.sampled_from(["", "0.0.0.0:8883"]),
            tls_client_ca_file=st.sampled_from(["", "tls/ca.pem"]),
            allow_plain=st.booleans(),
        ),
        broker=st.builds(BrokerSettings, window=st.integers(1, 65_535), connect_timeout_s=st.floats(0.1, 1e6)),
        ingest=st.builds(IngestSettings, retry_first_s=st.floats(0.001, 1e9)),
        orders=st.builds(OrderSettings, events_max=st.integers(10, 2**53)),
        publish=st.builds(PublishSettings, format=st.sampled_from(["cbor", "json"])),
    ),
)
def test_what_is_rendered_can_be_read_back(settings: Settings) -> None:
    assert parse(tomllib.loads(render(settings))) == settings


@given(printable)
def test_a_path_with_quotes_and_backslashes_survives(path: str) -> None:
    settings = Settings(listen=ListenSettings(tls_cert_file=path + "x", tls_key_file=path + "y"))
    assert parse(tomllib.loads(render(settings))) == settings


# --- what is wrong ------------------------------------------------------------------------------------------------------------


def refused(data: dict[str, Any]) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        parse(data)
    assert caught.value.fix
    return caught.value


WRONG: dict[type, list[Any]] = {
    int: ["64", 64.0, True, None, [64], {}],
    float: ["5", True, None, [5.0], {}],
    str: [1, True, None, ["x"], {}],
    bool: ["true", 0, 1, None, []],
}


@pytest.mark.parametrize(("section", "setting"), EVERY, ids=NAMES)
def test_a_value_of_the_wrong_type_is_refused_by_name(section: str, setting: dataclasses.Field[Any]) -> None:
    for value in WRONG[type(setting.default)]:
        assert f"{section}.{setting.name} is " in str(refused({section: {setting.name: value}})), value


@pytest.mark.parametrize(("section", "setting"), [(s, f) for s, f in EVERY if f.metadata["least"] is not None], ids=lambda v: getattr(v, "name", v))
def test_a_value_below_its_bound_is_refused_by_name(section: str, setting: dataclasses.Field[Any]) -> None:
    least = setting.metadata["least"]
    for value in (least - 1, -(10**9)):
        assert str(refused({section: {setting.name: value}})) == f"{section}.{setting.name} is {value}; the minimum is {least}"
    parse({section: {setting.name: type(setting.default)(least)}})


@pytest.mark.parametrize(("section", "setting"), [(s, f) for s, f in EVERY if f.metadata["most"] is not None], ids=lambda v: getattr(v, "name", v))
def test_a_value_above_its_bound_is_refused_by_name(section: str, setting: dataclasses.Field[Any]) -> None:
    most = setting.metadata["most"]
    assert str(refused({section: {setting.name: most + 1}})) == f"{section}.{setting.name} is {most + 1}; the maximum is {most}"
    parse({section: {setting.name: most}})


def test_the_fix_of_a_wrong_value_is_a_line_that_is_right() -> None:
    error = refused({"broker": {"window": 0}})
    assert str(error.fix) == "write window = 64, the default, or another value: QoS 1 and 2 messages in flight to one client."
    assert 'write mqtt = "127.0.0.1:1883"' in str(refused({"listen": {"mqtt": 1883}}).fix)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ({"brocker": {}}, "[brocker] is not a section"),
        ({"broker": {"windows": 1}}, "broker.windows is not a setting"),
        ({"broker": 1}, "broker is a section, not a value"),
        ({"site": [{}]}, "site is a section, not a value"),
        ({"site": {"name": ""}}, "site.name: expected 1 to"),
        ({"site": {"name": "x" * 97}}, "site.name: expected 1 to"),
        ({"publish": {"format": "xml"}}, "publish.format is 'xml'"),
        ({"listen": {"mqtt": ""}}, "every listener is off"),
        ({"listen": {"mqtt": "1883"}}, "listen.mqtt is '1883'; it must be host:port"),
        ({"listen": {"mqtt": ":1883"}}, "must be host:port"),
        ({"listen": {"mqtt": "localhost:"}}, "must be host:port"),
        ({"listen": {"mqtt": "localhost:mqtt"}}, "must be host:port"),
        ({"listen": {"mqtt": "localhost:65536"}}, "must be host:port"),
        ({"listen": {"websocket": "localhost:-1"}}, "listen.websocket is 'localhost:-1'; it must be host:port"),
        ({"listen": {"mqtts": "8883"}}, "listen.mqtts is '8883'; it must be host:port"),
        ({"listen": {"wss": "0.0.0.0:https"}}, "listen.wss is '0.0.0.0:https'; it must be host:port"),
        ({"listen": {"mqtt": "127.0.0.1:1883", "websocket": "127.0.0.1:1883"}}, "listen.mqtt and listen.websocket have the same address, 127.0.0.1:1883"),
        ({"listen": {"mqtt": "localhost:1883", "wss": "127.0.0.1:1883"}}, "listen.mqtt and listen.wss have the same address"),
        ({"listen": {"mqtts": "10.0.0.1:8883", "wss": "0.0.0.0:8883"}}, "listen.mqtts and listen.wss have the same address"),
        ({"metrics": {"listen": "9464"}}, "metrics.listen is '9464'; it must be host:port"),
        ({"metrics": {"listen": "0.0.0.0:9464"}}, "metrics.listen is 0.0.0.0:9464, an address outside loopback, and asks for no login"),
        ({"metrics": {"listen": "localhost:1883"}}, "listen.mqtt and metrics.listen have the same address, localhost:1883"),
        ({"people": {"totp": "sometimes"}}, "people.totp is 'sometimes'; it must be one of outside, always, never"),
        ({"log": {"format": "xml"}}, "log.format is 'xml'; it must be console or json"),
        ({"listen": {"tls_cert_file": ""}}, "listen.tls_cert_file is empty"),
        ({"listen": {"tls_key_file": ""}}, "listen.tls_key_file is empty"),
        ({"listen": {"wss": "0.0.0.0:8884", "tls_cert_file": "", "tls_key_file": ""}}, "listen.tls_cert_file is empty"),
    ],
    ids=str,
)
def test_what_makes_no_sense_is_refused_with_a_sentence(data: dict[str, Any], said: str) -> None:
    assert said in str(refused(data))


OUTSIDE = ["0.0.0.0:1883", "192.168.1.7:1883", "broker.example.com:1883", "10.0.0.1:0"]


@pytest.mark.parametrize(("name", "with_tls"), [("mqtt", "mqtts"), ("websocket", "wss")])
@pytest.mark.parametrize("bind", OUTSIDE)
def test_outside_loopback_without_tls_is_refused_unless_the_operator_insists(name: str, with_tls: str, bind: str) -> None:
    error = refused({"listen": {name: bind, with_tls: "0.0.0.0:8883"}})
    assert f"listen.{name} is {bind}, an address outside loopback without TLS" in str(error)
    assert f"listen.{with_tls}" in str(error.fix)
    assert "allow_plain" in str(error.fix)
    assert getattr(parse({"listen": {"mqtt": "", name: bind, "allow_plain": True}}).listen, name) == bind
    assert getattr(parse({"listen": {"mqtt": "", with_tls: bind}}).listen, with_tls) == bind


def test_metrics_leave_loopback_only_if_the_operator_insists() -> None:
    assert not parse({}).metrics.listen, "off, unless it is asked for"
    assert "metrics.allow_network" in str(refused({"metrics": {"listen": "10.0.0.1:9464"}}).fix)
    assert parse({"metrics": {"listen": "10.0.0.1:9464", "allow_network": True}}).metrics.listen == "10.0.0.1:9464"


def test_listeners_beside_each_other_have_their_own_ports_or_machines_addresses() -> None:
    parse({"listen": {"mqtt": "127.0.0.1:0", "websocket": "127.0.0.1:0"}})
    parse({"listen": {"mqtts": "10.0.0.1:8883", "wss": "10.0.0.2:8883"}})


@pytest.mark.parametrize("bind", ["127.0.0.1:1883", "127.9.9.9:1", "localhost:1883"])
def test_loopback_needs_no_tls(bind: str) -> None:
    assert parse({"listen": {"mqtt": bind}}).listen.mqtt == bind


@pytest.mark.parametrize("content", [b"[site", b"\xff\xfe", b"a = 1\na = 2\n"], ids=["half a line", "not UTF-8", "a key twice"])
def test_a_file_that_is_not_toml_is_named(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "bridge.toml"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match=r"bridge\.toml") as caught:
        load(path)
    assert caught.value.fix


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"bridge\.toml does not exist") as caught:
        load(tmp_path / "bridge.toml")
    assert "dockbridge init" in str(caught.value.fix)
