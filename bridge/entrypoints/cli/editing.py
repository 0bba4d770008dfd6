"""A text in a person's editor."""

from __future__ import annotations

import os
import shlex
import subprocess
import tempfile
from pathlib import Path

from bridge.errors import Refused


def edited_text(text: str) -> str:
    """A text as it is once its editor (`$VISUAL`, `$EDITOR` or vi) has ended. The file that is edited can be read by nobody else, and is gone afterwards.

    Raises:
        Refused: if there is no such editor, or it fails.
    """
    editor = os.environ.get("VISUAL") or os.environ.get("EDITOR") or "vi"
    with tempfile.TemporaryDirectory(prefix="dockbridge-") as folder:
        file = Path(folder) / "payload.json"
        file.write_text(text, encoding="utf-8")
        try:
            subprocess.run([*shlex.split(editor), str(file)], check=True)  # noqa: S603 -- the person's own editor
            return file.read_text(encoding="utf-8")
        except (OSError, ValueError, subprocess.CalledProcessError) as error:
            raise Refused(f"the editor {editor!r} failed: {error}", fix="set EDITOR to the editor that is to be used, such as nano, or use --set") from error
