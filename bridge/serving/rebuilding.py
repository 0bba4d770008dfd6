"""A rebuild while the site is open: derive everything again from the event log, then publish what has changed."""

from __future__ import annotations

from bridge.ingest.items import Message
from bridge.ingest.replay import NoSessions
from bridge.operations.ports import OnProgress
from bridge.serving.open_site import OpenSite, encode_anew
from bridge.store.replaying import Rebuilt, rebuild
from devices.protocol.topics import escape


async def rebuild_site(site: OpenSite, on_progress: OnProgress) -> Rebuilt:
    """Rebuild, and publish retained messages that are different now.

    Raises:
        StoreUnavailable: if the store can't take writes now.
    """
    done = await site.writer.run(lambda: _rebuild(site, on_progress))
    if site.outlet.broker is not None:
        retained = site.outlet.broker.door.retained
        for message in site.queries.retained(encode_anew(site.rules)):
            if (shown := retained.held(message.topic)) is None or shown.payload != message.payload:
                site.announce(message)
        for order_id in done.changed:
            for topic in {site.topics.status(order_id), *site.statuses.read_page(f"{site.topics.base}/orders/{escape(order_id)}/#", "").topics}:
                site.announce(Message(topic, site.statuses.read(topic) or b"", 1, True))
    return done


def _rebuild(site: OpenSite, on_progress: OnProgress) -> Rebuilt:
    with site.store.transaction() as tx:
        done = rebuild(tx.connection, site.ingest_of(site.rules, site.settings, NoSessions()), now_ms=site.clock.now_ms(), on_progress=on_progress)
    site.settler.forget()
    return done
