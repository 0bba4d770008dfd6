"""What the customer of an order is told."""

from __future__ import annotations

from msgspec import Struct

from devices.protocol.fields import Count, EventId, Id, Sentences, Uint
from devices.protocol.states import Moment


class InLanguages(Struct, frozen=True, kw_only=True):
    """What a notice says, in each language."""

    en: Sentences
    """In English."""
    zh: Sentences
    """In Chinese."""


class Notice(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Something that the customer of an order is told, once. It names nobody: who the customer is, and how to reach them, the shop knows."""

    id: EventId
    """The notice. If it comes again, it is the same one: pass it on once."""
    order: Id
    """The order."""
    moment: Moment
    """What it is about."""
    occurrence: Count
    """1 for the first time that this is told of the parcel or order, 2 for the second, such as another failed attempt."""
    at_ms: Uint
    """When it happened, as far as was known then."""
    texts: InLanguages
    """What to tell the customer."""
    parcel: Id | None = None
    """The parcel. Left out if it is about the whole order."""
    correction: bool = False
    """True: this was told before (the same `moment` and `occurrence`), and turned out not to have happened."""
