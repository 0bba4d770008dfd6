"""Checks of the keys with which personal data is sealed."""

from __future__ import annotations

from collections.abc import Iterable

from bridge.operations.doctor.findings import Finding, Trouble, Weight
from bridge.operations.doctor.patient import Patient
from bridge.words import counted


def keys(patient: Patient) -> Iterable[Finding]:
    rows = patient.site.queries.rows_by_key()
    here = {key.id: key for key in patient.site.vault.keys}
    for key_id in sorted(rows.keys() - here.keys()):
        yield Finding(
            code=Trouble.KEY_MISSING,
            what=f"key {key_id.hex()} is missing, and seals {counted(rows[key_id], 'row')}: who gets those orders can't be read",
            fix="Whoever keeps the recovery sheet types it in: `dockbridge keys restore`. Without it, nobody can read them any more.",
        )
    for key_id, key in here.items():
        if rows.get(key_id) and not key.backed_up_ms:
            yield Finding(
                code=Trouble.KEY_WITHOUT_SHEET,
                weight=Weight.NOTE,
                what=f"key {key_id.hex()} has no recovery sheet: if its folder is lost, so is who gets the orders",
                fix="Print the sheet with this command, and keep it away from this machine.",
                command=patient.command("keys", "backup"),
            )
