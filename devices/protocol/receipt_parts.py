"""What receipts are made of: lines that are left, and what was expected instead."""

from __future__ import annotations

from msgspec import Struct

from devices.protocol.fields import Count, Id, Uint, Word


class Left(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What of an order line is still to be picked or packed, and where it is, if the site has a list of articles."""

    sku: Id
    """The article, as the order names it."""
    qty: Count
    """How many are left."""
    bin: Word | None = None
    """The shelf."""
    name: Word | None = None
    """The article's name, in the site's language."""


class Expected(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What the server would have taken instead: a device can show it to its worker. A server of this edition sends `carrier` alone."""

    order: Id | None = None
    """The order that was meant."""
    parcel: Id | None = None
    """The parcel that was meant."""
    sku: Id | None = None
    """The article that was meant."""
    rev: Uint | None = None
    """The present `rev` of the job."""
    carrier: Word | None = None
    """The carrier that is to take the parcel."""
