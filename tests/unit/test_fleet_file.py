"""Names that people give, and files that change a fleet: what can't be is refused with its place and the fix, before anything is changed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from helpers.bench import Bench
from helpers.events import SITE

from bridge.domain.names import GOOD_NAMES, name_fault
from bridge.errors import BridgeError, Refused
from bridge.fleet_file import read_fleet
from bridge.operations.fleet import Action, DeviceChange
from bridge.store.registry import Registry
from devices.protocol.claims import Claim, parse_claim
from devices.protocol.vocabulary import Role

HEADER = "action,device,role,courier,at,orders\n"
BAD_NAMES = ("a+b", "a#", "a/b", "-x", "a b", " ", "", "a\nb", "a\tb", "a\0b", "x" * 97, "bridge", "claim:x", "a\u200bb", "a\u00a0b")
GOOD = ("scan-07", "scan_7", "dock.2", "gate@4", "00:1b:44:11:3a:b7", "\u5feb\u9012", "Jos\u00e9", "a-")


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[Registry]:
    with Bench(tmp_path / "dockbridge.db") as bench:
        yield Registry(bench.engine, bench.engine, SITE)


def test_every_bad_name_is_refused_wherever_it_stands() -> None:
    assert [name for name in BAD_NAMES if name_fault(name) is None] == []
    assert [name for name in GOOD if name_fault(name) is not None] == []


def test_devices_places_and_couriers_are_named_alike(registry: Registry) -> None:
    for bad in BAD_NAMES:
        changes = [
            DeviceChange(action=Action.ADD, device=bad, role=Role.SCANNER),
            DeviceChange(action=Action.ADD, device="scan-1", role=Role.SCANNER, at=bad),
            DeviceChange(action=Action.ADD, device="van-1", role=Role.COURIER, courier=bad),
        ]
        faults = registry.faults(changes if bad else changes[:1], now_ms=1)
        assert [f.text.partition(" ")[0] for f in faults] == (["device", "place", "courier"] if bad else ["device"])
        assert {f.fix for f in faults} == {GOOD_NAMES}


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("device,rolle\nscan-1,scanner\n", "has a column 'rolle', which means nothing here"),
        ("name,role\n", "has no column device"),
        ("", "has no column device"),
        ("device,device\n", "has a column twice"),
        ("device\n1\n2\n3\n4\n5\n6\n", "has more than 5 lines"),
        ('device\n"scan', "can't be read"),
    ],
)
def test_a_file_of_another_form_is_refused(tmp_path: Path, text: str, fault: str) -> None:
    (tmp_path / "fleet.csv").write_text(text)
    with pytest.raises(Refused, match=fault) as refused:
        read_fleet(tmp_path / "fleet.csv", rows_max=5)
    assert refused.value.fix


def test_each_bad_line_is_named_with_its_fix(tmp_path: Path, registry: Registry) -> None:
    lines = {
        "add,scan-1,,,,": "its role is empty",
        "sell,scan-1,,,,": "'sell' is not an action",
        "add,scan-1,king,,,": "'king' is not a role",
        "add,scan-1,scanner,,,,more": "it has 7 cells",
        "edit,scan-2,,,dock-1,": "there is no device scan-2",
        "add,scan-1,scanner,anna,,": "a scanner belongs to no courier",
        "add,shop,system,,,": "which orders does this system serve?",
        "add,a+b,scanner,,,": "device 'a+b': it has '+' in it",
        "remove,good,,,,": "good may still log in",
        "edit,good,courier,,,": "good is a scanner, and a role can't be changed",
        "add,good,scanner,,,": "device good is enrolled already",
    }
    file = tmp_path / "fleet.csv"
    file.write_text(HEADER + ",good,scanner,,,\n" + "".join(f"{line}\n" for line in lines))
    fleet = read_fleet(file, rows_max=100)
    found = {f.line: f.text for f in fleet.faults} | {fleet.rows[f.nth].line: f.text for f in registry.faults([r.change for r in fleet.rows], now_ms=1)}
    assert sorted(found) == list(range(3, 3 + len(lines)))
    for line, fault in enumerate(lines.values(), 3):
        assert fault in found[line]
    with pytest.raises(BridgeError):
        registry.apply([row.change for row in fleet.rows], now_ms=1)
    assert registry.list() == []


def test_lines_follow_each_other(registry: Registry) -> None:
    actions = (Action.ADD, Action.EDIT, Action.REVOKE, Action.REMOVE, Action.ADD)
    changes = [DeviceChange(action=a, device="scan-1", role=Role.SCANNER, at="dock-2" if a is Action.EDIT else None) for a in actions]
    registry.apply(changes, now_ms=7)
    (device,) = registry.list()
    assert (device.device, device.at, device.is_admitted) == ("scan-1", None, True)


def test_a_claim_is_read_as_it_is_printed_and_typed() -> None:
    token = "ABCDEFGHIJKLMNOPQRST"
    for claim in (
        Claim(addresses=(("bridge.local", 8883), ("10.0.0.7", 18883)), site="ams 1", device="gate/4", token=token, fingerprint="A" * 52),
        Claim(addresses=(("127.0.0.1", 1883),), site="ams1", device="\u5feb\u9012", token=token, tls=False),
        Claim(addresses=(("bridge.local", 8883),), site="ams1", device="scan-07", token=token),
    ):
        assert parse_claim(claim.text()) == claim
        typed = parse_claim(claim.short_text().lower() if claim.device.isascii() and claim.site == "ams1" else claim.short_text())
        assert (typed.device, typed.token, typed.tls) == (claim.device, claim.token, claim.tls)
        assert claim.fingerprint.startswith(typed.fingerprint)
    for broken in (
        "",
        "x",
        "a/b/c",
        f"host/site/scan-1/{token[:-1]}",
        f"host/site/scan-1/{token}AB",
        f"ho st:x/site/a/{token}",
        f"h:0/s/d/{token}",
        f"h/s~/d/{token}",
    ):
        with pytest.raises(ValueError) as refused:
            parse_claim(broken)
        assert token not in str(refused.value)
