"""What the bodies of events are made of."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

from devices.protocol.fields import Code, Count, EventId, Id, Millimetres, Word


class Body(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Root of all bodies: frozen; a field with a default may be left out."""


class Line(Body, frozen=True):
    """An article and how many of it. Lines with the same article add up."""

    sku: Id
    """The article: the shop's number, or a GTIN in any length."""
    qty: Count
    """How many pieces."""


Words = Annotated[list[Word], Meta(min_length=1, max_length=64)]
"""Words of the sender's choice."""
Lines = Annotated[list[Line], Meta(min_length=1, max_length=500)]
"""Articles with their quantities."""
Codes = Annotated[list[Code], Meta(min_length=1, max_length=500)]
"""Scanned texts."""
Dimensions = Annotated[list[Millimetres], Meta(min_length=3, max_length=3)]
"""Length, width and height in mm."""
StopIds = Annotated[list[Id], Meta(max_length=64)]
"""Stops of an order."""
EventIds = Annotated[list[EventId], Meta(max_length=16)]
"""Ids of events."""


class Nothing(Body, frozen=True):
    """A body without fields of its own: an empty map."""


class Because(Body, frozen=True):
    """A body that only gives its reason: a short word, never a sentence with a person in it.

    `REASONS` in `reasons.py` has the words of each event type. Others are accepted, and stored as they are if they look like words (`stored_as`).
    """

    reason: Word
    """Why. Take a word of the list of this event type if one fits."""
