"""The list of a handover (交接清单) as a page to print: Chinese and English, A4. It needs no other file."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, tzinfo
from html import escape
from typing import Final

from bridge.operations.handover_ports import AwaitedParcel, HandedParcel, Handover
from devices.protocol.vocabulary import Flag, ParcelState
from devices.protocol.words import words_for, words_for_flag

GRAMS: Final = 1_000
_STYLE: Final = """
@page { size: A4; margin: 14mm 12mm;
  @bottom-left { content: "%TITLE%"; font-size: 8pt } @bottom-right { content: counter(page) " / " counter(pages); font-size: 8pt } }
body { font: 10pt/1.35 "Noto Sans CJK SC", "Source Han Sans SC", "PingFang SC", "Microsoft YaHei", system-ui, sans-serif; margin: 0 auto; max-width: 186mm;
  color: #000; background: #fff }
h1 { font-size: 18pt; margin: 0 } h2 { font-size: 12pt; margin: 7mm 0 1mm; break-after: avoid }
header { display: flex; justify-content: space-between; align-items: baseline; border-bottom: 0.6mm solid #000; padding-bottom: 2mm }
header p { margin: 0; text-align: right } .open { font-weight: bold; border: 0.5mm solid #000; padding: 0.5mm 2mm }
dl { display: grid; grid-template-columns: repeat(3, 1fr); gap: 1mm 6mm; margin: 3mm 0 }
dl div { display: flex; gap: 2mm } dt { white-space: nowrap; color: #444 } dd { margin: 0; font-weight: bold }
table { width: 100%; border-collapse: collapse } thead { display: table-header-group } tr { break-inside: avoid }
th, td { border: 0.2mm solid #666; padding: 1mm 1.5mm; text-align: left; vertical-align: top; overflow-wrap: anywhere }
th { background: #eee; font-size: 9pt } .n { text-align: right; white-space: nowrap; overflow-wrap: normal }
.code { font-family: "DejaVu Sans Mono", Consolas, monospace; font-size: 9.5pt; min-width: 21mm } .first { min-width: 36mm }
.apart { border-left: 1.2mm solid #000; padding-left: 3mm }
.sign { display: grid; grid-template-columns: 1fr 1fr; gap: 10mm; margin-top: 4mm; break-inside: avoid } .received { margin: 9mm 0 0; break-after: avoid }
.line { border-bottom: 0.3mm solid #000; display: flex; height: 9mm; align-items: end; font-size: 9pt; color: #444 }
@media print { .screen { display: none } th { print-color-adjust: exact } }
@media screen { body { padding: 8mm } .screen { background: #ffd; padding: 2mm 3mm } }
"""


def handover_html(handover: Handover, zone: tzinfo) -> str:
    """The list as a page. Printed, each sheet says which list it is of, and which of how many: sheets with signatures get loose."""
    title = f"交接清单 Handover list · {handover.carrier}" + (f" · {handover.no}" if handover.no is not None else "")
    parts = [
        "<!doctype html>",
        f'<html lang="zh-CN">\n<meta charset="utf-8">\n<title>{escape(title)}</title>\n<style>{_STYLE.replace("%TITLE%", _css_text(title))}</style>',
        _head(handover, zone),
        _parcels(handover.parcels, zone),
        *_apart(handover, zone),
        _signatures(handover),
        "</html>",
    ]
    return "\n".join(parts) + "\n"


def _head(handover: Handover, zone: tzinfo) -> str:
    weighed = [p.weight_g for p in handover.parcels if p.weight_g is not None]
    vehicles = sorted({p.vehicle for p in handover.parcels if p.vehicle is not None})
    number = f"编号 No. {handover.no}" if handover.no is not None else '<span class="open">未关闭 OPEN</span>'
    total = kilograms(sum(weighed)) + (f" ({len(weighed)}/{len(handover.parcels)} 已称重 weighed)" if len(weighed) < len(handover.parcels) else "")
    facts = [
        ("承运商 Carrier", handover.carrier),
        ("件数 Parcels", str(len(handover.parcels))),
        ("总重量 Weight", total if weighed else "–"),
        ("站点 Site", handover.site),
        ("车辆 Vehicle", ", ".join(vehicles) or "–"),
        ("自 Since", _moment(handover.since_ms, zone) if handover.since_ms is not None else "–"),
        ("至 Until", _moment(handover.at_ms, zone)),
        ("截止发运 Due by", _moment(handover.due_ms, zone) if handover.due_ms is not None else "–"),
        ("经手人 Closed by", handover.by or "–"),
    ]
    shown = "".join(f"<div><dt>{what}</dt><dd>{escape(value)}</dd></div>" for what, value in facts)
    note = "" if handover.no is not None else '<p class="screen">还会变化：关闭后再打印。 It still changes: print it once it is closed.</p>'
    return f"<header><h1>交接清单 <small>Handover list</small></h1><p>{number}<br>{zone_label(zone)}</p></header>\n{note}\n<dl>{shown}</dl>"


def _parcels(parcels: Sequence[HandedParcel], zone: tzinfo, *, with_carrier: bool = False) -> str:
    heads = ["#", "运单号 / 条码<br>Tracking / code", "订单<br>Order", "包裹<br>Parcel", "重量<br>Weight", "装车<br>Loaded"]
    if with_carrier:
        heads.append("应交<br>Goes with")
    is_mixed = with_carrier or len({p.vehicle for p in parcels}) > 1  # one vehicle stands at the top, but a parcel to take out says where it is
    rows = [
        [
            _number(at),
            _cell("<br>".join(map(escape, numbers_of(p.tracking, p.codes))) or "–", "code first"),
            _cell(escape(p.order), "code"),
            _cell(escape(short(p.parcel)), "code"),
            _cell(kilograms(p.weight_g) if p.weight_g is not None else "–", "n"),
            _cell(_moment(p.loaded_ms, zone) + (f"<br>{escape(p.vehicle)}" if p.vehicle and is_mixed else ""), "n"),
            *([_cell(f"<b>{escape(p.carrier)}</b>")] if with_carrier else []),
        ]
        for at, p in enumerate(parcels, 1)
    ]
    return _table(heads, rows)


def _apart(handover: Handover, zone: tzinfo) -> Iterable[str]:
    if handover.wrong:
        count = len(handover.wrong)
        yield f'<section class="apart"><h2>错装：属于其他承运商，请卸下 · Loaded here, and another carrier\'s: take them out ({count})</h2>'
        yield _parcels(handover.wrong, zone, with_carrier=True) + "</section>"
    if handover.missing:
        yield f'<section class="apart"><h2>应交未扫描 · Expected and not scanned ({len(handover.missing)})</h2>'
        heads = ["#", "运单号 / 条码<br>Tracking / code", "订单<br>Order", "包裹<br>Parcel", "在哪里<br>Where", "截止发运<br>Due by"]
        yield _table(heads, [_awaited(at, parcel, zone) for at, parcel in enumerate(handover.missing, 1)]) + "</section>"


def _awaited(at: int, parcel: AwaitedParcel, zone: tzinfo) -> list[str]:
    return [
        _number(at),
        _cell("<br>".join(map(escape, numbers_of(parcel.tracking, parcel.codes))) or "–", "code first"),
        _cell(escape(parcel.order), "code"),
        _cell(escape(short(parcel.parcel)), "code"),
        _cell(escape(_whereabouts(parcel))),
        _cell(_moment(parcel.ship_by_ms, zone) if parcel.ship_by_ms is not None else "–", "n"),
    ]


def _whereabouts(parcel: AwaitedParcel) -> str:
    if parcel.loaded_for is not None:
        return f"已装上 {parcel.loaded_for} 的车 loaded for {parcel.loaded_for}" + (f" ({parcel.where})" if parcel.where else "")
    state, flags = words_for(ParcelState(parcel.state)), [words_for_flag(Flag(flag)) for flag in parcel.flags]
    said = [f"{state.zh} {state.en}", *(f"{flag.zh} {flag.en}" for flag in flags)]
    return " · ".join([*said, *([parcel.where] if parcel.where else [])])


def _signatures(handover: Handover) -> str:
    def side(who: str) -> str:
        lines = "".join(f'<div class="line">{what}</div>' for what in ("姓名 Name", "签名 Signature", "日期时间 Date, time"))
        return f"<div><b>{who}</b>{lines}</div>"

    count = len(handover.parcels)
    carrier = escape(handover.carrier)
    received = f'<p class="received">今交接以上 <b>{count}</b> 件。 <b>{count}</b> parcels were handed over as listed.</p>'
    return f'{received}\n<div class="sign">{side("交件方 Handed over by")}{side(f"承运商 Received by {carrier}")}</div>'


def _table(heads: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    head = "".join(f"<th>{text}</th>" for text in heads)
    return f"<table><thead><tr>{head}</tr></thead><tbody>\n" + "\n".join(f"<tr>{''.join(row)}</tr>" for row in rows) + "\n</tbody></table>"


def _cell(html: str, kind: str = "") -> str:
    return f'<td class="{kind}">{html}</td>' if kind else f"<td>{html}</td>"


def _number(at: int) -> str:
    return _cell(str(at), "n")


def numbers_of(tracking: str, codes: Sequence[str]) -> list[str]:
    """What can be read on a parcel: the carrier's number first, then its other codes."""
    return [*([tracking] if tracking else []), *(code for code in codes if code != tracking)]


def short(parcel: str) -> str:
    """A parcel's id for people: one that was made from an event is long, and its last digits tell it apart within its order."""
    return f"…{parcel[-6:]}" if parcel.startswith("p-") and len(parcel) == len("p-") + 32 else parcel


def kilograms(grams: int) -> str:
    return f"{grams / GRAMS:.2f} kg"


def _css_text(text: str) -> str:
    """A text for a string of CSS, whatever it contains."""
    return "".join(c if c.isalnum() or c == " " else f"\\{ord(c):x} " for c in text)


def _moment(ms: int, zone: tzinfo) -> str:
    return datetime.fromtimestamp(ms / 1000, zone).strftime("%Y-%m-%d %H:%M")


def zone_label(zone: tzinfo) -> str:
    """The zone of all times on the sheet."""
    return escape(str(zone))
