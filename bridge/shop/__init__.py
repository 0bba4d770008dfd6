"""A shop's export as orders: any columns, any words, any marks, mapped in a TOML file. An order comes in whole or not at all.

`mapping` says how to read a file, `table` gives its rows, `cells` and `rows` read them, `sorting` brings the rows of an order together, `assembly` makes the
order, `events` says what of it is new.
"""

from bridge.shop.assembly import LeftOut, ShopOrder
from bridge.shop.events import derived_event_id, derived_log, order_events
from bridge.shop.mapping import MapError, ShopMap, read_map
from bridge.shop.rows import BadRow
from bridge.shop.sorting import read_orders, sort_file

__all__ = [
    "BadRow",
    "LeftOut",
    "MapError",
    "ShopMap",
    "ShopOrder",
    "derived_event_id",
    "derived_log",
    "order_events",
    "read_map",
    "read_orders",
    "sort_file",
]
