"""What a day's orders are of: articles with their numbers, and parcels with their labels, drawn from a seed."""

from __future__ import annotations

from random import Random

from devices.protocol.vocabulary import LabelKind
from firmware_sim.firmware.scanner import ParcelToPack


def lines_of_an_order(rng: Random, parcels: int) -> tuple[tuple[str, int], ...]:
    """(sku, qty), each article once; some are article numbers (GTIN), some the shop's own."""
    numbers = rng.sample(range(1_000, 9_999), rng.randint(parcels, parcels + 2))
    return tuple((gtin(n) if rng.random() < 0.5 else f"SKU-{n}", rng.randint(1, 3)) for n in numbers)


def parcels_of(rng: Random, order: str, lines: tuple[tuple[str, int], ...], count: int) -> tuple[ParcelToPack, ...]:
    """The lines, dealt out over the parcels. Some parcels have a name; an unnamed one with others beside it is labelled as it is packed."""
    parcels = []
    for n in range(count):
        named = rng.random() < 0.5
        kind = LabelKind.SSCC if rng.random() < 0.6 else LabelKind.WAYBILL
        parcels.append(
            ParcelToPack(
                items=lines[n::count],
                code=_sscc(rng) if kind is LabelKind.SSCC else f"WB-{order}-{n + 1}",
                kind=kind,
                name=f"{order}-{n + 1}" if named else None,
                labelled=(named or count == 1) and rng.random() < 0.3,
                weight_g=rng.randint(100, 20_000),
            ),
        )
    return tuple(parcels)


def gtin(number: int) -> str:
    """A GTIN-13 of the range for use in a company (prefix 2)."""
    return _checked(f"20000000{number:04}")


def _sscc(rng: Random) -> str:
    """An SSCC as a scanner without symbology identifier reads it: application identifier 00 and 18 digits."""
    return "00" + _checked(f"3{rng.randrange(10**16):016}")


def _checked(digits: str) -> str:
    """Digits with their check digit (GS1 General Specifications §7.9)."""
    total = sum(int(d) * (3 if n % 2 == 0 else 1) for n, d in enumerate(reversed(digits)))
    return f"{digits}{-total % 10}"
