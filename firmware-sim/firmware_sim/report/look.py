"""How the page looks: a colour for each state, and the CSS.

The way of an order goes from grey (office) over yellow (warehouse) and blue (under way, the further the darker) to green (there). What leaves the way is
purple, dark or red. The hues are those of Okabe and Ito, which people with any kind of colour blindness tell apart; within a hue it is lightness that
differs, and every bar that has room carries its word.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from devices.protocol.vocabulary import PARTIAL_STATES, OrderState, partially


class Phase(NamedTuple):
    """A state's place in the legend: its class, its colour, and the colour of letters on it."""

    state: str
    css: str
    fill: str
    ink: str


_DARK: Final = "#16202b"
_LIGHT: Final = "#ffffff"

_FILLS: Final[dict[OrderState, tuple[str, str]]] = {
    OrderState.PENDING_PAYMENT: ("#dfe3e8", _DARK),
    OrderState.PAID: ("#c3cad3", _DARK),
    OrderState.APPROVED: ("#a3adb9", _DARK),
    OrderState.PICKING: ("#f7dc8b", _DARK),
    OrderState.PACKED: ("#e6a91f", _DARK),
    OrderState.SHIPPED: ("#a9d3f0", _DARK),
    OrderState.CUSTOMS: ("#7ab8e3", _DARK),
    OrderState.ENTERED: ("#4796cf", _DARK),
    OrderState.OUT_FOR_DELIVERY: ("#1467a8", _LIGHT),
    OrderState.DELIVERED: ("#12866a", _LIGHT),
    OrderState.COMPLETED: ("#0b5c49", _LIGHT),
    OrderState.RETURNING: ("#dba6c9", _DARK),
    OrderState.RETURNED: ("#9a4d81", _LIGHT),
    OrderState.CANCELLED: ("#56606c", _LIGHT),
    OrderState.EXCEPTION: ("#c2410c", _LIGHT),
}

PHASES: Final[tuple[Phase, ...]] = (
    *(Phase(str(state), f"s-{state.replace('_', '-')}", fill, ink) for state, (fill, ink) in _FILLS.items()),
    *(Phase(partially(s), f"s-part-{s.replace('_', '-')}", f"url(#part-{s.replace('_', '-')})", _FILLS[s][1]) for s in PARTIAL_STATES),
)
"""Every word of an order's state. `partially_…` is hatched."""


def patterns() -> str:
    """The hatches, for the whole page."""
    hatches = "".join(
        f'<pattern id="part-{s.replace("_", "-")}" width="6" height="6" patternUnits="userSpaceOnUse" patternTransform="rotate(45)">'
        f'<rect width="6" height="6" fill="{_FILLS[s][0]}"/><rect width="2" height="6" fill="#fff" fill-opacity=".42"/></pattern>'
        for s in PARTIAL_STATES
    )
    return f'<svg width="0" height="0" class="hidden" aria-hidden="true"><defs>{hatches}</defs></svg>'


def css() -> str:
    """The page's style sheet."""
    states = "".join(f".{p.css}{{fill:{p.fill}}}text.{p.css}{{fill:{p.ink}}}" for p in PHASES)
    return _CSS + states


_CSS: Final = """
:root{color-scheme:light dark;--ink:#16202b;--soft:#566270;--line:#d8dee6;--rule:#e9edf2;--paper:#fff;--panel:#f5f7f9;
--good:#0b6b52;--good-paper:#e7f4ef;--bad:#b3321a;--bad-paper:#fcefeb;--band:#e08a1e;--band-alpha:.13;--fault:#f3d3a6;--fault-ink:#4d2f05;
--kill:#b3321a;--back:#566270;--up:#b9c6d3;--online:#8fa3b8;--note:#16202b;--ack:#1467a8;--receipt:#c2570c;--area:#7f96ad;--edge:#16202b30;--names:10.5rem}
@media (prefers-color-scheme:dark){:root{--ink:#e6eaef;--soft:#9ba7b4;--line:#323b46;--rule:#252d36;--paper:#12171d;--panel:#1a2129;
--good:#58c9a4;--good-paper:#13302a;--bad:#ff8f73;--bad-paper:#3a1d17;--band:#e6a24a;--band-alpha:.13;--fault:#6e4d1c;--fault-ink:#fbe6c5;
--kill:#ff7a5c;--back:#9ba7b4;--up:#46576a;--online:#5c7188;--note:#f4f6f8;--ack:#62b0ea;--receipt:#f0a04b;--area:#6f879f;--edge:#ffffff50}}
*{box-sizing:border-box}
html{-webkit-text-size-adjust:100%}
body{margin:0;background:var(--paper);color:var(--ink);font:15px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue",Arial,sans-serif;
font-variant-numeric:tabular-nums;overflow-wrap:break-word}
main{max-width:1240px;margin:0 auto;padding:2rem 1.5rem 4rem}
h1{font-size:1.7rem;line-height:1.2;margin:0;letter-spacing:-.01em}
h2{font-size:1.15rem;margin:2.75rem 0 .35rem;padding-top:.9rem;border-top:1px solid var(--line)}
h3{font-size:.8rem;margin:0;font-weight:600}
p{margin:.35rem 0}
small{font-size:.8em;color:var(--soft);font-weight:400}
.lead{color:var(--soft);max-width:72ch}
.where{color:var(--soft);font-size:.85rem;margin:.2rem 0 0}
.story{max-width:72ch;margin:.7rem 0}
.verdict{display:flex;gap:.65rem;align-items:baseline;font-size:1.1rem;font-weight:600;padding:.6rem .9rem;border-radius:6px;margin:1.1rem 0}
.verdict.held{background:var(--good-paper);color:var(--good)}
.verdict.broken{background:var(--bad-paper);color:var(--bad)}
.figures{display:grid;grid-template-columns:repeat(auto-fit,minmax(7.2rem,1fr));gap:1px;border:1px solid var(--line);border-radius:6px;overflow:hidden;
margin:1rem 0}
.figures div{box-shadow:0 0 0 1px var(--line);padding:.55rem .8rem}
.figures dt{color:var(--soft);font-size:.78rem}
.figures dd{margin:0;font-size:1.3rem;font-weight:600;line-height:1.3}
.figures dd small{display:block;font-size:.72rem;line-height:1.3}
.command{display:block;background:var(--panel);border:1px solid var(--line);border-radius:6px;padding:.55rem .8rem;white-space:pre-wrap;user-select:all;
font:.85rem/1.5 ui-monospace,SFMono-Regular,Menlo,Consolas,monospace}
.laws{list-style:none;margin:.6rem 0;padding:0;columns:2 26rem;column-gap:2rem}
.laws>li{break-inside:avoid;padding:.28rem 0 .28rem 1.7rem;text-indent:-1.7rem}
.laws b{font-weight:600}
.laws .sign{display:inline-block;width:1.7rem;text-indent:0;font-weight:700;color:var(--good)}
.laws.broken{columns:1}
.laws.broken>li{background:var(--bad-paper);border-radius:6px;padding:.6rem .9rem .6rem 2.6rem;margin:.5rem 0;break-inside:auto}
.laws.broken .sign{color:var(--bad)}
.laws ul{margin:.3rem 0 0;padding:0;list-style:none;text-indent:0}
.laws ul li{padding:.2rem 0;white-space:pre-line;border-top:1px solid var(--line)}
.laws time{white-space:nowrap;color:var(--soft);margin-right:.6rem;font-size:.85rem}
.legend{display:flex;flex-wrap:wrap;gap:.3rem 1rem;margin:.6rem 0;font-size:.78rem;padding:0;list-style:none}
.legend li{display:inline-flex;align-items:center;gap:.4rem;white-space:nowrap}
.legend svg{width:1.1rem;height:.8rem;flex:none}
.scroll{overflow-x:auto;margin:.5rem 0;scrollbar-width:thin}
.scroll:focus-visible{outline:2px solid var(--ack);outline-offset:2px}
.row{display:grid;grid-template-columns:var(--names) minmax(40rem,1fr);min-width:calc(var(--names) + 40rem)}
.row.head{margin-top:.55rem}
.row.chart+.row.chart{margin-top:.7rem}
.names{position:sticky;left:0;z-index:1;background:var(--paper);padding:0 .7rem 0 0;margin:0;list-style:none;font-size:.75rem}
ol.names li{height:20px;line-height:20px;overflow:hidden;text-overflow:ellipsis;white-space:nowrap}
.names li.bad{color:var(--bad);font-weight:600}
.names.what{display:flex;flex-direction:column;justify-content:center;line-height:1.35;white-space:normal}
.names.what b{font-size:.8rem}
.names.what small{font-size:.72rem}
.left-out{font-size:.78rem;color:var(--soft);margin:.15rem 0}
.plot{display:block;width:100%;overflow:visible;font-size:11px}
.plot text{fill:var(--soft)}
.plot text.on{font-size:10.5px;pointer-events:none}
.plot .tick{stroke:var(--rule)}
.plot .lane{stroke:var(--rule)}
.plot .rule{stroke:var(--line)}
.plot .ground{stroke:var(--line)}
.plot .band{fill:var(--band);fill-opacity:var(--band-alpha)}
.plot .kill{stroke:var(--kill);stroke-width:1.5}
.plot .back{stroke:var(--back);stroke-width:1;stroke-dasharray:2 3}
.plot .faint{stroke-opacity:.35}
.plot .fault{fill:var(--fault)}
.plot text.fault{fill:var(--fault-ink)}
.plot text.beside{fill:var(--soft);font-size:10.5px}
.plot .up{fill:var(--up)}
.plot text.up{fill:var(--ink)}
.plot .online{fill:var(--online)}
.plot .note{fill:var(--note)}
.plot .refused{fill:var(--bad)}
.plot text.died{fill:var(--kill);font-weight:700;font-size:14px;paint-order:stroke;stroke:var(--paper);stroke-width:3px}
.plot text.finding{fill:var(--bad);font-size:14px;paint-order:stroke;stroke:var(--paper);stroke-width:3px}
.plot text.value{font-size:10px;paint-order:stroke;stroke:var(--paper);stroke-width:3px;stroke-linejoin:round}
.plot path{vector-effect:non-scaling-stroke;fill:none;stroke-width:1.6}
.plot path.ack{stroke:var(--ack)}
.plot path.receipt{stroke:var(--receipt);stroke-dasharray:4 2}
.plot path.area{fill:var(--area);stroke:none}
.plot.stroke{display:inline;width:1.4rem}
.plot rect.ack{fill:var(--ack)}
.plot rect.receipt{fill:var(--receipt)}
.plot line.quantile{stroke:var(--soft);stroke-dasharray:2 2}
.plot text.quantile{fill:var(--ink);paint-order:stroke;stroke:var(--paper);stroke-width:3px;stroke-linejoin:round}
.plot rect[class^=s-]{stroke:var(--edge);stroke-width:.75}
.s-other{fill:#8a8a8a}text.plot rect[class^=s-]{stroke:var(--edge);stroke-width:.75}
.s-other{fill:#fff}
.pair{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,24rem),1fr));gap:1.5rem 2.5rem;margin:.8rem 0}
figure{margin:0;min-width:0}
figcaption{font-weight:600;font-size:.85rem;margin-bottom:.5rem}
.none{color:var(--soft)}
.table{overflow-x:auto}
table{border-collapse:collapse;width:100%;font-size:.85rem;margin:.6rem 0}
caption{text-align:left;font-weight:600;padding:.2rem 0}
th,td{max-width:34rem;text-align:left;vertical-align:top;padding:.32rem .9rem .32rem 0;border-bottom:1px solid var(--rule)}
thead th{color:var(--soft);font-weight:500;font-size:.78rem;border-bottom-color:var(--line);white-space:nowrap}
tbody th{font-weight:600}
td.n,th.n{text-align:right;white-space:nowrap}
td.t{white-space:nowrap}
td.bad{color:var(--bad);font-weight:600}
td.bar{width:30%;min-width:6rem}
td.bar span{display:block;height:.7rem;margin-top:.3rem;background:var(--area);border-radius:1px}
details{margin:.6rem 0}
summary{cursor:pointer;color:var(--soft);font-size:.85rem}
footer{margin-top:3rem;padding-top:.9rem;border-top:1px solid var(--line);color:var(--soft);font-size:.8rem}
.hidden{position:absolute}
@media (max-width:640px){main{padding:1.2rem 1rem 3rem}:root{--names:7.2rem}h1{font-size:1.4rem}.names{font-size:.7rem}.names.what b{font-size:.75rem}}
@media print{:root{--ink:#000;--soft:#444;--paper:#fff;--panel:#f5f5f5}*{print-color-adjust:exact;-webkit-print-color-adjust:exact}
main{max-width:none;padding:0}.scroll,.table{overflow:visible}.row{min-width:0;grid-template-columns:var(--names) 1fr}h2,.row.head{break-after:avoid}
figure,tr,.laws>li{break-inside:avoid}}
"""
