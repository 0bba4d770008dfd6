"""The closed lists in the bodies of events: a body with any other word is malformed."""

from __future__ import annotations

from enum import StrEnum


class Payment(StrEnum):
    """When an order is to be paid."""

    PREPAID = "prepaid"
    """Before it is picked. What the site does if it is not: `payments.unpaid`."""
    ON_DELIVERY = "on_delivery"
    """At the door: its stop in the courier's assignment then has the handling `collect_payment`."""


class LabelKind(StrEnum):
    """What a label's code is."""

    SSCC = "sscc"
    """A GS1 Serial Shipping Container Code, in any spelling: 18 digits, with the prefix 00, as element string or as Digital Link."""
    WAYBILL = "waybill"
    """A carrier's number, as it is: the parcel's `tracking` from now on."""
    PLAIN = "plain"
    """Any other text, as it is."""


class Audience(StrEnum):
    """For whom a note is."""

    DESK = "desk"
    """The people of the site."""
    COURIER = "courier"
    """Whoever brings the order, too."""
    CUSTOMER = "customer"
    """Whoever gets the order, too."""


class CustomsDirection(StrEnum):
    """Why goods are cleared in a country."""

    EXPORT = "export"
    """They leave it."""
    IMPORT = "import"
    """They are to stay there."""
    TRANSIT = "transit"
    """They only cross it."""


class PodMethod(StrEnum):
    """How a delivery was proved. `pin`, `scan` and `none` are older words that are still accepted; say `code` for a pin."""

    CODE = "code"
    """The recipient gave the code that was sent to them."""
    PHOTO = "photo"
    """A photo of the parcel where it was left."""
    SIGNATURE = "signature"
    """The recipient signed."""
    LEFT_SAFE = "left_safe"
    """It was left in a place that was agreed on."""
    NEIGHBOUR = "neighbour"
    """A neighbour took it."""
    LOCKER = "locker"
    """It was put into a parcel locker."""
    STATION = "station"
    """A parcel station took it for the recipient."""
    COUNTER = "counter"
    """The recipient collected it at a counter."""
    PIN = "pin"
    """Older word for `code`."""
    SCAN = "scan"
    """Older word: only the label was scanned."""
    NONE = "none"
    """Older word: nothing proves it."""


class Tender(StrEnum):
    """With what the recipient paid at the door."""

    CASH = "cash"
    """Coins and notes. The amount may be rounded to the smallest coin of its currency."""
    CARD = "card"
    """A bank card."""
    WALLET = "wallet"
    """A payment app."""
    OTHER = "other"
    """Anything else."""


class DamageSeverity(StrEnum):
    """How bad a damage is."""

    MINOR = "minor"
    """The box is damaged, and what is in it is not."""
    MAJOR = "major"
    """What is in it may be damaged."""
    TOTAL = "total"
    """Nothing can be used any more: the parcel counts as destroyed."""


class VoidReason(StrEnum):
    """Why an event is taken back (the two reasons of EPCIS error declarations)."""

    DID_NOT_OCCUR = "did_not_occur"
    """It did not happen."""
    INCORRECT_DATA = "incorrect_data"
    """It happened in another way: `corrective` names the events that say how."""
