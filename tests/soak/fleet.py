"""A mixed fleet against a server for a long time: half of it keeps to the protocol, half of it does not. Run by hand:

    python tests/soak/fleet.py --minutes 30 --clients 500

prints the server's memory and file descriptors over time, a line fitted to the memory after a warm-up, how long acknowledgements took, and how many of the good
clients' messages were lost or doubled, which must be none. Each bad client misbehaves in one way (`bad.py`). All come from one address, so that those with
a wrong password stand beside the good ones.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "firmware-sim"), str(ROOT / "tests")]

from helpers.server import Server, enrol  # noqa: E402 -- if run by hand, it needs the folders above first
from soak import bad  # noqa: E402
from soak.good import Book, Courier, Desk, Gear, Good, Place, Scanner, Shop  # noqa: E402

from devices.protocol.vocabulary import Role  # noqa: E402

SAMPLE_S: Final = 10.0
WARM_UP_S: Final = 300.0
END_S: Final = 60.0
DESKS: Final = 4
SETTINGS: Final[dict[str, Any]] = {
    # What the server keeps by design has tight limits here, so that they are reached during the warm-up.
    "broker": {"session_queue_max": 1_000},
    "ingest": {"orders_cached_max": 300, "quarantine_entries_max": 500},
    "orders": {"status_keep_days": 0.001, "sweep_every_s": 5.0},
}


@dataclass(frozen=True, kw_only=True)
class Sample:
    """The state of the server at one moment."""

    at_s: float
    rss_mb: float
    fds: int
    threads: int
    database_mb: float
    puback_p50_ms: float
    puback_p99_ms: float
    counters: dict[str, int]


@dataclass
class Result:
    """The results of a soak."""

    clients: int = 0
    minutes: float = 0.0
    warm_up_s: float = WARM_UP_S
    samples: list[Sample] = field(default_factory=list)
    growth_mb_per_hour: float = 0.0
    growth_at_the_end_mb_per_hour: float = 0.0
    """The growth in the last third."""
    puback_p50_ms: float = 0.0
    puback_p99_ms: float = 0.0
    counts: dict[str, int] = field(default_factory=dict)
    events: int = 0
    """Events of good clients that were acknowledged."""
    events_lost: int = 0
    events_doubled: int = 0
    receipts_lost: int = 0
    messages: int = 0
    """QoS 1 and 2 messages between good clients that were acknowledged."""
    messages_lost: int = 0
    messages_doubled: int = 0
    """Messages at QoS 2 that were delivered twice."""
    log_faults: list[str] = field(default_factory=list)
    exit_code: int | None = None

    @property
    def is_clean(self) -> bool:
        """Whether no message is lost or doubled, every connection was closed that had to be, and the server ended cleanly."""
        lost = self.events_lost + self.events_doubled + self.receipts_lost + self.messages_lost + self.messages_doubled
        not_closed = any(name.startswith("not closed") for name in self.counts)
        return not lost and not not_closed and not self.log_faults and self.exit_code == 0

    @property
    def settled(self) -> list[Sample]:
        """The samples after the warm-up."""
        end_s = self.samples[-1].at_s
        return [s for s in self.samples if s.at_s >= min(self.warm_up_s, end_s / 3)]

    @property
    def last_third(self) -> list[Sample]:
        return self.samples[-max(2, len(self.samples) // 3) :]


# --- the server -------------------------------------------------------------------------------------------------------------


def sample(server: Server, at_s: float, latencies_ms: Sequence[float]) -> Sample:
    return Sample(
        at_s=round(at_s, 1),
        rss_mb=round(server.memory_bytes() / 1_048_576, 1),
        fds=server.open_files(),
        threads=server.threads(),
        database_mb=round(server.database.stat().st_size / 1_048_576, 1),
        puback_p50_ms=_at(latencies_ms, 0.5),
        puback_p99_ms=_at(latencies_ms, 0.99),
        counters=server.counters(),
    )


def log_faults(server: Server) -> list[str]:
    """Tracebacks and errors in its log."""
    return [line for line in server.log() if "Traceback" in line or "ERROR" in line or "CRITICAL" in line][:20]


def stored(server: Server) -> Counter[bytes]:
    """How often each event is in the event log, read from the file that the server left."""
    return Counter(bytes(row[0]) for row in server.rows("SELECT id FROM events WHERE device != 'bridge'"))


def _at(values: Sequence[float], share: float) -> float:
    ordered = sorted(values)
    return round(ordered[min(len(ordered) - 1, int(len(ordered) * share))], 1) if ordered else 0.0


# --- the fleet --------------------------------------------------------------------------------------------------------------


def roles(clients: int) -> dict[str, Role]:
    """The clients: half of them are good. Half of the good ones scan, a quarter are couriers, and the rest are a shop, desks and laboratory gear."""
    good = clients // 2
    scanners, couriers = good // 2, max(1, good // 4)
    gear = max(2, good - scanners - couriers - DESKS - 1)
    fleet = {"shop": Role.SYSTEM}
    fleet |= {f"desk-{n}": Role.DESK for n in range(DESKS)}
    fleet |= {f"scan-{n}": Role.SCANNER for n in range(scanners)}
    fleet |= {f"phone-{n}": Role.COURIER for n in range(couriers)}
    fleet |= {f"gear-{n}": Role.LAB for n in range(gear)}
    fleet |= {f"bad-{n}": bad.BEHAVIOURS[n % len(bad.BEHAVIOURS)].role for n in range(clients - len(fleet))}
    return fleet


def _good(place: Place, fleet: dict[str, Role]) -> list[Good]:
    shop = Shop(place, "shop")
    couriers = [Courier(place, d) for d in fleet if d.startswith("phone-")]
    scanners = [d for d in fleet if d.startswith("scan-")]
    gear = [d for d in fleet if d.startswith("gear-")]
    return [
        shop,
        *couriers,
        *(Scanner(place, d, shop, couriers[n % len(couriers)]) for n, d in enumerate(scanners)),
        *(Gear(place, d, gear[(n + 1) % len(gear)]) for n, d in enumerate(gear)),
        *(Desk(place, d) for d in fleet if d.startswith("desk-")),
    ]


async def _run(server: Server, fleet: dict[str, Role], *, seconds: float, seed: int, say: bool) -> tuple[Book, list[Sample]]:
    book = Book()
    place = Place(server.address, book, random.Random(seed), asyncio.Event())
    good = _good(place, fleet)
    samples: list[Sample] = []
    # All good clients subscribe before any message is sent: a message that was sent earlier is not owed to them.
    await asyncio.gather(*(client.connected() for client in good))
    lives = [asyncio.create_task(client.live(), name=client.device) for client in good]
    villains = [d for d in fleet if d.startswith("bad-")]
    bads = [asyncio.create_task(bad.live(bad.BEHAVIOURS[n % len(bad.BEHAVIOURS)], place, d), name=d) for n, d in enumerate(villains)]
    begun_s = time.monotonic()
    seen = 0
    while (at_s := time.monotonic() - begun_s) < seconds:
        await asyncio.sleep(min(SAMPLE_S, seconds - at_s))
        latencies, seen = book.latencies_ms[seen:], len(book.latencies_ms)
        samples.append(await asyncio.to_thread(sample, server, time.monotonic() - begun_s, latencies))
        if say:
            _say(samples[-1])
        for task in (*lives, *bads):
            if task.done():
                task.result()
    place.ending.set()
    await asyncio.wait_for(asyncio.gather(*lives), END_S)
    for task in bads:
        task.cancel()
    await asyncio.gather(*bads, return_exceptions=True)
    await _fetch_the_rest(good, book)
    await place.hang_up()
    return book, samples


async def _fetch_the_rest(good: list[Good], book: Book) -> None:
    """All good clients reconnect once more, and stay until no message is missing."""
    end_s = time.monotonic() + END_S
    while time.monotonic() < end_s and (book.events.keys() - book.receipts or book.sent.keys() - book.heard.keys()):
        await asyncio.gather(*(client.connected() for client in good))
        await asyncio.sleep(0.2)
    for client in good:
        if client.link is not None:
            client.link.goodbye()


def _say(sample: Sample) -> None:
    c = sample.counters
    doing = f"{c.get('connected', 0)} connected, {c.get('sessions', 0)} sessions, {c.get('waiting', 0)} waiting, {c.get('retained', 0)} retained"
    print(
        f"{sample.at_s:6.0f} s  {sample.rss_mb:6.1f} MB  {sample.fds:4} fds  database {sample.database_mb:5.1f} MB  {sample.threads:2} threads"
        f"  PUBACK {sample.puback_p50_ms:6.1f} / {sample.puback_p99_ms:7.1f} ms  {doing}",
        flush=True,
    )


# --- the whole --------------------------------------------------------------------------------------------------------------


def soak(folder: Path, *, seconds: float, clients: int, seed: int = 1, warm_up_s: float = WARM_UP_S, say: bool = False) -> Result:
    """Start a server in a folder, run the fleet against it, stop it, and check the files that it left."""
    server = Server(folder / "site", is_fresh=True, **SETTINGS)
    fleet = roles(clients)
    enrol(server.database, fleet)
    with server:
        book, samples = asyncio.run(_run(server, fleet, seconds=seconds, seed=seed, say=say))
        code = server.end()
    events = stored(server)
    result = Result(
        clients=clients, minutes=round(seconds / 60, 2), warm_up_s=warm_up_s, samples=samples, counts=dict(sorted(book.counts.items())), exit_code=code
    )
    result.growth_mb_per_hour = _growth(result.settled)
    result.growth_at_the_end_mb_per_hour = _growth(result.last_third)
    result.puback_p50_ms, result.puback_p99_ms = _at(book.latencies_ms, 0.5), _at(book.latencies_ms, 0.99)
    result.events = len(book.events)
    result.events_lost = sum(1 for i in book.events if not events[i])
    result.events_doubled = sum(1 for i in book.events if events[i] > 1)
    result.receipts_lost = len(book.events.keys() - book.receipts)
    result.messages = len(book.sent)
    result.messages_lost = len(book.sent.keys() - book.heard.keys())
    result.messages_doubled = sum(1 for key, qos in book.sent.items() if qos == 2 and book.heard[key] > 1)
    result.log_faults = log_faults(server)
    return result


def _growth(samples: Sequence[Sample]) -> float:
    """MB per hour, from a line fitted to the memory (least squares)."""
    n = len(samples)
    hours = [s.at_s / 3_600 for s in samples]
    mean_h, mean_mb = sum(hours) / n, sum(s.rss_mb for s in samples) / n
    spread = sum((h - mean_h) ** 2 for h in hours)
    return round(sum((h - mean_h) * (s.rss_mb - mean_mb) for h, s in zip(hours, samples, strict=True)) / spread, 2) if spread else 0.0


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--clients", type=int, default=500)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--warm-up", type=float, default=WARM_UP_S / 60, metavar="MINUTES", help="where the line through the memory begins")
    parser.add_argument("--json", type=Path, help="write every figure here")
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="dockbridge-soak-"))
    result = soak(folder, seconds=options.minutes * 60, clients=options.clients, seed=options.seed, warm_up_s=options.warm_up * 60, say=True)
    if options.json is not None:
        options.json.write_text(json.dumps(asdict(result), indent=2))
    first, last = result.settled[0], result.settled[-1]
    print(f"{result.clients} clients, {result.minutes} minutes; the line begins after {first.at_s:.0f} s")
    print(f"memory {first.rss_mb} → {last.rss_mb} MB, {result.growth_mb_per_hour:+} MB/h, in the last third {result.growth_at_the_end_mb_per_hour:+} MB/h")
    print(f"database {first.database_mb} → {last.database_mb} MB; file descriptors {first.fds} → {last.fds}")
    print(f"PUBACK p50 {result.puback_p50_ms} ms, p99 {result.puback_p99_ms} ms")
    print(f"events {result.events}: {result.events_lost} lost, {result.events_doubled} doubled, {result.receipts_lost} without a receipt")
    print(f"messages {result.messages}: {result.messages_lost} lost, {result.messages_doubled} doubled at QoS 2")
    for name, count in {**result.counts, **{f"server: {k}": v for k, v in last.counters.items()}}.items():
        print(f"  {count:8}  {name}")
    for line in result.log_faults:
        print(f"  log: {line}")
    if result.is_clean:
        shutil.rmtree(folder)
    else:
        print(f"not clean (exit {result.exit_code}); the site and the log are in {folder}")
        sys.exit(1)


if __name__ == "__main__":
    main()
