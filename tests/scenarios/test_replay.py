"""A shop's export becomes history: it is imported, then two devices that ran without network for months send its events, twice.

The file is the sample in `config/samples/`, which is like a real export.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from helpers.events import SITE
from helpers.site import Site
from typer.testing import CliRunner

from bridge.shop import ShopMap, ShopOrder, order_events, read_map, read_orders
from devices.protocol.vocabulary import Outcome, Role
from firmware_sim import cli
from firmware_sim.link import mqtt
from firmware_sim.replay import Agreement, Cast, Replayed, handed_out_ms, handed_over_ms, replay

SAMPLES = Path(__file__).parents[2] / "config" / "samples"
ON_THE_WAY_MS = 2_000
"""A device's counter is mapped by its first messages: the network's delay is in every time."""
WITHOUT_DELIVERY_TIME = "shop1-100555"


@pytest.fixture(scope="module")
def shop() -> ShopMap:
    return read_map(SAMPLES / "orders.toml")


@pytest.fixture(scope="module")
def orders(shop: ShopMap) -> list[ShopOrder]:
    return read_orders(SAMPLES / "orders.csv", shop)[0]


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    with Site(tmp_path / "site") as site:
        yield site


@pytest.fixture
def cast(site: Site) -> Cast:
    return cast_of(site)


def cast_of(site: Site) -> Cast:
    passwords = {"scan-h": site.enrol("scan-h"), "phone-h": site.enrol("phone-h", Role.COURIER), "desk-h": site.enrol("desk-h", Role.DESK)}
    return Cast(scanner="scan-h", courier="phone-h", watcher="desk-h", passwords=passwords)


def imported(site: Site, orders: list[ShopOrder], shop: ShopMap) -> None:
    """What `dockbridge orders import` does."""
    site.enrol(shop.channel, Role.SYSTEM)
    identity = site.app.registry.identity(shop.channel)
    events = [(kind.value, payload) for order in orders for kind, payload in order_events(order, shop)]
    receipts = site.wait_for(site.app.submit(identity, events))
    assert not [r for r in receipts if r["outcome"] == Outcome.REJECTED]


def replayed(site: Site, cast: Cast, orders: list[ShopOrder], shop: ShopMap) -> Replayed:
    host, port = site.addresses["mqtt"]
    return replay(orders, shop, site=SITE, address=(host, port), cast=cast, timeout_s=60)


def test_the_sample_is_read_whole(shop: ShopMap) -> None:
    orders, bad = read_orders(SAMPLES / "orders.csv", shop)
    assert len(orders) == 24
    assert bad == []
    assert {o.expected for o in orders} == {"delivered", "shipped", "approved", "pending_payment", "cancelled"}
    assert any(len(o.items) > 1 for o in orders)


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory, orders: list[ShopOrder], shop: ShopMap) -> Replayed:
    """A finished replay that tests only read."""
    with Site(tmp_path_factory.mktemp("replay") / "site") as site:
        imported(site, orders, shop)
        return replayed(site, cast_of(site), orders, shop)


def test_a_replay_ends_where_the_rows_end(result: Replayed, orders: list[ShopOrder]) -> None:
    assert result.record.errors == []
    assert result.ok
    assert (
        result.events
        == result.record.acknowledged
        == 3 * sum(handed_out_ms(o) is not None for o in orders) + 2 * sum(handed_over_ms(o) is not None and handed_out_ms(o) is None for o in orders)
    )
    assert [(c.order, c.said, c.state) for c in result.compared if c.agreement is not Agreement.AGREES] == []
    assert {c.order: c.state for c in result.compared}[WITHOUT_DELIVERY_TIME] == "delivered"


def test_history_takes_its_place_in_time(result: Replayed, orders: list[ShopOrder]) -> None:
    order = next(o for o in orders if o.delivered_ms is not None)
    reached = {m.state: m.at_ms for m in result.record.statuses[order.order].milestones if not m.inferred}
    assert reached["shipped"] == pytest.approx(order.shipped_ms, abs=ON_THE_WAY_MS)
    assert reached["delivered"] == pytest.approx(order.delivered_ms, abs=ON_THE_WAY_MS)


def test_a_second_replay_changes_nothing(site: Site, cast: Cast, orders: list[ShopOrder], shop: ShopMap) -> None:
    imported(site, orders, shop)
    first = replayed(site, cast, orders, shop)
    shown = site.rows("SELECT order_id, rev, hash FROM orders ORDER BY order_id")
    second = replayed(site, cast, orders, shop)
    assert first.record.again == 0
    assert second.record.again == second.events == first.events
    assert site.rows("SELECT order_id, rev, hash FROM orders ORDER BY order_id") == shown
    assert second.ok


def test_a_replay_before_its_import_says_what_is_missing(
    site: Site, cast: Cast, orders: list[ShopOrder], shop: ShopMap, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(mqtt, "QUIET_S", 0.5)  # what is missing does not come later
        before = replayed(site, cast, orders[:4], shop)
    assert not before.ok
    assert before.agreements[Agreement.MISSING] == 4
    assert set(before.record.outcomes) == {Outcome.PARKED}
    imported(site, orders[:4], shop)
    assert replayed(site, cast, orders[:4], shop).ok


def test_a_missing_time_is_the_last_that_the_row_has_and_a_cancelled_parcel_is_left_alone() -> None:
    gone = ShopOrder(order="shop1-1", line=2, created_ms=1, approved_ms=2, shipped_ms=3, expected="cancelled")
    kept = ShopOrder(order="shop1-2", line=3, created_ms=1, approved_ms=2, expected="delivered")
    assert [(handed_over_ms(o), handed_out_ms(o)) for o in (gone, kept)] == [(None, None), (2, 2)]


# --- the command ------------------------------------------------------------------------------------------------------------


def arguments(site: Site, *more: str) -> list[str]:
    host, port = site.addresses["mqtt"]
    return ["history", str(SAMPLES / "orders.csv"), "--map", str(SAMPLES / "orders.toml"), "--host", host, "--port", str(port), "--site", SITE, *more]


def credentials(cast: Cast, path: Path) -> Path:
    entries: dict[str, Any] = {p: {"device": d, "password": cast.passwords[d]} for p, d in vars_of(cast)}
    path.write_text(json.dumps(entries))
    return path


def vars_of(cast: Cast) -> list[tuple[str, str]]:
    return [("scanner", cast.scanner), ("courier", cast.courier), ("watcher", cast.watcher)]


def test_the_command_prints_json_and_ends_with_zero(site: Site, cast: Cast, orders: list[ShopOrder], shop: ShopMap, tmp_path: Path) -> None:
    imported(site, orders, shop)
    done = CliRunner().invoke(cli.app, arguments(site, "--credentials", str(credentials(cast, tmp_path / "three.json")), "--speed", "0", "--json"))
    assert done.exit_code == 0, done.output
    said = json.loads(done.stdout)
    assert said["ok"] is True
    assert said["orders"] == 24
    assert said["bad_rows"] == 0
    assert said["agreements"] == {"agrees": 24, "differs": 0, "missing": 0}


def test_the_command_exits_with_1_if_orders_are_missing(site: Site, cast: Cast, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mqtt, "QUIET_S", 0.5)
    logins = [x for part, device in vars_of(cast) for x in (f"--{part}", f"{device}:{cast.passwords[device]}")]
    done = CliRunner().invoke(cli.app, arguments(site, *logins, "--speed", "0"))
    assert done.exit_code == cli.FAILED
    assert "orders import" in done.stdout


@pytest.mark.parametrize(
    ("more", "code", "said"),
    [
        (["--credentials", "/nowhere.json"], cli.USAGE, "there is no /nowhere.json"),
        (["--scanner", "scan-h:x", "--courier", "phone-h:x"], cli.USAGE, "no credentials for the watcher"),
        (["--scanner", "a:x", "--courier", "b:x", "--watcher", "c:x", "--port", "9"], cli.FAILED, "no server answers at 127.0.0.1:9"),
        (["--map", "/nowhere.toml"], cli.USAGE, "/nowhere.toml does not exist"),
    ],
)
def test_an_error_is_one_sentence_and_what_to_do(
    more: list[str], code: int, said: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    replaying = ["firmware-sim", "history", str(SAMPLES / "orders.csv"), "--map", str(SAMPLES / "orders.toml"), *more]
    monkeypatch.setattr("sys.argv", replaying)
    with pytest.raises(SystemExit) as ended:
        cli.main()
    heard = capsys.readouterr()
    assert ended.value.code == code
    assert said in heard.err
    assert "fix:" in heard.err
    assert "Traceback" not in heard.err
    assert heard.out == ""
