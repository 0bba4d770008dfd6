"""A device says whose scan one is, by the badge, which may be a name. What is stored is a random pseudonym: no table, log or receipt has the badge, and after
some time nobody can say any more whose scans they were."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import cbor2
import pytest
from helpers.bench import MARK, VAULT, Bench, Fussy, settler_on
from helpers.events import CREATED, LINES, event
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bridge.ingest.items import Incoming
from bridge.ingest.sealing import NoSealer
from bridge.ingest.workers import TOO_MANY, WorkerRow, about_badge
from bridge.store.forgetting import secure, unlink
from bridge.store.sql import SqlStore
from bridge.store.workers import WorkerQueries, drop_unused, name_worker, rows_of_worker
from devices.protocol.messages import load

ADA: Final = "Ada-Quastenflosser"
BO: Final = "Bo-Quastenflosser"
BADGES: Final = (ADA, BO, "Quastenflosser", "Q")
DAY_MS: Final = 86_400_000
PSEUDONYM: Final = re.compile(r"w-[a-z2-7]{10}")


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    with Bench(tmp_path / "site.db") as bench:
        bench.create("PO-1")
        yield bench


def payloads(bench: Bench, device: str = "scan-1") -> list[dict[str, Any]]:
    return [load(payload) for (payload,) in bench.rows("SELECT payload FROM events WHERE device = ? ORDER BY pos", device)]


def workers(bench: Bench) -> list[WorkerRow]:
    return WorkerQueries(bench.engine).workers()


def everything(bench: Bench) -> bytes:
    """All rows of all tables, with what is sealed as it is, and everything that was sent."""
    tables = [name for (name,) in bench.rows("SELECT name FROM sqlite_master WHERE type = 'table'")]
    rows = [value for table in tables for row in bench.rows(f"SELECT * FROM {table}") for value in row]
    return b"\0".join(v if isinstance(v, bytes) else str(v).encode() for v in (*rows, *(m.payload for m in bench.shown)))


# --- what is stored -----------------------------------------------------------------------------------------------------------


def test_a_pseudonym_stands_in_the_place_of_a_badge(bench: Bench) -> None:
    bench.tell("scan-1", "shift_started", None, {"worker": ADA}, by=ADA)
    bench.tell("scan-1", "pick", "PO-1", {"sku": "pen", "qty": 1}, by=ADA)
    bench.tell("scan-1", "pack", "PO-1", {"items": LINES}, by=BO)
    bench.tell("scan-1", "stage", "PO-1", {"dock": "D1"})
    shift, pick, pack, stage = payloads(bench)
    assert PSEUDONYM.fullmatch(shift["by"])
    assert (shift["body"], pick["by"]) == ({"worker": shift["by"]}, shift["by"])
    assert PSEUDONYM.fullmatch(pack["by"])
    assert pack["by"] != pick["by"]
    assert "by" not in stage
    assert b"Quastenflosser" not in everything(bench)
    assert {VAULT.open(row.badge, about_badge(row.pseudonym)).decode() for row in workers(bench)} == {ADA, BO}


@pytest.mark.parametrize("as_json", [False, True], ids=["CBOR", "JSON"])
def test_whatever_a_badge_is_the_rest_of_the_event_stays(bench: Bench, as_json: bool) -> None:
    """Also if it stands elsewhere in the payload, as an article or by chance."""
    badges = ("x", "1", "42", "pen", "by", "w-17", "Zoë 👷", "a" * 64, '"', "\\u0042", "PO-1")
    sent = [event("scan-1", n, "PO-1", {"sku": "pen", "qty": 1, "bin": b}, by=b, code=b, at_ms=bench.now_ms, as_json=as_json) for n, b in enumerate(badges, 1)]
    bench.send(*(bench.message("scan-1", "pick", payload) for payload in sent))
    for payload, stored in zip(sent, payloads(bench), strict=True):
        assert PSEUDONYM.fullmatch(stored.pop("by"))
        assert stored == {name: value for name, value in load(payload).items() if name != "by"}


def test_a_code_that_looks_like_a_badge_hides_none(bench: Bench) -> None:
    """The text of a code holds, byte by byte, the field `by`; the field itself is written in a longer form than it needs."""
    badge = "b42"
    fake = (b"\x62by\x63" + badge.encode()).decode()
    plain = cbor2.loads(event("scan-1", 1, "PO-1", {"items": LINES}, code=fake, at_ms=bench.now_ms))
    payload = bytes([0xA0 + len(plain) + 1]) + cbor2.dumps(plain)[1:] + b"\x62by\x78\x03" + badge.encode()
    assert bench.send(bench.message("scan-1", "pack", payload))[0]["outcome"] == "applied"
    (stored,) = payloads(bench)
    assert (stored["code"], bool(PSEUDONYM.fullmatch(stored["by"]))) == (fake, True)


def test_a_badge_that_begins_before_itself(bench: Bench) -> None:
    """The end of the place, the key `by` and the beginning of the badge read as the badge, too."""
    bench.tell("scan-1", "pack", "PO-1", {"items": LINES}, at="dock-bbyfq", by="qbbyfq")
    (stored,) = payloads(bench)
    assert (stored["at"], bool(PSEUDONYM.fullmatch(stored["by"]))) == ("dock-bbyfq", True)


def test_what_is_sealed_of_unknown_fields_has_no_badge(bench: Bench) -> None:
    bench.tell("scan-1", "pack", "PO-1", {"items": LINES}, by=ADA, colour="red")
    ((sealed, event_id),) = bench.rows("SELECT s.sealed, e.id FROM sealed s JOIN events e USING (pos) WHERE e.device = 'scan-1'")
    whole = load(load(VAULT.open(sealed, b"scan-1\0" + event_id))["whole"])
    assert (whole["colour"], bool(PSEUDONYM.fullmatch(whole["by"]))) == ("red", True)


def test_an_operator_is_a_worker_too(bench: Bench) -> None:
    bench.tell("desk", "held", "PO-1", {"reason": "stock"}, by="root")
    assert PSEUDONYM.fullmatch(payloads(bench, "desk")[0]["by"])


# --- sent again ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("badge", [ADA, BO, None])
def test_a_resend_is_the_same_event_whoever_it_names(bench: Bench, badge: str | None) -> None:
    first = event("scan-1", 1, "PO-1", {"items": LINES}, by=ADA, at_ms=bench.now_ms)
    again = event("scan-1", 1, "PO-1", {"items": LINES}, at_ms=bench.now_ms, **({"by": badge} if badge else {}))
    bench.send(bench.message("scan-1", "pack", first))
    (receipt,) = bench.send(bench.message("scan-1", "pack", again))
    assert (receipt["outcome"], receipt["again"]) == ("applied", True)
    assert len(workers(bench)) == 1, "a resend makes no pseudonym"


@pytest.mark.parametrize("in_one_batch", [True, False])
def test_a_shift_that_is_sent_again_is_the_same_and_another_event_under_its_id_is_not(bench: Bench, in_one_batch: bool) -> None:
    first, again = (bench.message("scan-1", "shift_started", event("scan-1", 1, None, {"worker": w}, at_ms=bench.now_ms)) for w in (ADA, BO))
    other = bench.message("scan-1", "shift_started", event("scan-1", 1, None, {"worker": ADA}, at="dock-9", at_ms=bench.now_ms))
    receipts = bench.send(first, again, other) if in_one_batch else [r for m in (first, again, other) for r in bench.send(m)]
    assert [(r["outcome"], r.get("again"), r.get("reason")) for r in receipts] == [
        ("applied", None, None),
        ("applied", True, None),
        ("rejected", None, "id_reused"),
    ]


# --- for how long -------------------------------------------------------------------------------------------------------------


def test_a_badge_gets_another_pseudonym_after_a_month_and_keeps_its_name(bench: Bench) -> None:
    bench.tell("scan-1", "stage", "PO-1", {"dock": "D1"}, by=ADA)
    name_worker(bench.engine, VAULT, ADA, "Ada Vos", bench.now_ms)
    for _ in range(3):
        bench.now_ms += 14 * DAY_MS
        bench.tell("scan-1", "stage", "PO-1", {"dock": "D1"}, by=ADA)
    first, second, third, fourth = (stored["by"] for stored in payloads(bench))
    assert first == second == third != fourth
    assert all(row.name is not None for row in workers(bench))


def test_after_two_months_without_use_nobody_can_say_whose_scans_they_were(bench: Bench) -> None:
    bench.tell("scan-1", "stage", "PO-1", {"dock": "D1"}, by=ADA)
    bench.now_ms += DAY_MS
    bench.tell("scan-1", "stage", "PO-1", {"dock": "D2"}, by=BO)
    assert drop_unused(bench.engine, bench.now_ms - DAY_MS) == 1
    assert [VAULT.open(row.badge, about_badge(row.pseudonym)).decode() for row in workers(bench)] == [BO]
    bench.settler.forget_workers()
    bench.tell("scan-1", "stage", "PO-1", {"dock": "D3"}, by=ADA)
    first, _, third = (stored["by"] for stored in payloads(bench))
    assert first != third


def test_the_last_use_is_known_to_the_hour(bench: Bench) -> None:
    for hours in (0, 0.5, 0.7):
        bench.now_ms += int(hours * 3_600_000)
        bench.tell("scan-1", "stage", "PO-1", {"dock": "D1"}, by=ADA)
    (row,) = workers(bench)
    assert 3_600_000 <= row.last_ms - row.since_ms < 2 * 3_600_000


def forgotten(bench: Bench, who: str) -> int:
    """Forget a worker. Returns how many pseudonyms they had."""
    rows = rows_of_worker(bench.engine, VAULT, who)
    with secure(bench.engine) as connection:
        unlink(connection, [row.pseudonym for row in rows], [row.badge_hash for row in rows], bench.now_ms)
    bench.settler.forget_workers()
    return len(rows)


def test_a_badge_that_is_forgotten_gets_another_pseudonym_at_once(bench: Bench) -> None:
    bench.tell("scan-1", "stage", "PO-1", {"dock": "D1"}, by=ADA)
    assert forgotten(bench, payloads(bench)[0]["by"]) == 1, "by its pseudonym"
    bench.tell("scan-1", "stage", "PO-1", {"dock": "D1"}, by=ADA)
    assert forgotten(bench, ADA) == 1
    first, second = (stored["by"] for stored in payloads(bench))
    assert first != second
    assert workers(bench) == []


def test_a_device_that_sends_anything_as_a_badge_fills_no_table(tmp_path: Path) -> None:
    with Bench(tmp_path / "site.db", workers_max=3) as bench:
        bench.create("PO-1")
        bench.send(*(bench.draft("scan-1", "stage", "PO-1", {"dock": "D1"}, by=f"badge {n}") for n in range(6)))
        bench.forget()
        bench.tell("scan-1", "stage", "PO-1", {"dock": "D1"}, by="badge 1")
        named = [stored["by"] for stored in payloads(bench)]
        assert (len(workers(bench)), named[3:6], named[6]) == (3, [TOO_MANY] * 3, named[1])


# --- what can go wrong --------------------------------------------------------------------------------------------------------


class Failing(SqlStore):
    @contextmanager
    def transaction(self) -> Iterator[Any]:
        with super().transaction() as tx:
            yield Fussy(tx)


def test_a_batch_that_fails_leaves_no_pseudonym_in_memory(bench: Bench) -> None:
    """Of three messages one can't be stored: the batch is taken back, and comes in parts."""
    bench.settler = settler_on(Failing(bench.engine), bench.rules)
    good = bench.draft("scan-1", "pick", "PO-1", {"sku": "pen", "qty": 1}, by=ADA)
    bad = bench.draft("scan-1", "pick", "PO-1", {"sku": MARK.decode(), "qty": 1}, by=BO)
    last = bench.draft("scan-1", "stage", "PO-1", {"dock": "D1"}, by=ADA)
    bench.send(good, bad, last)
    assert {stored["by"] for stored in payloads(bench)} <= {row.pseudonym for row in workers(bench)}
    assert len(payloads(bench)) == 2


def test_a_rebuild_needs_no_key(bench: Bench) -> None:
    bench.tell("scan-1", "shift_started", None, {"worker": ADA})
    bench.tell("scan-1", "pack", "PO-1", {"items": LINES}, by=ADA)
    before = bench.dump("orders", "parcels", "receipts", "shifts", "ledger", "workers")
    bench.rules = replace(bench.rules, sealer=NoSealer())
    assert bench.rebuild().changed == []
    assert bench.dump("orders", "parcels", "receipts", "shifts", "ledger", "workers") == before


@st.composite
def arrivals(draw: st.DrawFn) -> tuple[list[int], list[int]]:
    """A shift's events in two orders of arrival, some twice."""
    events = list(range(len(SHIFT)))
    return tuple(draw(st.permutations(events + draw(st.lists(st.sampled_from(events), max_size=4)))) for _ in range(2))  # type: ignore[return-value]


SHIFT: Final[tuple[tuple[str, str, str | None, dict[str, Any], str | None], ...]] = (
    ("shop1", "created", "PO-1", CREATED, None),
    ("scan-1", "shift_started", None, {"worker": ADA}, ADA),
    ("scan-1", "pick", "PO-1", LINES[0], ADA),
    ("scan-1", "shift_started", None, {"worker": BO}, None),
    ("scan-1", "pick", "PO-1", LINES[1], BO),
    ("scan-1", "pack", "PO-1", {"items": LINES}, "Q"),
    ("scan-2", "stage", "PO-1", {"dock": "D1"}, "Quastenflosser"),
)


@pytest.mark.slow
@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(arrivals())
def test_in_any_order_of_arrival_the_state_is_the_same_and_no_badge_is_in_any_table(tmp_path: Path, found: tuple[list[int], list[int]]) -> None:
    shown = []
    for order in found:
        for file in tmp_path.glob("site.db*"):
            file.unlink()
        with Bench(tmp_path / "site.db") as bench:
            drafts: list[Incoming] = []
            for device, event_type, order_id, body, badge in SHIFT:
                bench.now_ms += 1_000
                drafts.append(bench.draft(device, event_type, order_id, body, **({"by": badge} if badge else {})))
            for n in order:
                bench.send(drafts[n])
            shown.append(bench.rows("SELECT order_id, state, hash FROM orders"))
            content = everything(bench)
            assert not [badge for badge in BADGES[:3] if badge.encode() in content]
            assert {PSEUDONYM.fullmatch(p.get("by", "w-aaaaaaaaaa")) is not None for p in payloads(bench)} == {True}
            assert bench.rebuild().changed == []
    assert shown[0] == shown[1]
