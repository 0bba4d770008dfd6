"""Claims as people handle them: a QR code in a terminal, a sheet to print as HTML or SVG. A sheet needs no other file."""

from __future__ import annotations

import io
from collections.abc import Sequence
from datetime import datetime
from html import escape
from typing import Final, NamedTuple

import segno

from devices.protocol.claims import Claim

QUIET_ZONE: Final = 4
"""Light modules around a QR code (ISO/IEC 18004)."""
_CARD_MM: Final = (90, 112)
_COLUMNS: Final = 2
_QR_MM: Final = 62
_TEXT_MM: Final = 80
_CHAR_WIDTH: Final = 0.62
"""Width of a character as a part of the font's size, at most, on average."""
_WHITE_ON_BLACK: Final = "\x1b[38;5;231;48;5;16m"
_PLAIN: Final = "\x1b[0m"
_STYLE: Final = """
@page { size: A4; margin: 12mm }
body { font: 10pt/1.35 system-ui, sans-serif; margin: 0; color: #000; background: #fff }
main { display: grid; grid-template-columns: 1fr 1fr; gap: 6mm }
section { border: 0.3mm dashed #888; padding: 5mm; text-align: center; break-inside: avoid }
h2 { margin: 0; font-size: 16pt; overflow-wrap: anywhere }
p { margin: 1mm 0 } svg { width: 62mm; height: 62mm } code { font-size: 9pt; overflow-wrap: anywhere }
"""


class Card(NamedTuple):
    """What is printed for one device. `about` is its role, and what else tells it apart."""

    claim: Claim
    about: str
    expires: datetime


def terminal_code(text: str, *, colours: bool) -> str:
    """A text as a QR code for a terminal, two rows of modules in a line. Without `colours` it is right on a dark ground."""
    rows = [list(row) for row in _code(text).matrix_iter(border=QUIET_ZONE)]
    if len(rows) % 2:
        rows.append([0] * len(rows[0]))
    blocks = {(0, 0): "█", (0, 1): "▀", (1, 0): "▄", (1, 1): " "}
    lines = ("".join(blocks[(int(bool(a)), int(bool(b)))] for a, b in zip(*rows[at : at + 2], strict=True)) for at in range(0, len(rows), 2))
    return "\n".join(f"{_WHITE_ON_BLACK}{line}{_PLAIN}" if colours else line for line in lines)


def sheet_html(cards: Sequence[Card]) -> str:
    """A page with a card for each device."""
    shown = "\n".join(_html_card(card) for card in cards)
    head = f'<!doctype html>\n<html lang="en">\n<meta charset="utf-8">\n<title>Dockbridge {escape(cards[0].claim.site)}</title>\n<style>{_STYLE}</style>'
    return f"{head}\n<main>\n{shown}\n</main>\n</html>\n"


def _html_card(card: Card) -> str:
    claim = card.claim
    return (
        f"<section>\n<h2>{escape(claim.device)}</h2>\n<p>{escape(card.about)}</p>\n{_svg(claim)}\n"
        f"<p>Or type in:<br><code>{escape(claim.short_text())}</code></p>\n<p>Site {escape(claim.site)}. {_until(card)}</p>\n</section>"
    )


def sheet_svg(cards: Sequence[Card]) -> str:
    """A picture with a card for each device; its size is in millimetres."""
    wide, high = _CARD_MM
    rows = -(-len(cards) // _COLUMNS)
    columns = min(len(cards), _COLUMNS)
    shown = "\n".join(_svg_card(card, wide * (at % _COLUMNS), high * (at // _COLUMNS)) for at, card in enumerate(cards))
    size = f'width="{wide * columns}mm" height="{high * rows}mm" viewBox="0 0 {wide * columns} {high * rows}"'
    return f'<svg xmlns="http://www.w3.org/2000/svg" {size} font-family="sans-serif" text-anchor="middle">\n{shown}\n</svg>\n'


def _svg_card(card: Card, x: int, y: int) -> str:
    claim, (wide, high) = card.claim, _CARD_MM
    short = claim.short_text()
    half = short.rindex("/") + 1
    lines = [
        (10, 6, claim.device),
        (16, 3.5, card.about),
        (88, 2.6, short[:half]),
        (92, 2.6, short[half:]),
        (99, 3, f"Site {claim.site}. {_until(card)}"),
    ]
    middle = x + wide / 2
    texts = "".join(f'<text x="{middle}" y="{y + at}" font-size="{_fitting(size, text)}">{escape(text)}</text>' for at, size, text in lines)
    frame = f'<rect x="{x + 2}" y="{y + 2}" width="{wide - 4}" height="{high - 4}" fill="none" stroke="#888" stroke-width="0.3" stroke-dasharray="2"/>'
    code = _svg(claim).replace("<svg ", f'<svg x="{middle - _QR_MM / 2}" y="{y + 20}" width="{_QR_MM}" height="{_QR_MM}" ', 1)
    return frame + texts + code


def _fitting(size: float, text: str) -> float:
    """The size in mm, or what a long text needs to fit into its card."""
    return round(min(size, _TEXT_MM / (_CHAR_WIDTH * max(len(text), 1))), 2)


def _until(card: Card) -> str:
    return f"Valid once, until {card.expires:%Y-%m-%d %H:%M %Z}."


def _svg(claim: Claim) -> str:
    out = io.BytesIO()
    _code(claim.text()).save(out, kind="svg", xmldecl=False, svgns=True, omitsize=True, border=QUIET_ZONE, nl=False)
    return out.getvalue().decode()


def _code(text: str) -> segno.QRCode:
    return segno.make_qr(text, error="m")
