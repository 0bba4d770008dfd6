"""The benchmark suite's own arithmetic: rounds, ratios, targets, the open loop, histograms and reports, on figures made by hand."""

from __future__ import annotations

import shutil
from pathlib import Path
from xml.etree import ElementTree

import pytest
from benchmarks.__main__ import CHART, write
from benchmarks.lines import from_lines, to_lines
from benchmarks.load.latency import latency_ms
from benchmarks.load.pace import Phase, by_second, due_s, recovered_after_s
from benchmarks.load.story import ORDER_STORY, plan
from benchmarks.load.wire import length, publish
from benchmarks.machine import Cores
from benchmarks.report import chart, markdown, to_json, where_of, write_into
from benchmarks.rounds import OURS, Measurement, Row, Target, alternate, best_ways, row

NOW_MS = 1_790_000_000_000


def rates(**by_name: list[float]) -> dict[str, list[dict[str, float]]]:
    return {name: [{"per_s": v} for v in values] for name, values in by_name.items()}


def rate_row(target: Target | None = None, **by_name: list[float]) -> Row:
    return row("100 devices", "events/s", rates(**by_name), lambda r: float(r["per_s"]), more_is_better=True, target=target)


def test_contestants_take_turns_and_another_begins_each_round() -> None:
    order: list[str] = []
    alternate({name: lambda n=name: order.append(n) for name in ("a", "b", "c")}, 3)
    assert "".join(order) == "abcbcacab"


def test_a_ratio_is_of_medians_to_the_best_of_the_others() -> None:
    found = rate_row(Target(text="2 x", ratio_min=2.0), dockbridge=[100, 300, 200], slow=[10, 10, 10], fast=[90, 110, 100])
    spread = found.values[OURS]
    assert (spread.median, spread.lowest, spread.highest, spread.rounds) == (200, 100, 300, 3)
    assert (found.rival, found.ratio, found.is_met) == ("fast", 2.0, True)


def test_of_times_the_lowest_is_the_best() -> None:
    results = {OURS: [{"ms": 5.0}], "one": [{"ms": 4.0}], "other": [{"ms": 9.0}]}
    found = row("case", "ms", results, lambda r: r["ms"], more_is_better=False, target=Target(text="not above", ratio_max=1.0))
    assert (found.rival, found.ratio, found.is_met) == ("one", 1.25, False)


def test_a_bound_is_of_our_own_figure() -> None:
    target = Target(text="none", most=0.0)
    assert target.is_met(0.0, None)
    assert not target.is_met(1.0, None)
    assert Target(text="at least 2.0 x", ratio_min=2.0).is_met(1.0, None) is None


def test_a_contestant_is_compared_by_the_way_that_suits_it() -> None:
    results = rates(ours=[5.0], **{"rival": [3.0, 4.0, 5.0], "rival, window by PUBACK": [1.0, 6.0, 7.0]})
    assert best_ways(results) == {"ours": [{"per_s": 5.0}], "rival": [{"per_s": 1.0}, {"per_s": 6.0}, {"per_s": 7.0}]}


def test_what_is_due_is_fixed_beforehand() -> None:
    phases = [Phase(2, 2), Phase(4, 1), Phase(1, 1)]
    assert due_s(phases) == [0.0, 0.5, 1.0, 1.5, 2.0, 2.25, 2.5, 2.75, 3.0]
    assert [p.events for p in phases] == [4, 4, 1]


def test_a_stall_counts_for_everything_that_was_due_meanwhile() -> None:
    """A server that stands still for a second: every event that was due in it is late by the rest of it, although it could be written only afterwards."""
    due = due_s([Phase(10, 2)])
    latency = [max(0.0, 1.0 - d) for d in due]
    assert {second: max(some) for second, some in by_second(due, latency).items()} == {0: 1.0, 1: 0.0}
    assert sum(at > 0 for at in latency) == 10


@pytest.mark.parametrize(
    ("p99", "after"),
    [({9: 900, 10: 100, 11: 90}, 0), ({10: 900, 11: 700, 12: 100}, 2), ({10: 100, 11: 700, 12: 100}, 2), ({10: 700, 11: 700}, None)],
)
def test_it_is_over_when_every_later_second_is_fast(p99: dict[int, float], after: int | None) -> None:
    assert recovered_after_s(p99, 10, 600) == after


def test_quantiles_are_of_all_values_to_three_digits() -> None:
    found = latency_ms(n / 1000 for n in range(1, 1001))
    assert found["count"] == 1000
    assert found["p50"] == pytest.approx(500, rel=0.001)
    assert found["p99"] == pytest.approx(990, rel=0.001)
    assert found["p99_9"] == pytest.approx(999, rel=0.001)
    assert found["max"] == pytest.approx(1000, rel=0.001)
    assert latency_ms([])["count"] == 0


def test_every_order_is_told_whole_and_each_device_counts_without_gaps() -> None:
    made = plan(10, 25, now_ms=NOW_MS)
    early = sum(len(d.before) for d in made.fleet)
    assert early == 3 * 10
    assert made.events + early == 25 * len(ORDER_STORY)
    assert len({p.event_id for d in made.fleet for p in (*d.before, *d.todo)}) == 25 * len(ORDER_STORY)
    assert {d.name for d in made.sequence} == {d.name for d in made.fleet}


def test_a_fleet_of_one_is_a_scanner_whose_shop_has_sent_before() -> None:
    made = plan(1, 4, now_ms=NOW_MS)
    assert {d.name: (len(d.before), len(d.todo)) for d in made.fleet} == {"shop-0": (12, 0), "scan-0": (0, 88)}


def test_a_publish_is_written_as_the_specification_says() -> None:
    assert publish(b"a/b", b"xy", 1, 10) == b"\x32\x09\x00\x03a/b\x00\x0axy"
    assert publish(b"a/b", b"xy", 0, retain=True) == b"\x31\x07\x00\x03a/bxy"
    assert [length(n) for n in (0, 127, 128, 16_383, 16_384)] == [b"\x00", b"\x7f", b"\x80\x01", b"\xff\x7f", b"\x80\x80\x01"]


def measured() -> Measurement:
    found = Measurement("end-to-end", "End to end", notes=["a | note"])
    found.rows.append(rate_row(Target(text="at least 2.0 x", ratio_min=2.0), dockbridge=[1500, 1400, 1600], amqtt=[1000, 1000, 1000]))
    return found


def test_the_table_says_if_a_target_is_missed() -> None:
    block = markdown([measured()])
    assert "| 100 devices | events/s | 1,500 (1,400 to 1,600) | 1,000 | 1.50 | at least 2.0 x: MISSED |" in block


def test_the_block_of_a_readme_is_replaced_and_nothing_else(tmp_path: Path) -> None:
    readme = tmp_path / "README.md"
    readme.write_text("before\n<!-- results -->\nold\n<!-- end of results -->\nafter\n")
    write_into(readme, "new\n")
    write_into(readme, "newer\n")
    assert readme.read_text() == "before\n<!-- results -->\nnewer\n<!-- end of results -->\nafter\n"
    with pytest.raises(ValueError, match="results"):
        write_into(Path(__file__).with_name("test_topics.py"), "")


def test_the_suites_readme_has_a_place_for_its_results(tmp_path: Path) -> None:
    copy = tmp_path / "README.md"
    copy.write_text((Path(__file__).parents[1] / "benchmarks" / "README.md").read_text())
    write_into(copy, "here\n")
    assert "\nhere\n" in copy.read_text()


def test_the_chart_is_an_image_for_light_and_dark_pages_with_words_for_who_cannot_see_it() -> None:
    made = chart(measured().rows, title="Events < all", below="a machine")
    root = ElementTree.fromstring(made)
    assert root.tag.endswith("svg")
    assert "prefers-color-scheme: dark" in made
    assert "Dockbridge 1,500" in root.attrib["aria-label"]
    widths = [float(r.attrib["width"]) for r in root.iter("{http://www.w3.org/2000/svg}rect")]
    assert widths[1] / widths[0] == pytest.approx(1000 / 1500, rel=0.01)


def test_what_is_written_down_is_read_back_as_it_was() -> None:
    found = measured()
    some = {OURS: [{"ms": 5.0}, {"ms": 3.0}], "mosquitto": [{"ms": 4.0}]}
    found.rows.append(row("100 devices", "PUBACK, ms", some, lambda r: r["ms"], more_is_better=False, against=("mosquitto",)))
    found.rows.append(row("1 device", "PUBACK, ms", some, lambda r: r["ms"], more_is_better=False))
    found.where = where_of(Cores(0, 1))
    assert "on a core each" in found.where
    lines = list(to_lines(found))
    assert from_lines(lines) == found
    assert len(lines) == 1 + 3 + (3 + 3 + 1) + 3, "a head, a line a row, a line a contestant and round of each case"


def test_the_tables_of_the_readme_are_made_of_the_results_that_are_kept(tmp_path: Path) -> None:
    suite = Path(__file__).parents[1] / "benchmarks"
    shutil.copytree(suite / "results", tmp_path / "results")
    shutil.copy(suite / "README.md", tmp_path)
    write(tmp_path / "results", tmp_path / "README.md")
    for made in (Path("README.md"), Path("results") / CHART):
        assert (tmp_path / made).read_text() == (suite / made).read_text()


def test_data_has_ratios_and_verdicts_beside_the_figures() -> None:
    plain = to_json(measured())
    assert (plain["rows"][0]["ratio"], plain["rows"][0]["met"]) == (1.5, False)
