"""Personal data in the bodies of events: who a customer is, and free text. The server seals it before anything is stored; no topic ever carries it again."""

from __future__ import annotations

from typing import Annotated, Final

from msgspec import Meta

from devices.protocol.body_parts import Body
from devices.protocol.choices import Audience
from devices.protocol.fields import NO_NUL, Country, LatE7, LonE7
from devices.protocol.vocabulary import EventType

Name = Annotated[str, Meta(min_length=1, max_length=200, pattern=NO_NUL)]
"""A name of a person or a company, or a part of an address."""
Phone = Annotated[str, Meta(min_length=1, max_length=50, pattern=NO_NUL)]
"""A telephone number, as it was typed."""
Postcode = Annotated[str, Meta(min_length=1, max_length=32, pattern=NO_NUL)]
"""A postcode."""
Locale = Annotated[str, Meta(min_length=2, max_length=35, pattern=NO_NUL)]
"""A language, and a region if it matters (BCP 47), such as zh-Hans or de-AT."""
Text = Annotated[str, Meta(max_length=1_000, pattern=NO_NUL)]
"""Free text for people."""


class Contact(Body, frozen=True):
    """Who gets an order, and where. Every field may be left out."""

    name: Name | None = None
    """The recipient."""
    phone: Phone | None = None
    """Their telephone number."""
    company: Name | None = None
    """Their company."""
    street: Name | None = None
    """Street and number."""
    extra: Name | None = None
    """What else leads to the door: a building, floor, or entrance."""
    city: Name | None = None
    """The city."""
    region: Name | None = None
    """A state, province or district."""
    postcode: Postcode | None = None
    """The postcode."""
    country: Country | None = None
    """The country."""
    locale: Locale | None = None
    """The language in which they are told about their order."""
    lat_e7: LatE7 | None = None
    """Where it is: latitude."""
    lon_e7: LonE7 | None = None
    """Where it is: longitude."""
    note: Text | None = None
    """What they ask of the courier."""
    identity: Name | None = None
    """A number of their identity card or tax office, where customs ask for it."""


class NoteAdded(Body, frozen=True):
    """A note about an order."""

    text: Text
    """What it says."""
    audience: Audience
    """For whom it is."""


PRIVATE_FIELDS: Final = {EventType.CREATED: "contact", EventType.AMENDED: "contact", EventType.NOTE_ADDED: "text"}
"""The field of a body that is personal data, for each event type that has one."""
