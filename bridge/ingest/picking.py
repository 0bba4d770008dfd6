"""A pick arrives: what the articles say about it is fixed in its row, so that a replay agrees whatever the articles are then."""

from __future__ import annotations

from typing import Final, NamedTuple

from bridge.domain import barcodes
from bridge.domain.barcodes import Kind, ordered_sku
from bridge.domain.codes.evidence import key_of
from bridge.domain.codes.rules import matches
from bridge.ingest.articles import article_of
from bridge.ingest.batch import Batch
from bridge.words import counted
from devices.protocol import bodies
from devices.protocol.bodies import Body
from devices.protocol.messages import Event
from devices.protocol.vocabulary import Warn


class Picked(NamedTuple):
    """What the articles say about a pick.

    `article` is the SKU of the article that was scanned: in `code`, or without one in `sku`. `wrong` says that it is not the article that the pick names.
    """

    article: str | None = None
    wrong: str | None = None
    warn: Warn | None = None
    detail: str | None = None


NOTHING: Final = Picked()
_NO_ARTICLES: Final = frozenset({Kind.SSCC, Kind.ORDER, Kind.CONTAINER})


def picked(batch: Batch, event: Event[Body], code: str | None, event_ms: int) -> Picked:
    """What the articles say about a pick, as they are now. `code` is the key of what was scanned."""
    body, known, tx = event.body, batch.memory.articles, batch.tx
    if not isinstance(body, bodies.Pick) or known.is_empty(tx):
        return NOTHING
    named = known.sku_of(body.sku, tx)
    if code is None:
        return Picked(named) if named != body.sku else NOTHING
    found = known.by_code(code, tx)
    if found is None:
        containers = batch.memory.code_rules.at(event_ms).containers
        return Picked(warn=Warn.ARTICLE_UNKNOWN) if _is_articles_code(event.order, code, containers) else NOTHING
    if found.sku != named and ordered_sku(body.sku, (found.sku,)) is None:
        return Picked(wrong=f"this is {_shown(batch, found.sku)}, not {body.sku}")
    # The device counts pieces. A package is not counted for it: some firmware does that itself.
    is_part = body.qty % found.qty != 0 and not body.short
    return Picked(found.sku, detail=f"this code is on a package of {found.qty}; {counted(body.qty, 'piece')} counted" if is_part else None)


def _is_articles_code(order: str | None, code: str, containers: tuple[str, ...]) -> bool:
    """Whether a code that a pick scans must be that of an article. If the pick names no order, any other code may say which one is meant."""
    key = barcodes.code_key(code)
    if isinstance(key, barcodes.Unreadable) or key.kind in _NO_ARTICLES or matches(containers, code):
        return False
    return key.kind is Kind.GTIN or (order is not None and code != key_of(order))


def _shown(batch: Batch, sku: str) -> str:
    row = batch.memory.articles.by_sku(sku, batch.tx)
    name = None if row is None else article_of(row, ()).name(batch.rules.language)
    return sku if name is None else f"{sku} {name}"
