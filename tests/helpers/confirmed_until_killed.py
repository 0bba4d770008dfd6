"""A second factor that is confirmed: `python confirmed_until_killed.py SITE PERSON SECRET` kills itself when the file beside the database has it, and the
database does not."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from sqlalchemy import Engine

from bridge.app import Application
from bridge.operations import people
from bridge.second_factor import code_of, step_at
from helpers.upgrade_until_killed import count_changes


async def confirm(site: Path, person: str, secret: str) -> None:
    async with await Application.open(site) as app:
        count_changes(Engine, kill_at=1)
        await people.set_totp(app, person, secret, code_of(secret, step_at(app.clock.phone_ms())), [])


if __name__ == "__main__":
    asyncio.run(confirm(Path(sys.argv[1]), *sys.argv[2:]))
