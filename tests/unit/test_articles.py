"""A site has a list of articles: a scanned code finds its SKU, the wrong article is put back, and a picker sees the bin and the name of what is left."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import cbor2
import pytest
from helpers.bench import Bench
from helpers.events import CREATED, IDENTITIES, SITE, TOPICS, event
from helpers.new_site import new_site
from hypothesis import given, settings
from hypothesis import strategies as st

from bridge.app import Application
from bridge.article_file import read_articles
from bridge.config import ArticleSettings
from bridge.config_file import parse
from bridge.domain.articles import Article, ArticleFlag
from bridge.domain.facts import Verdict
from bridge.errors import Refused
from bridge.ingest.articles import Catalogue
from bridge.ingest.receipt import Shelf, receipt_cbor
from bridge.operations import articles
from bridge.operations.ports import ArticlePlan
from bridge.store import tables
from bridge.store.articles import put_articles
from bridge.store.memory import MemoryStore
from bridge.store.queries import Queries
from devices.protocol import messages
from devices.protocol.messages import Receipt
from devices.protocol.vocabulary import Outcome

EAN: Final = "4006381333931"
CASE: Final = "14006381333938"
OTHER_EAN: Final = "4006381333948"
STRANGE_EAN: Final = "5901234123457"
LAMP: Final = Article(sku="LAMP-30", codes={f"0{EAN}": 1, CASE: 10}, name_zh="台灯", name_en="Desk lamp", bin="A-03-2")
LAMP_31: Final = Article(sku="LAMP-31", codes={f"0{OTHER_EAN}": 1, "X0001L31": 1}, name_en="Larger lamp")
LIST: Final = (LAMP, LAMP_31)
LINES: Final = [{"sku": "LAMP-30", "qty": 20}]


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    with Bench(tmp_path / "site.db") as made:
        yield made


def know(bench: Bench, *articles: Article) -> ArticlePlan:
    """Imports articles as a running server does: between two batches."""
    plan = put_articles(bench.engine, articles, articles_max=1_000)
    bench.settler.forget_articles()
    return plan


def pick(bench: Bench, sku: str = "LAMP-30", qty: int = 1, code: str | None = None, order: str | None = "PO-1", **other: Any) -> dict[str, Any]:
    return bench.tell("scan-1", "pick", order, {"sku": sku, "qty": qty}, code=code, **other)


def said(receipt: dict[str, Any]) -> tuple[Any, ...]:
    return receipt["outcome"], receipt.get("reason"), receipt.get("warn")


def sent(bench: Bench) -> dict[str, Any]:
    """The last receipt that the scanner was sent."""
    return bench.receipts("scan-1")[-1]


def shop(bench: Bench, *articles: Article, lines: Any = LINES) -> None:
    know(bench, *articles)
    bench.create("PO-1", lines=lines)


# --- a scan -------------------------------------------------------------------------------------------------------------------


def test_without_articles_a_pick_is_as_before(bench: Bench) -> None:
    shop(bench)
    assert said(pick(bench, code=EAN)) == ("applied", None, None)
    assert said(pick(bench, code=OTHER_EAN)) == ("applied", None, None)
    assert sent(bench)["left"] == [{"qty": 18, "sku": "LAMP-30"}]


@pytest.mark.parametrize("code", [EAN, f"0{EAN}", f"]E0{EAN}", CASE])
def test_the_code_of_an_article_is_a_scan_of_its_sku(bench: Bench, code: str) -> None:
    shop(bench, *LIST)
    assert said(pick(bench, code=code)) == ("applied", None, None)


@pytest.mark.parametrize("code", [OTHER_EAN, "X0001L31"])
def test_the_code_of_another_article_is_put_back(bench: Bench, code: str) -> None:
    shop(bench, *LIST)
    receipt = pick(bench, code=code)
    assert said(receipt) == ("rejected", "wrong_sku", None)
    assert (receipt["next"], receipt["tone"], receipt["detail"]) == ("put_back", "stop", "this is LAMP-31 Larger lamp, not LAMP-30")
    assert bench.status("PO-1")["state"] == "paid"


def test_a_code_that_no_article_has_counts_with_a_warning(bench: Bench) -> None:
    shop(bench, *LIST)
    receipt = pick(bench, code=STRANGE_EAN)
    assert (*said(receipt), receipt["tone"]) == ("applied", None, ["article_unknown"], "warn")
    assert said(pick(bench, code="X0001L30")) == ("applied", None, ["article_unknown"])


def test_a_label_says_nothing_about_an_article(bench: Bench) -> None:
    shop(bench, *LIST)
    for code in ("PO-1", "(400)PO-1", "340123450000000000", "(8003)04012345123456"):
        assert "article_unknown" not in pick(bench, code=code).get("warn", [])
    assert "article_unknown" not in pick(bench, code="PO-1", order=None).get("warn", [])


def test_every_doubt_of_an_event_is_in_its_receipts(bench: Bench) -> None:
    shop(bench, *LIST)
    receipt = pick(bench, code=STRANGE_EAN, boot=b"boot-two", at_ms=1_000)
    assert said(receipt) == ("applied", None, ["clock_unknown", "article_unknown"])
    messages.convert(receipt, Receipt)


def test_a_plain_code_of_an_article_says_nothing_about_orders(bench: Bench) -> None:
    shop(bench, *LIST, lines=[{"sku": "LAMP-31", "qty": 2}])
    bench.create("PO-2", lines=[{"sku": "LAMP-31", "qty": 2}])
    for order in ("PO-1", "PO-2"):
        assert said(pick(bench, "LAMP-31", code="X0001L31", order=order)) == ("applied", None, None)
    assert bench.rows("SELECT * FROM codes WHERE code = 'X0001L31'") == []
    assert said(pick(bench, "LAMP-31", code="X0001L31", order=None)) == ("rejected", "order_needed", None)


def test_the_device_counts_the_pieces_of_a_package(bench: Bench) -> None:
    shop(bench, *LIST)
    receipt = pick(bench, qty=1, code=CASE)
    assert (receipt["left"][0]["qty"], receipt["detail"]) == (19, "this code is on a package of 10; 1 piece counted")
    receipt = pick(bench, qty=10, code=CASE)
    assert (receipt["left"][0]["qty"], receipt.get("detail")) == (9, None)


@pytest.mark.parametrize("code", [None, EAN, f"0{EAN}", CASE])
def test_the_code_of_an_article_may_stand_for_its_sku(bench: Bench, code: str | None) -> None:
    shop(bench, *LIST)
    assert said(pick(bench, EAN, code=code)) == ("applied", None, None)
    assert sent(bench)["left"][0]["qty"] == 19


def test_an_order_by_number_is_picked_by_any_code_of_the_article(bench: Bench) -> None:
    shop(bench, *LIST, lines=[{"sku": EAN, "qty": 2}])
    assert said(pick(bench, EAN, code=CASE)) == ("applied", None, None)
    assert sent(bench)["left"] == [{"bin": "A-03-2", "qty": 1, "sku": EAN, "name": "Desk lamp"}]
    assert said(pick(bench, EAN, code=OTHER_EAN)) == ("rejected", "wrong_sku", None)


def test_an_article_that_was_not_ordered_is_still_the_wrong_one(bench: Bench) -> None:
    shop(bench, *LIST)
    assert said(pick(bench, "LAMP-31", code=OTHER_EAN)) == ("rejected", "wrong_sku", None)
    assert said(pick(bench, OTHER_EAN)) == ("rejected", "wrong_sku", None)


# --- what is left ---------------------------------------------------------------------------------------------------------------


def test_a_receipt_names_bin_and_name_of_what_is_left(bench: Bench) -> None:
    shop(bench, *LIST, lines=[*LINES, {"sku": "LAMP-31", "qty": 1}, {"sku": "no-article", "qty": 1}])
    pick(bench, code=EAN)
    left = [
        {"bin": "A-03-2", "qty": 19, "sku": "LAMP-30", "name": "Desk lamp"},
        {"qty": 1, "sku": "LAMP-31", "name": "Larger lamp"},
        {"qty": 1, "sku": "no-article"},
    ]
    assert sent(bench)["left"] == left
    assert messages.convert(sent(bench), Receipt).left is not None


def test_names_are_in_the_language_of_the_site(tmp_path: Path) -> None:
    with Bench(tmp_path / "site.db", language="zh") as bench:
        shop(bench, *LIST, lines=[*LINES, {"sku": "LAMP-31", "qty": 1}])
        pick(bench, code=EAN)
        assert [line["name"] for line in sent(bench)["left"]] == ["台灯", "Larger lamp"]


def test_a_repeated_event_is_answered_with_the_bin_of_today(bench: Bench) -> None:
    shop(bench, *LIST)
    event = bench.draft("scan-1", "pick", "PO-1", {"sku": "LAMP-30", "qty": 1})
    first, again = bench.send(event, event)
    assert again == {**first, "again": True}
    know(bench, dataclasses.replace(LAMP, bin="B-01-1"))
    (later,) = bench.send(event)
    assert later["left"] == [{"bin": "B-01-1", "qty": 19, "sku": "LAMP-30", "name": "Desk lamp"}]
    assert bench.retained.get(TOPICS.status("PO-1"))


@given(
    left=st.lists(st.tuples(st.text("LAMP-0123", min_size=1, max_size=9), st.integers(1, 1_000_000)), min_size=1, max_size=9, unique_by=lambda line: line[0]),
    shelf=st.builds(Shelf, st.none() | st.text("AB-", min_size=1, max_size=64), st.none() | st.text("台灯 x", min_size=1, max_size=64)),
)
@settings(max_examples=50)
def test_lines_left_have_their_keys_in_order(left: list[tuple[str, int]], shelf: Shelf) -> None:
    shelves = {sku: shelf for sku, _ in left[::2]}
    receipt = receipt_cbor(
        n=1,
        event_type="pick",
        event_id=b"i" * 16,
        log=b"l" * 8,
        seq=1,
        verdict=Verdict(Outcome.APPLIED),
        at_ms=1,
        order_id="PO-1",
        left=left,
        shelves=shelves,
        detail=None,
    )
    assert receipt == cbor2.dumps(cbor2.loads(receipt), canonical=True)
    lines = messages.decode(receipt, Receipt).left or []
    assert [(line.sku, line.qty) for line in lines] == left
    assert [(line.bin, line.name) for line in lines] == [tuple(shelf) if n % 2 == 0 else (None, None) for n in range(len(left))]


# --- what stays ---------------------------------------------------------------------------------------------------------------


def test_a_replay_agrees_whatever_the_articles_are_then(bench: Bench) -> None:
    shop(bench, *LIST)
    for code in (EAN, OTHER_EAN, STRANGE_EAN, CASE, "X0001L31"):
        pick(bench, code=code)
        pick(bench, EAN, code=code)
    pick(bench, OTHER_EAN)
    derived = [relation.name for relation in tables.DERIVED]
    before = bench.dump(*derived)
    know(bench, Article(sku="LAMP-30", codes={}), Article(sku="LAMP-31", codes={f"0{EAN}": 1}))
    assert bench.rebuild().changed == []
    assert bench.dump(*derived) == before
    assert len(bench.rows("SELECT * FROM articles")) == 2, "articles are not derived, and stay"


def test_what_is_decided_on_arrival_stays_when_an_order_comes_late(bench: Bench) -> None:
    know(bench, *LIST)
    assert said(pick(bench, EAN, code=CASE))[:2] == ("parked", "unknown_order")
    assert said(pick(bench, code=OTHER_EAN))[:2] == ("rejected", "wrong_sku")
    know(bench, Article(sku="LAMP-30", codes={}))
    bench.forget()
    bench.create("PO-1", lines=LINES, payment="on_delivery")
    assert sent(bench)["outcome"] == "applied"


def test_a_void_takes_a_pick_by_code_back(bench: Bench) -> None:
    shop(bench, *LIST)
    receipt = pick(bench, EAN, code=CASE)
    bench.tell("scan-1", "void", None, {"ref": receipt["id"], "reason": "did_not_occur"})
    assert pick(bench)["left"][0]["qty"] == 19


# --- the list ---------------------------------------------------------------------------------------------------------------


def test_the_same_list_twice_changes_nothing(bench: Bench) -> None:
    assert know(bench, *LIST) == ArticlePlan(added=["LAMP-30", "LAMP-31"], changed=[], same=0, taken=[])
    before = bench.dump("articles", "article_codes")
    assert know(bench, *LIST) == ArticlePlan(added=[], changed=[], same=2, taken=[])
    assert bench.dump("articles", "article_codes") == before


def test_an_article_of_the_list_replaces_the_one_with_its_sku_and_others_stay(bench: Bench) -> None:
    know(bench, *LIST)
    now = Article(sku="LAMP-30", codes={CASE: 12}, flags=(ArticleFlag.BATTERY,))
    assert know(bench, now).changed == ["LAMP-30"]
    queries = Queries(bench.engine, TOPICS)
    assert queries.articles(limit=10) == [now, LAMP_31]
    assert (queries.article(CASE), queries.article("LAMP-31"), queries.article(EAN)) == (now, LAMP_31, None)


def test_a_code_that_another_article_keeps_stops_the_whole_list(bench: Bench) -> None:
    know(bench, *LIST)
    plan = know(bench, Article(sku="A", codes={}), Article(sku="B", codes={f"0{EAN}": 1}))
    assert plan.taken == [("B", f"0{EAN}", "LAMP-30")]
    assert len(bench.rows("SELECT * FROM articles")) == 2


def test_two_articles_of_a_list_may_exchange_their_codes(bench: Bench) -> None:
    know(bench, *LIST)
    assert know(bench, dataclasses.replace(LAMP, codes=LAMP_31.codes), dataclasses.replace(LAMP_31, codes=LAMP.codes)).taken == []
    assert bench.rows("SELECT sku FROM article_codes WHERE code = ?", CASE) == [("LAMP-31",)]


def test_a_site_has_a_limit_of_articles(bench: Bench) -> None:
    put_articles(bench.engine, LIST, articles_max=2)
    put_articles(bench.engine, LIST, articles_max=2)
    with pytest.raises(Refused, match="3 articles, 2 at most"):
        put_articles(bench.engine, [Article(sku="C", codes={})], articles_max=2)


def test_the_catalogue_keeps_few_articles_and_asks_for_none_if_there_are_none() -> None:
    with MemoryStore().transaction() as tx:
        known = Catalogue(2)
        assert known.is_empty(tx)
        for sku in ("A", "B", "C"):
            assert known.shelf(sku, "en", tx) is None
        assert (len(known._by_sku), len(known._by_code)) == (2, 2)


def test_an_open_site_uses_a_new_list_at_once(tmp_path: Path) -> None:
    new_site(tmp_path / "site", parse({"site": {"name": SITE}, "listen": {"mqtt": "127.0.0.1:0"}}))

    async def outcomes() -> list[Any]:
        async with await Application.open(tmp_path / "site") as app:
            scanner, shop1 = IDENTITIES["scan-1"], IDENTITIES["shop1"]
            picks = [event("scan-1", seq, "PO-1", {"sku": "LAMP-30", "qty": 1}, code=OTHER_EAN) for seq in (1, 2)]
            await app.submit(shop1, [("created", event("shop1", 1, "PO-1", {**CREATED, "lines": LINES, "payment": "on_delivery"}))])
            receipts = await app.submit(scanner, [("pick", picks[0])])
            assert (await articles.plan(app, list(LIST), 2)).added == ["LAMP-30", "LAMP-31"]
            await articles.put(app, list(LIST), 2)
            receipts += await app.submit(scanner, [("pick", picks[1])])
            return [receipt.get("reason", receipt["outcome"]) for receipt in receipts]

    assert asyncio.run(outcomes()) == ["applied", "wrong_sku"]


# --- a file -----------------------------------------------------------------------------------------------------------------


def read(tmp_path: Path, text: str | bytes, **limits: int) -> Any:
    file = tmp_path / "articles.csv"
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_articles(file, ArticleSettings(**limits))  # type: ignore[arg-type]


def test_a_file_names_articles_with_their_codes_and_packages(tmp_path: Path) -> None:
    found = read(tmp_path, f"\ufeffsku,codes,name_zh,flags\nLAMP-30,{EAN} {CASE}=10,台灯,age; SERIAL\n\nX=1,,,\n")
    assert found.articles == [
        Article(sku="LAMP-30", codes={f"0{EAN}": 1, CASE: 10}, name_zh="台灯", flags=(ArticleFlag.SERIAL, ArticleFlag.AGE)),
        Article(sku="X=1", codes={}),
    ]
    assert (found.lines, found.bad) == ({"LAMP-30": 2, "X=1": 4}, [])


@pytest.mark.parametrize(
    ("line", "column", "problem", "fix"),
    [
        ("A" * 97 + ",,,", "sku", "it has 97 characters, 96 at most", "shorten it"),
        ("A\a,,,", "sku", "can't be printed", "remove it"),
        ("LAMP-30,,,", "sku", "line 2 has LAMP-30 already", "one line"),
        ("A,4.00638E+12,,", "codes", "a spreadsheet has rounded", "as text"),
        (f"A,{OTHER_EAN}=0,,", "codes", "on a package of 0", "=10"),
        (f"A,{OTHER_EAN} {OTHER_EAN}=2,,", "codes", "a package of 2 and on one of 1", "one of the two"),
        (f"A,{EAN},,", "codes", "a code of LAMP-30 already, in line 2", "one of the two"),
        ("A,340123450000000000,,", "codes", "the number of a parcel", "what a scanner reads"),
        ("A,340123450000000007,,", "codes", "check digit", "what a scanner reads"),
        ("A,a b c,,", "codes", "it has 3 codes, 2 at most", "articles.codes_per_article_max"),
        ("A,,shelf 3,", "picture", "is not a link", "https://"),
        ("A,,,,1", None, "more cells than there are columns", "quotation marks"),
        ("A,,,heavy", "flags", "heavy is not a flag", "serial, battery, age"),
    ],
)
def test_a_line_that_is_wrong_is_named_with_its_fix(tmp_path: Path, line: str, column: str | None, problem: str, fix: str) -> None:
    found = read(tmp_path, f"sku,codes,picture,flags\nLAMP-30,{EAN},,\n{line}\n", codes_per_article_max=2)
    (bad,) = found.bad
    assert (bad.line, bad.column) == (3, column)
    assert problem in bad.problem
    assert fix in bad.fix


@pytest.mark.parametrize("code", [EAN, f"]E0{EAN}", f"(01)0{EAN}", f"https://id.example/01/0{EAN}", f"https://id.example/01/0{EAN}?17=271231"])
def test_a_code_may_be_written_as_a_scanner_reads_it(tmp_path: Path, code: str) -> None:
    (article,) = read(tmp_path, f"sku,codes\nLAMP-30,{code}\n").articles
    assert article.codes == {f"0{EAN}": 1}


def test_a_line_without_a_sku_is_named(tmp_path: Path) -> None:
    (bad,) = read(tmp_path, "sku,bin\n,A-1\n").bad
    assert (bad.line, bad.column, bad.problem) == (2, "sku", "it is empty")


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("", "no column sku"),
        ("code,bin\n1,2\n", "no column sku"),
        ("sku,ean\nA,1\n", "the column ean, which is not known"),
        ("sku,sku\nA,1\n", "the column sku twice"),
        ('sku,bin\nA,"1\n', "line 2"),
        ("sku,name_zh\nA,台灯\n".encode("gb18030"), "not in UTF-8"),
        ("sku\n" + "A" * 2_000, "2004 bytes, 1024 at most"),
        ("sku\nA\nB\nC\n", "3 articles, 2 at most"),
    ],
)
def test_a_file_that_can_not_be_used_is_refused(tmp_path: Path, content: str | bytes, problem: str) -> None:
    with pytest.raises(Refused, match=problem) as refused:
        read(tmp_path, content, file_bytes_max=1_024, articles_max=2)
    assert refused.value.fix


def test_a_file_that_is_missing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Refused, match="can't be read"):
        read_articles(tmp_path / "none.csv", ArticleSettings())


def test_the_sample_is_right() -> None:
    found = read_articles(Path(__file__).parents[2] / "config" / "samples" / "articles.csv", ArticleSettings())
    assert (len(found.articles), found.bad) == (5, [])
