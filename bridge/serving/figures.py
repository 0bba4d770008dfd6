"""The running server in figures, read where they are counted. Nothing is counted for their sake."""

from __future__ import annotations

from bridge import __version__
from bridge.ingest.steps import Spread
from bridge.operations.figure_ports import ServerFigures, SpreadFigures
from bridge.operations.notice_ports import ChannelNow
from bridge.serving.open_site import OpenSite
from bridge.serving.parts import SiteBroker


def server_figures(site: OpenSite, broker: SiteBroker, counters: dict[str, int], notices: ChannelNow, since_ms: int) -> ServerFigures:
    """What a server has counted by now; call it on the event loop."""
    steps, now_s = site.pipeline.steps, site.clock.now_s()
    began_s = steps.committing_since_s
    return ServerFigures(
        version=__version__,
        since_ms=since_ms,
        counters=counters,
        queue_bytes=site.pipeline.waiting_bytes,
        sessions_owed=sum(1 for s in broker.door.sessions if s.waiting or s.in_flight),
        devices_on=len(set(broker.door.online)),
        received_bytes=broker.received_bytes,
        sent_bytes=broker.sent_bytes,
        commit_s=_spread(steps.commit_s),
        messages=_spread(steps.messages),
        took_s={step.value: took_s for step, took_s in steps.took_s.items()},
        committing_s=now_s - began_s if began_s is not None else None,
        notices=notices,
        lag_s=broker.lag.worst_s(now_s),
    )


def _spread(spread: Spread) -> SpreadFigures:
    return SpreadFigures(bounds=list(spread.bounds), counts=list(spread.counts), total=spread.total)
