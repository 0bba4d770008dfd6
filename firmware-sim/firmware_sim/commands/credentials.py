"""Files with passwords, as `dockbridge device import` prints them or as people write them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from firmware_sim.errors import BadCredentials


def read_json(path: Path) -> Any:
    """What a file with passwords says.

    Raises:
        BadCredentials: it can't be read.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise BadCredentials(f"there is no {path}", fix="write the devices' passwords into it, as --help says") from None
    except (OSError, ValueError) as error:
        raise BadCredentials(f"{path} can't be read: {error}", fix="it should be JSON, as --help says") from error
