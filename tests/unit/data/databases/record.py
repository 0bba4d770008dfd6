"""Record the database of a busy day, as the version of a checkout writes it: `python record.py FOLDER` in that checkout, with its tests on PYTHONPATH.

The file is FOLDER/REVISION.sql.xz. `test_upgrades.py` starts this version on each.
"""

from __future__ import annotations

import lzma
import sqlite3
import sys
import tempfile
from contextlib import closing
from pathlib import Path

from helpers.bench import Bench
from helpers.site import Site
from test_store import busy_day

from bridge.store.migrate import NEWEST
from devices.protocol.vocabulary import Role


def record(site: Path) -> str:
    """The SQL of a site's database after a busy day, with a session for which messages wait."""
    with Site(site) as served:
        served.enrol("phone-anna", Role.COURIER, courier="anna")
    with Bench(site / "dockbridge.db") as bench:
        busy_day(bench)
    with Site(site) as served:
        served.enrol("screen", Role.DESK)
        with served.client("screen", clean=False) as desk:
            desk.subscribe("v1/ams1/orders/+/status")
            desk.goodbye()
        served._seq = 500  # the bench has used the first numbers of the shop
        served.create("PO-20", "PO-21")
        served.tell("scan-7", Role.SCANNER, "pack", served.event("scan-7", 1, "PO-20"))
    with closing(sqlite3.connect(site / "dockbridge.db")) as database:
        return "\n".join(database.iterdump())


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        sql = record(Path(folder) / "site")
    file = Path(sys.argv[1]) / f"{NEWEST}.sql.xz"
    file.write_bytes(lzma.compress(sql.encode()))
    print(f"{file}: {len(sql):,} characters of SQL")
