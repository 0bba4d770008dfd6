"""`/metrics` in the text format of Prometheus, made anew for each request from what the server counts anyway.

Labels have a bounded number of values: states, outcomes, codes. No label names a device, an order, a place or a person.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from enum import StrEnum
from itertools import accumulate
from typing import Final, NamedTuple

from prometheus_client import CollectorRegistry, Metric, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.registry import Collector
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from bridge.entrypoints.http.gauges import GaugeReader, Gauges
from bridge.ingest.steps import Step
from bridge.operations.figure_ports import ServerFigures, SpreadFigures
from bridge.operations.ports import SiteContext
from devices.protocol.vocabulary import ORDER_STATE_WORDS, AlertCode, Outcome

PREFIX: Final = "dockbridge_"
TEXT: Final = "text/plain; version=0.0.4; charset=utf-8"
"""The form that every version of Prometheus reads."""


class _Named(NamedTuple):
    """A counter or gauge that the server holds under another name."""

    name: str
    about: str


COUNTERS: Final[Mapping[str, _Named]] = {
    "connections": _Named("connections_opened", "Connections"),
    "turned_away": _Named("connections_turned_away", "Connections beyond broker.connections_max or broker.connections_per_address_max"),
    "taken_over": _Named("connections_taken_over", "Connections ended by another of the same client id"),
    "handshakes_failed": _Named("tls_handshakes_failed", "TLS handshakes that failed"),
    "refused": _Named("logins_refused", "Logins refused"),
    "slowed": _Named("logins_slowed", "Logins that had to wait because others of their device or address had failed"),
    "denied": _Named("publishes_denied", "Publishes and topic filters that were not allowed"),
    "too_large": _Named("packets_too_large", "Packets larger than broker.packet_bytes_max"),
    "protocol_errors": _Named("protocol_errors", "Connections closed because the client broke the protocol"),
    "faults": _Named("packet_faults", "Packets that the server itself failed to handle"),
    "dropped": _Named("queues_overflowed", "Queues of sessions that overflowed"),
    "evicted": _Named("sessions_evicted", "Sessions that ended to make room for newer ones of their device"),
}
"""What the broker counts since its start."""

HELD: Final[Mapping[str, _Named]] = {
    "connected": _Named("connections_open", "Connections now"),
    "sessions": _Named("sessions", "Sessions, connected or kept"),
    "waiting": _Named("session_messages_waiting", "Messages that wait for a client"),
    "in_flight": _Named("session_messages_in_flight", "Messages that a client has not acknowledged yet"),
    "retained": _Named("retained_topics", "Retained topics, without those of orders"),
    "unstored": _Named("queue_messages", "Messages that wait for the database"),
    "store_failing": _Named("store_failing", "1 while the database can't be written: until it can, nothing is acknowledged"),
}
"""What the broker holds now."""


def counter(name: str, about: str, value: float) -> Metric:
    return CounterMetricFamily(PREFIX + name, about, value=value)


def gauge(name: str, about: str, value: float) -> Metric:
    return GaugeMetricFamily(PREFIX + name, about, value=value)


def _by_word(
    family: type[CounterMetricFamily | GaugeMetricFamily], name: str, about: str, label: str, counts: Mapping[str, float], words: Iterable[str]
) -> Metric:
    """One series for each word, also for those of which there are none: a series that comes and goes is hard to watch."""
    made = family(PREFIX + name, about, labels=(label,))
    for word in words:
        made.add_metric((word,), counts.get(word, 0))
    return made


def _spread(name: str, about: str, spread: SpreadFigures) -> Metric:
    sums = list(accumulate(spread.counts))
    buckets = [*((str(bound), count) for bound, count in zip(spread.bounds, sums, strict=False)), ("+Inf", sums[-1])]
    return HistogramMetricFamily(PREFIX + name, about, buckets=buckets, sum_value=spread.total)


def of_server(figures: ServerFigures) -> Iterator[Metric]:
    """What the running server counts."""
    built = GaugeMetricFamily(f"{PREFIX}build_info", "The server's version", labels=("version",))
    built.add_metric((figures.version,), 1)
    yield built
    yield gauge("start_time_seconds", "Since when the server serves, in seconds since 1970", figures.since_ms / 1000)
    for key, (name, about) in COUNTERS.items():
        yield counter(name, f"{about}, since the start", figures.counters.get(key, 0))
    for key, (name, about) in HELD.items():
        yield gauge(name, about, figures.counters.get(key, 0))
    yield gauge("queue_bytes", "Bytes of payload that wait for the database", figures.queue_bytes)
    yield gauge("sessions_owed", "Sessions that messages wait for", figures.sessions_owed)
    yield counter("received_bytes", "Bytes of MQTT received, since the start", figures.received_bytes)
    yield counter("sent_bytes", "Bytes of MQTT sent, since the start", figures.sent_bytes)
    yield _spread("commit_seconds", "How long each batch took to be committed", figures.commit_s)
    yield _spread("batch_messages", "How many messages and changes each batch had", figures.messages)
    about = "Seconds spent on batches, by step: commit, show (into the sessions), answer (acknowledge and write to the sockets)"
    yield _by_word(CounterMetricFamily, "step_seconds", about, "step", figures.took_s, _words(Step))
    yield gauge("loop_lag_seconds", "The longest that a timer of the event loop waited for its turn in the last 30 to 60 seconds", figures.lag_s)


def of_store(gauges: Gauges, devices_on: int) -> Iterator[Metric]:
    """What is counted in the database and seen in the site's folder."""
    stored, around = gauges.stored, gauges.surroundings
    yield _by_word(CounterMetricFamily, "events", "Events stored since the start, by their outcome at the reading", "outcome", gauges.outcomes, _words(Outcome))
    yield _by_word(GaugeMetricFamily, "orders", "Orders by state", "state", stored.orders, ORDER_STATE_WORDS)
    yield gauge("orders_stuck", "Orders that wait for a person, at most a minute old", gauges.stuck)
    yield _by_word(GaugeMetricFamily, "alerts", "Alerts that are raised now, by code", "code", stored.alerts, _words(AlertCode))
    yield gauge("quarantined_messages", "Messages in quarantine", stored.quarantined)
    yield gauge("parked_events", "Events that wait for their order", stored.parked)
    devices = {"on": devices_on, "off": max(0, stored.devices - devices_on)}
    yield _by_word(GaugeMetricFamily, "devices", "Devices that may log in, by whether they are connected", "connection", devices, devices)
    yield gauge("devices_owing", "Devices that owe events", stored.owing)
    yield gauge("events_owed", "Events that devices owe", stored.owed)
    yield gauge("notices_waiting", "Notices for customers that wait to be sent", gauges.notices.waiting)
    oldest_ms = gauges.notices.oldest_ms
    age_s = (gauges.read_ms - oldest_ms) / 1000 if oldest_ms is not None else 0
    yield gauge("notices_oldest_seconds", "How long the oldest of them has waited, in seconds; 0 if none waits", age_s)
    yield gauge("notices_aside", "Notices for customers that were put aside because they could not be sent", gauges.notices.aside)
    yield gauge("database_bytes", "Size of the database file", around.database_bytes)
    yield gauge("database_wal_bytes", "Size of the database's write-ahead log", around.wal_bytes)
    yield gauge("disk_free_bytes", "Free space on the disk of the site's folder", around.disk_free_bytes)
    if around.backup_ms is not None:
        yield gauge("last_backup_timestamp_seconds", "When the last backup was made, in seconds since 1970; left out if there is none", around.backup_ms / 1000)
    ends = {c.certificate: c.ends_ms / 1000 for c in around.certificates}
    yield _by_word(
        GaugeMetricFamily, "certificate_expiry_timestamp_seconds", "When each certificate of the site ends, in seconds since 1970", "certificate", ends, ends
    )


def _words(words: type[StrEnum]) -> list[str]:
    return [word.value for word in words]


class _Once(Collector):
    """Metrics that were read for one answer."""

    def __init__(self, metrics: list[Metric]) -> None:
        self._metrics = metrics

    def collect(self) -> Iterable[Metric]:
        return self._metrics


class Metrics:
    """Answers `/metrics`."""

    def __init__(self, site: SiteContext, reader: GaugeReader) -> None:
        self._site = site
        self._reader = reader

    async def text(self) -> bytes:
        """Every metric now. If the database can't be read, what is counted in it is left out."""
        metrics: list[Metric] = []
        figures = self._site.figures
        if figures is not None:
            metrics += of_server(figures)
        gauges = await self._reader.read()
        metrics.append(gauge("store_readable", "1 if the database could be read for this answer", int(gauges is not None)))
        if gauges is not None:
            metrics += of_store(gauges, figures.devices_on if figures is not None else 0)
        registry = CollectorRegistry(auto_describe=False)
        registry.register(_Once(metrics))
        ProcessCollector(registry=registry)
        return generate_latest(registry)


def routes(metrics: Metrics) -> list[Route]:
    """The route of a site's metrics."""

    async def scrape(request: Request) -> Response:
        return Response(await metrics.text(), headers={"Content-Type": TEXT, "Cache-Control": "no-store"})

    return [Route("/metrics", scrape)]
