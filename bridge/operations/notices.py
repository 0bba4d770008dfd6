"""What customers were told, how it goes out, and how the texts look."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct

from bridge.domain.notice_texts import Language, Texts, filled
from bridge.errors import NotFound
from bridge.operations.notice_ports import Sending, ToldNotice
from bridge.operations.ports import SiteReader
from devices.protocol.states import Moment


class SampleText(Struct, frozen=True, kw_only=True):
    """How a moment is told, and how it is taken back; None if it never is."""

    language: Language
    moment: Moment
    text: str
    correction: str | None


async def list_notices(site: SiteReader, *, order: str | None, sending: Sending | None, limit: int) -> list[ToldNotice]:
    """What was told lately, or of one order.

    Raises:
        NotFound: if there is no such order.
    """
    if order is not None and site.queries.order(order) is None:
        raise NotFound(f"there is no order {order}", fix="`dockbridge orders list` lists them")
    return site.queries.notices(order_id=order, sending=sending, limit=limit)


def samples(texts: Texts, language: Language, values: Mapping[str, str]) -> list[SampleText]:
    """Every text of a language, with example values in it."""
    return [
        SampleText(
            language=language,
            moment=moment,
            text=filled(wording, values, correction=False),
            correction=filled(wording, values, correction=True) if wording.correction is not None else None,
        )
        for moment, wording in texts[language].items()
    ]
