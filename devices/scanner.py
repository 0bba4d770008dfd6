"""The scanner: one method for each thing that happens in a warehouse or hub. Each returns a `Scan`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Unpack

from devices.device import Device
from devices.protocol import bodies
from devices.protocol.reasons import CustomsReason, UnloadReason, UnpackReason
from devices.protocol.vocabulary import CustomsDirection, EventType, LabelKind
from devices.scan import Items, Scan, Scanned, lines_of, one_of


@dataclass(kw_only=True, eq=False)
class Scanner(Device):
    """A handheld in a warehouse or hub: `scanner.pack("PO-17")` returns when the scan is safe on this device's disk.

    Every method takes what was scanned as `order` (positional), `parcel`, `code` (the raw text), `at` and `by`, and returns a `Scan`.
    """

    def pick(
        self,
        order: str | None = None,
        *,
        sku: str,
        qty: int = 1,
        bin: str | None = None,  # noqa: A002 - the contract's word
        short: bool = False,
        **scanned: Unpack[Scanned],
    ) -> Scan:
        """Items were taken from a bin for an order; `short` says that fewer were there than asked for.

        `sku` may be a code of the article, if the site has a list of articles. The receipt's `left` then says in which bins the other lines are.
        """
        return self.send(EventType.PICK, bodies.Pick(sku=sku, qty=qty, bin=bin, short=short), order=order, **scanned)

    def pack(
        self,
        order: str | None = None,
        *,
        items: Items | None = None,
        weight_g: int | None = None,
        dims_mm: Sequence[int] | None = None,
        **scanned: Unpack[Scanned],
    ) -> Scan:
        """A parcel was packed; without `items` it holds the whole order. `dims_mm` are three edges."""
        edges = None if dims_mm is None else list(dims_mm)
        return self.send(EventType.PACK, bodies.Pack(items=lines_of(items), weight_g=weight_g, dims_mm=edges), order=order, **scanned)

    def unpack(self, order: str | None = None, *, reason: UnpackReason | str, **scanned: Unpack[Scanned]) -> Scan:
        """A parcel was opened again: its items are being picked."""
        return self.send(EventType.UNPACK, bodies.Because(reason=one_of(UnpackReason, reason)), order=order, **scanned)

    def labelled(
        self,
        order: str | None = None,
        *,
        label: str,
        kind: LabelKind | str,
        carrier: str | None = None,
        service: str | None = None,
        **scanned: Unpack[Scanned],
    ) -> Scan:
        """A label with this text was put on a parcel; from now on its code finds it. With a `carrier`, the parcel goes with that one."""
        body = bodies.Labelled(code=label, kind=one_of(LabelKind, kind), carrier=carrier, service=service)
        return self.send(EventType.LABELLED, body, order=order, **scanned)

    def stage(self, order: str | None = None, *, dock: str, **scanned: Unpack[Scanned]) -> Scan:
        """A parcel stands at its dock."""
        return self.send(EventType.STAGE, bodies.Stage(dock=dock), order=order, **scanned)

    def load(self, order: str | None = None, *, vehicle: str, carrier: str | None = None, **scanned: Unpack[Scanned]) -> Scan:
        """A parcel was put into a vehicle. If it is a carrier's, a parcel for another carrier is answered with `stop` and `wrong_carrier`."""
        return self.send(EventType.LOAD, bodies.Load(vehicle=vehicle, carrier=carrier), order=order, **scanned)

    def unload(self, order: str | None = None, *, reason: UnloadReason | str | None = None, **scanned: Unpack[Scanned]) -> Scan:
        """A parcel was taken out of a vehicle again."""
        body = bodies.Unload(reason=None if reason is None else one_of(UnloadReason, reason))
        return self.send(EventType.UNLOAD, body, order=order, **scanned)

    def depart(self, order: str | None = None, *, hub: str, **scanned: Unpack[Scanned]) -> Scan:
        """A parcel left a hub."""
        return self.send(EventType.DEPART, bodies.AtHub(hub=hub), order=order, **scanned)

    def arrive(self, order: str | None = None, *, hub: str, **scanned: Unpack[Scanned]) -> Scan:
        """A parcel came to a hub."""
        return self.send(EventType.ARRIVE, bodies.AtHub(hub=hub), order=order, **scanned)

    def customs_entered(self, order: str | None = None, *, country: str, direction: CustomsDirection | str, **scanned: Unpack[Scanned]) -> Scan:
        """A parcel is with the customs of a country (two capital letters)."""
        return self.send(
            EventType.CUSTOMS_ENTERED, bodies.CustomsEntered(country=country, direction=one_of(CustomsDirection, direction)), order=order, **scanned
        )

    def customs_held(self, order: str | None = None, *, country: str, reason: CustomsReason | str, **scanned: Unpack[Scanned]) -> Scan:
        """Customs keep a parcel."""
        return self.send(EventType.CUSTOMS_HELD, bodies.CustomsHeld(country=country, reason=one_of(CustomsReason, reason)), order=order, **scanned)

    def customs_cleared(self, order: str | None = None, *, country: str, **scanned: Unpack[Scanned]) -> Scan:
        """Customs let a parcel go."""
        return self.send(EventType.CUSTOMS_CLEARED, bodies.AtBorder(country=country), order=order, **scanned)

    def border_entered(self, order: str | None = None, *, country: str, **scanned: Unpack[Scanned]) -> Scan:
        """A parcel crossed into a country."""
        return self.send(EventType.BORDER_ENTERED, bodies.AtBorder(country=country), order=order, **scanned)
