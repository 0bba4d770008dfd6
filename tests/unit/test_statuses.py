"""The retained statuses that are read from the tables: every topic that a filter matches is returned once, in pages, beginning at any place."""

from __future__ import annotations

from pathlib import Path

import cbor2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bridge.ingest.ports import NOT_YET, PAGE_END, StoreUnavailable
from bridge.ingest.relation import Writes
from bridge.projections.orders import ORDERS, PARCELS, OrderRow, ParcelRow
from bridge.store import statuses
from bridge.store.loop_reader import LoopReader
from bridge.store.migrate import migrate
from bridge.store.sql import SqlStore
from bridge.store.sqlite import open_engine
from bridge.store.statuses import Statuses
from devices.protocol.topics import Topics, matches

TOPICS = Topics("ams1")
NAMES = ["a", "PO 17/3", "~", "b-1", "b-2", "订单", "z"]
HIDDEN = {"never created": OrderRow("v", 2, "", b"", "", 0, 0, None, b""), "taken down": OrderRow("w", 9, "delivered", b"h", "", 0, 0, None, b"x")}
SHOWN = {TOPICS.status(o): b"of " + o.encode() for o in NAMES} | {TOPICS.parcel(o, p): f"{p} of {o}".encode() for o in NAMES[1:] for p in ("p1", "p/2")}


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("site") / "dockbridge.db"
    engine = open_engine(path)
    migrate(engine, path)
    writes = Writes()
    writes.rows(ORDERS).extend(OrderRow(o, 1, "packed", b"h", "", 0, 0, None, b"of " + o.encode()) for o in NAMES)
    writes.rows(ORDERS).extend(HIDDEN.values())
    writes.rows(PARCELS).extend(ParcelRow(o, p, "packed", b"h", "", f"{p} of {o}".encode()) for o in NAMES[1:] for p in ("p1", "p/2"))
    writes.rows(PARCELS).append(ParcelRow("w", "p1", "delivered", b"h", "", b"of an order that is not shown any more"))
    store = SqlStore(engine)
    with store.transaction() as tx:
        tx.write(writes)
    store.close()
    return path


def read(kept: Statuses, topic_filter: str, after: str = "") -> list[str]:
    """All topics after a place, page by page."""
    found: list[str] = []
    goes_on: str | None = after
    while goes_on is not None:
        topics, goes_on = kept.page(topic_filter, goes_on)
        found += topics
        assert goes_on is None or kept.covers(goes_on.removesuffix(PAGE_END))
    return found


LEVELS = st.sampled_from(["v1", "ams1", "orders", "status", "parcels", "p1", "p~2F2", "PO~2017~2F3", "b-1", "w", "~", "none", "+", "+", "#"])
FILTERS = st.builds(
    lambda base, below: "/".join([*base, *below]),
    st.sampled_from([(), ("v1",), ("v1", "ams1"), ("v1", "ams1", "orders"), ("+", "+", "+"), ("v1", "other", "orders")]),
    st.lists(LEVELS, min_size=1, max_size=4),
).filter(lambda f: "#" not in f[:-1])


@settings(derandomize=True, deadline=None, max_examples=300)
@given(FILTERS, st.sampled_from([1, 2, 3, 256]), st.sampled_from(["", *SHOWN]))
def test_every_topic_comes_once_and_from_anywhere_on(database: Path, topic_filter: str, page: int, after: str) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(statuses, "PAGE_ORDERS", page)
        kept = Statuses(LoopReader(database), TOPICS, None)
        every = read(kept, topic_filter)
        assert sorted(every) == sorted(t for t in SHOWN if matches(topic_filter, t))
        rest = read(kept, topic_filter, after)
        assert len(set(rest)) == len(rest)
        # After a crash, reading continues at the topic that was handed over last: with all of its order, and all topics after it.
        assert set(every[every.index(after) :] if after in every else ()) <= set(rest) <= set(every)


def test_what_is_shown_is_there_and_nothing_else(database: Path) -> None:
    kept = Statuses(LoopReader(database), TOPICS, None)
    assert {t: kept.get(t) for t in SHOWN} == SHOWN
    odd = ("v1/ams1/orders/a~2/status", "v1/ams1/orders/a/b/status", "v1/ams1/orders/a/parcels/p1/x", "v1/ams1/orders/a/x/parcels/")
    for topic in (TOPICS.status("v"), TOPICS.status("w"), TOPICS.parcel("w", "p1"), TOPICS.parcel("a", "p1"), TOPICS.status("none"), *odd):
        assert kept.get(topic) is None, topic
    assert not kept.covers(TOPICS.position("a"))
    assert not kept.covers(TOPICS.receipts("scan-1"))


def test_a_site_that_publishes_otherwise_reads_otherwise(database: Path) -> None:
    kept = Statuses(LoopReader(database), TOPICS, lambda plain: f"said: {plain}".encode())
    with SqlStore(open_engine(database)).transaction() as tx:
        tx.connection.exec_driver_sql("UPDATE orders SET status = ? WHERE order_id = 'z'", (cbor2.dumps({"rev": 1}),))
    assert kept.get(TOPICS.status("z")) == b"said: {'rev': 1}"
    with SqlStore(open_engine(database)).transaction() as tx:
        tx.connection.exec_driver_sql("UPDATE orders SET status = ? WHERE order_id = 'z'", (b"of z",))


def test_tables_that_cant_be_read_are_no_empty_tables(tmp_path: Path) -> None:
    kept = Statuses(LoopReader(tmp_path / "none.db"), TOPICS, None)
    assert (kept.get(TOPICS.status("a")), kept.page("#", "")) == (NOT_YET, NOT_YET)
    with pytest.raises(StoreUnavailable):
        kept.read(TOPICS.status("a"))
    with pytest.raises(StoreUnavailable):
        kept.read_page("#", "")
