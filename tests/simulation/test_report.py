"""A run as one page: complete, harmless, small, and the same every time."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from random import Random

import pytest

from devices.protocol.messages import encode_cbor
from devices.protocol.topics import Topics
from firmware_sim import record as r
from firmware_sim.faults.drop import Drop
from firmware_sim.faults.slow_disk import SlowDisk
from firmware_sim.report import render_report
from firmware_sim.report.charts import Axis, Frame, buckets, highest, in_windows
from firmware_sim.report.measures import Change, Latency, Measures, Span, measure, percentile
from firmware_sim.report.timeline import joined, thinned
from firmware_sim.report.words import clock, duration, text

BEGIN_MS = 1_790_000_000_000
TOPICS = Topics("ams1")
HOSTILE = "<script>alert('x')</script>"
STORY = "A cable at dock 2 drops every fourth event.\nThe server dies once."
COMMAND = "firmware-sim run bad_cable --seed 7"
LAWS = {"stored": "What was acknowledged is stored.", "as_planned": "Every order ends as planned."}
FAULTS = [Drop(share=0.25, on="scan-*", from_s=2, to_s=8), SlowDisk(commit_ms=400)]
FINDINGS = [
    r.Finding("as_planned", f"order {HOSTILE} ended as packed, not as delivered"),
    r.Finding("as_planned", "order PO-2 went back from shipped to packed", BEGIN_MS + 7_000),
]
SIZE_MAX = 1_500_000


def event(no: int) -> bytes:
    return encode_cbor({"id": no.to_bytes(16, "big"), "order": "PO-2"})


def receipt(no: int, outcome: str = "applied", *, n: int = 1, reason: str | None = None) -> bytes:
    return encode_cbor({"n": n, "id": no.to_bytes(16, "big"), "outcome": outcome} | ({"reason": reason} if reason else {}))


def status(order: str, state: str, rev: int = 1) -> r.Sent:
    return r.Sent(TOPICS.status(order), encode_cbor({"order": order, "state": state, "rev": rev}), 1, True)


def committed(after_ms: int, *effects: r.Effect, messages: int = 1, waiting: int = 0) -> r.Committed:
    return r.Committed(BEGIN_MS + after_ms, messages, waiting, effects)


def scan(no: int, at_ms: int, *, acknowledged_ms: int, answered_ms: int, device: str = "scan-01", publish: int | None = None) -> list[r.Entry]:
    """An event from its PUBLISH to its receipt; times from the beginning."""
    publish = no if publish is None else publish
    return [
        r.Published(BEGIN_MS + at_ms, device, publish, TOPICS.event(device, "pick"), event(no), 1, False),
        r.Acknowledged(BEGIN_MS + acknowledged_ms, device, publish),
        r.Received(BEGIN_MS + answered_ms, device, TOPICS.receipts(device), receipt(no), 1, False, False),
    ]


def record_of(*entries: r.Entry, **more: object) -> r.Record:
    ordered = sorted(entries, key=lambda e: e.at_ms)
    return r.Record(scenario="bad_cable", seed=7, site="ams1", link="simulated", started_ms=BEGIN_MS, ended_ms=BEGIN_MS + 10_000, entries=ordered, **more)  # type: ignore[arg-type]


@pytest.fixture
def record() -> r.Record:
    """Ten seconds that contain every kind of entry."""
    alert = encode_cbor({"code": "gap", "subject": "scan-01", "severity": "warning", "text": f"scan-01 owes 2 scans {HOSTILE}"})
    return record_of(
        r.ServerStarted(BEGIN_MS, ()),
        r.Connected(BEGIN_MS + 100, "scan-01", False),
        r.Noted(BEGIN_MS + 3_000, "scan-01", f"swaps the battery {HOSTILE}"),
        r.Refused(BEGIN_MS + 3_500, "scan-02", 5),
        r.FaultBegan(BEGIN_MS + 2_000, 0, "drop", ("scan-01", "scan-02")),
        r.FaultEnded(BEGIN_MS + 8_000, 0, "drop"),
        r.FaultBegan(BEGIN_MS, 1, "slow_disk", ()),
        committed(1_000, status(HOSTILE, "packed"), messages=3, waiting=17),
        committed(2_000, status("PO-2", "shipped"), r.Sent(TOPICS.alert("gap", "scan-01"), alert, 1, True)),
        committed(7_000, status("PO-2", "partially_packed", 2), r.Sent(TOPICS.alert("gap", "scan-01"), b"", 1, True)),
        committed(8_000, status("PO-3", "an unknown word")),
        *scan(1, 1_000, acknowledged_ms=1_020, answered_ms=1_035),
        *scan(2, 5_000, acknowledged_ms=6_500, answered_ms=6_400),
        r.ServerKilled(BEGIN_MS + 5_100, "committed"),
        r.Lost(BEGIN_MS + 5_100, "scan-01", "reset"),
        r.ServerStarted(BEGIN_MS + 6_000, ()),
        r.Connected(BEGIN_MS + 6_200, "scan-01", True),
        cast={"scan-01": r.Cast(device="scan-01", role="scanner"), "desk": r.Cast(device="desk", role="desk")},
        expected={HOSTILE: "delivered", "PO-2": "shipped", "PO-4": "paid"},
        alerts_due=("gap", "quarantine"),
    )


@pytest.fixture
def page(record: r.Record) -> str:
    return render_report(record, FINDINGS, STORY, COMMAND, laws=LAWS, faults=FAULTS)


class Reader(HTMLParser):
    """Parses a page, and fails if a tag is not closed or closes another one."""

    VOID = frozenset({"meta", "br", "hr", "img", "input", "link"})

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.feed(html)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        assert len({name for name, _ in attrs}) == len(attrs), (tag, attrs)
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(self.words)


# --- the page ------------------------------------------------------------------------------------------------------------------


def test_every_tag_is_closed_and_every_picture_has_a_text(page: str) -> None:
    read = Reader(page)
    assert all(attrs.get("aria-label") or attrs.get("aria-hidden") == "true" for tag, attrs in read.tags if tag == "svg" and attrs.get("class") != "canvas")
    assert [tag for tag, _ in read.tags].count("h1") == 1


def test_the_page_asks_nobody_for_anything(page: str) -> None:
    tags = {tag for tag, _ in Reader(page).tags}
    assert not tags & {"script", "link", "img", "iframe", "object", "embed", "base", "form"}
    assert not re.search(r"https?://|@import|@font-face|\bsrc=|href=", page)
    assert set(re.findall(r"url\(([^)]*)\)", page)) <= {f"#part-{s}" for s in ("picking", "packed", "shipped", "customs", "entered", "returning")} | {
        "#part-out-for-delivery"
    }


def test_no_text_of_a_record_becomes_markup(page: str) -> None:
    assert "<script" not in page
    assert HOSTILE in Reader(page).text


def test_hostile_text_is_harmless_wherever_it_stands() -> None:
    worst = "\"'><svg onload=alert(1)>\x00\u202e\ud800&amp;"
    record = record_of(
        *scan(1, 0, acknowledged_ms=9, answered_ms=9, device="d"),
        r.Connected(BEGIN_MS, worst, True),
        r.Lost(BEGIN_MS + 5, worst, worst),
        r.Noted(BEGIN_MS + 6, worst, worst),
        r.FaultBegan(BEGIN_MS, 1, worst, (worst,)),
        r.ServerKilled(BEGIN_MS + 9, worst),
        r.Received(BEGIN_MS + 9, "d", TOPICS.receipts("d"), receipt(1, worst[:20], n=2, reason=worst[:20]), 1, False, False),
        committed(1, status("PO-1", worst[:24]), r.Sent(TOPICS.alert("gap", "x"), encode_cbor({"severity": worst[:20], "text": worst[:20]}), 1, True)),
        expected={worst: worst},
        alerts_due=(worst,),
    )
    record.scenario = record.link = record.site = worst
    record.end.troubles = [worst]
    record.end.unsent = {worst: 3}
    html = render_report(record, [r.Finding(worst, worst)], worst, worst, laws={worst: worst, "other" + worst: worst})
    html.encode()
    assert not [name for _, attrs in Reader(html).tags for name in attrs if name.startswith("on")]
    assert "\x00" not in html
    assert "\u202e" not in html


def test_the_head_says_what_ran_and_how_it_ended(page: str) -> None:
    read = Reader(page)
    for word in ("bad_cable", "seed 7", "simulated", "2 findings: 1 law broken", STORY, COMMAND):
        assert word in read.text
    assert "All laws held" in render_report(record_of(), [], STORY, COMMAND)


def test_each_law_each_finding_each_order_each_fault_is_named(page: str) -> None:
    said = Reader(page).text
    for word in (*LAWS, *LAWS.values(), *(f.text for f in FINDINGS), HOSTILE, "PO-2", "PO-3", "PO-4", "drop", "share 0.25", "slow_disk", "commit_ms 400"):
        assert word in said


def test_a_law_that_no_checker_announced_is_broken_all_the_same(record: r.Record) -> None:
    said = Reader(render_report(record, [r.Finding("unheard_of", "it broke")], "", "")).text
    assert "unheard_of" in said
    assert "it broke" in said


def test_orders_that_a_finding_names_have_the_first_lanes(page: str) -> None:
    lanes = [attrs["title"] for tag, attrs in Reader(page).tags if tag == "li" and "title" in attrs]
    orders = [name for name in lanes if name in (HOSTILE, "PO-2", "PO-3", "PO-4")]
    assert orders == [HOSTILE, "PO-2", "PO-3", "PO-4"]


def test_the_same_record_gives_the_same_page(record: r.Record, page: str) -> None:
    assert render_report(record, FINDINGS, STORY, COMMAND, laws=LAWS, faults=FAULTS) == page


def test_an_empty_record_gives_a_page() -> None:
    Reader(render_report(r.Record(scenario="nothing", seed=0, site="s", link="mqtt"), [], "", ""))


def test_a_large_record_gives_a_small_page_that_says_what_it_leaves_out() -> None:
    record = large_record(entries=120_000)
    findings = [r.Finding(f"law_{no % 12}", f"order PO-{no} is wrong, and this takes some words to tell: {'word ' * 60}", BEGIN_MS + no) for no in range(5_000)]
    html = render_report(record, findings, STORY * 1_000, COMMAND)
    assert len(html.encode()) < SIZE_MAX
    said = Reader(html).text
    assert "240 more orders not drawn" in said
    assert "lasted too short to be seen" in said
    assert "more findings" in said


def large_record(entries: int) -> r.Record:
    """A lot of everything: orders that change all the time, connections that break, notes, faults, kills, alerts, unusual receipts."""
    rng = Random(7)
    words = ("paid", "approved", "picking", "partially_packed", "packed", "shipped", "out_for_delivery", "delivered")
    made: list[r.Entry] = []
    for no in range(entries // 8):
        at_ms, device, order = rng.randrange(3_600_000), f"scan-{rng.randrange(200)}", f"PO-{rng.randrange(300)}"
        made += scan(no, at_ms, acknowledged_ms=at_ms + rng.randrange(90), answered_ms=at_ms + rng.randrange(200), device=device)
        made.append(committed(at_ms, status(order, rng.choice(words), no), waiting=rng.randrange(9)))
        made.append(r.Connected(BEGIN_MS + at_ms, device, True))
        made.append(r.Lost(BEGIN_MS + at_ms + rng.randrange(90_000), device, "reset"))
        made.append(r.Noted(BEGIN_MS + at_ms, device, "swaps the battery " * 10))
        if no % 100 == 0:
            made.append(r.ServerKilled(BEGIN_MS + at_ms, "anywhere"))
            made.append(r.FaultBegan(BEGIN_MS + at_ms, no, "drop", tuple(f"scan-{n}" for n in range(200))))
            made.append(r.FaultEnded(BEGIN_MS + at_ms + 60_000, no, "drop"))
            made.append(committed(at_ms, r.Sent(TOPICS.alert("gap", f"{no}"), encode_cbor({"text": "owes " * 90}), 1, True)))
        else:
            made.append(r.ServerStarted(BEGIN_MS + at_ms, ()))
    return record_of(*made)


# --- figures -------------------------------------------------------------------------------------------------------------------


def test_percentiles_are_those_of_a_known_record() -> None:
    """A thousand events; the n-th took n ms to its PUBACK and twice as long to its receipt."""
    entries = [e for n in range(1, 1_001) for e in scan(n, n, acknowledged_ms=2 * n, answered_ms=3 * n)]
    said = Reader(render_report(record_of(*entries), [], "", "")).text
    assert "p50 500 ms" in said
    assert "p99 990 ms" in said
    assert "p99.9 999 ms" in said
    assert "max 1 s" in said
    assert "p50 1 s" in said
    assert "p99.9 2 s" in said


@pytest.mark.parametrize(("share", "value"), [(0.5, 2), (0.51, 3), (0.99, 4), (1.0, 4), (0.25, 1)])
def test_a_percentile_is_the_smallest_value_that_enough_do_not_exceed(share: float, value: int) -> None:
    assert percentile([1, 2, 3, 4], share) == value


def test_a_resent_event_took_as_long_as_from_its_first_publish() -> None:
    first = r.Published(BEGIN_MS, "scan-01", 90, TOPICS.event("scan-01", "pick"), event(1), 1, False)
    found = measure(record_of(first, *scan(1, 4_000, acknowledged_ms=4_020, answered_ms=4_050, publish=91)))
    assert [(one.took_ms) for one in found.acknowledged] == [4_020]
    assert [(one.took_ms) for one in found.answered] == [4_050]
    assert (found.events, found.resent) == (1, 1)
    assert found.unacknowledged == [(BEGIN_MS, 1), (BEGIN_MS + 4_020, 0)]


def test_the_acknowledgement_of_a_mangled_event_measures_nothing() -> None:
    found = measure(record_of(*scan(1, 0, acknowledged_ms=20, answered_ms=50), r.Mangled(BEGIN_MS, "scan-01", 1)))
    assert found.acknowledged == []


def test_an_event_counts_by_the_last_word_to_it(record: r.Record) -> None:
    parked = r.Received(BEGIN_MS + 1_100, "scan-01", TOPICS.receipts("scan-01"), receipt(7, "parked", reason="unknown_order"), 1, False, False)
    applied = r.Received(BEGIN_MS + 1_200, "scan-01", TOPICS.receipts("scan-01"), receipt(7, n=2), 1, False, False)
    late = r.Received(BEGIN_MS + 1_300, "scan-01", TOPICS.receipts("scan-01"), receipt(7, "parked", reason="unknown_order"), 1, False, True)
    assert measure(record_of(parked, applied, late)).outcomes == {("applied", ""): 1}


def test_the_bridges_own_tables_say_what_became_of_events() -> None:
    record = record_of()
    record.end.tables = {
        "receipts": [{"outcome": "applied", "reason": None}, {"outcome": "rejected", "reason": "wrong_sku"}],
        "quarantine": [{"pos": 2, "reason": "wrong_sku"}, {"pos": None, "reason": "malformed"}],
    }
    assert measure(record).outcomes == {("applied", ""): 1, ("rejected", "wrong_sku"): 1, ("rejected", "malformed"): 1}


def test_states_come_from_commits_and_an_empty_status_clears_them(record: r.Record) -> None:
    record.entries += [committed(9_000, status("PO-2", "partially_packed", 3)), committed(9_500, r.Sent(TOPICS.status("PO-2"), b"", 1, True))]
    assert measure(record).orders["PO-2"] == [
        Change(BEGIN_MS + 2_000, "shipped"),
        Change(BEGIN_MS + 7_000, "partially_packed"),
        Change(BEGIN_MS + 9_500, None),
    ]


def test_without_commits_states_come_from_what_screens_saw_and_never_go_back() -> None:
    def seen(at_ms: int, screen: str, state: str, rev: int) -> r.Received:
        return r.Received(BEGIN_MS + at_ms, screen, *status("PO-2", state, rev)[:3], False, False)

    found = measure(record_of(seen(10, "desk-1", "paid", 1), seen(20, "desk-1", "packed", 2), seen(30, "desk-2", "paid", 1), seen(40, "desk-2", "packed", 2)))
    assert found.orders["PO-2"] == [Change(BEGIN_MS + 10, "paid"), Change(BEGIN_MS + 20, "packed")]


def test_an_alert_has_its_times(record: r.Record) -> None:
    (alarm,) = measure(record).alarms
    assert (alarm.code, alarm.subject, alarm.raised_ms, alarm.cleared_ms) == ("gap", "scan-01", BEGIN_MS + 2_000, BEGIN_MS + 7_000)
    assert "Due and never raised: quarantine" in " ".join(Reader(render_report(record, [], "", "")).text.split())


def test_the_server_is_up_between_its_starts_and_kills(record: r.Record) -> None:
    found = measure(record)
    assert found.up == [Span(BEGIN_MS, BEGIN_MS + 5_100), Span(BEGIN_MS + 6_000, BEGIN_MS + 10_000)]
    assert [(down.point, down.back_ms) for down in found.kills] == [("committed", BEGIN_MS + 6_000)]
    assert found.reconnects == 1
    assert found.devices["scan-01"].online == [Span(BEGIN_MS + 100, BEGIN_MS + 5_100), Span(BEGIN_MS + 6_200, BEGIN_MS + 10_000)]


def test_a_fault_that_does_not_end_lasts_to_the_end(record: r.Record) -> None:
    (spell,) = measure(record).faults[1]
    assert spell.span == Span(BEGIN_MS, BEGIN_MS + 10_000)


def test_a_note_of_the_server_is_no_device(record: r.Record) -> None:
    record.entries.append(r.Noted(BEGIN_MS + 9_000, "server", "warning: the disk is full"))
    found = measure(record)
    assert found.log == [(BEGIN_MS + 9_000, "warning: the disk is full")]
    assert "server" not in found.devices
    assert "the disk is full" in Reader(render_report(record, [], "", "")).text


# --- pictures ------------------------------------------------------------------------------------------------------------------


def test_buckets_hold_every_value_once() -> None:
    values = [0, 1, 1, 2, 9, 10, 99, 100, 101, 5_000]
    bars = buckets(values)
    assert sum(bar.number for bar in bars) == len(values)
    assert all(bar.number == sum(bar.from_ms - 1e-6 <= max(1, v) < bar.to_ms - 1e-6 for v in values) for bar in bars)


def test_a_value_holds_until_the_next_one() -> None:
    axis = Axis(0, 240_000)
    steps = highest([(0, 3), (100_500, 5), (100_600, 0)], axis, holds=True)
    assert [s.value for s in steps[:102]] == [3.0] * 100 + [5, 0]
    assert [s.value for s in highest([(0, 3), (100_500, 5)], axis, holds=False)] == [3, 5]


def test_a_burst_shows_in_its_window_alone() -> None:
    axis = Axis(0, 80_000)
    steps = in_windows([*(Latency(n * 500, 10) for n in range(160)), Latency(40_100, 900)], axis, 0.99)
    assert [s.from_ms for s in steps if s.value > 10] == [40_000]


def test_changes_of_one_instant_are_thinned_to_the_last() -> None:
    frame = Frame(Axis(0, 1_000), Measures(begin_ms=0, end_ms=1_000))
    kept = thinned([Change(n, str(n)) for n in range(1_000)], frame, 10)
    assert [c.state for c in kept] == [str(n) for n in range(99, 1_000, 100)]


def test_the_shortest_breaks_are_joined_first() -> None:
    frame = Frame(Axis(0, 100), Measures(begin_ms=0, end_ms=100))
    spans = [Span(0, 10), Span(12, 20), Span(50, 60), Span(61, 70)]
    assert joined(spans, frame, 2) == [Span(0, 20), Span(50, 70)]


@pytest.mark.parametrize(
    ("ms", "said"),
    [
        (0, "0 ms"),
        (1.58, "1.6 ms"),
        (340, "340 ms"),
        (2_350, "2.35 s"),
        (59_990, "1 min"),
        (200_000, "3 min 20 s"),
        (7_500_000, "2 h 05 min"),
        (270_000_000, "3 d 3 h"),
    ],
)
def test_durations_in_words(ms: float, said: str) -> None:
    assert duration(ms) == said


def test_times_of_a_run() -> None:
    assert [clock(ms) for ms in (0, 65_000, 7_200_000, 108_000_000)] == ["0:00", "1:05", "2:00:00", "1d 06:00:00"]
    assert clock(1_234, fine=True) == "0:01.234"


def test_text_that_could_not_be_seen_is_written_out() -> None:
    assert text("a\u202eb\x07") == r"a\u202eb\u0007"
    assert text("x" * 700).endswith("…")
