"""Checks of the site's certificates."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from typing import Final

from bridge.addresses import is_loopback, split_address
from bridge.config import LISTENERS, ListenSettings, Settings
from bridge.domain.codes.rules import DAY_MS
from bridge.operations.doctor.findings import Finding, Trouble
from bridge.operations.doctor.patient import Certificate, Patient
from bridge.words import counted

SOON_MS: Final = 30 * DAY_MS
"""A certificate that ends within this time should be renewed now."""
AUTHORITY_SOON_MS: Final = 180 * DAY_MS
"""The same for an authority: every device has to be given a new one."""


def certificates(patient: Patient) -> Iterable[Finding]:
    seen, settings = patient.certificates, patient.settings
    assert isinstance(settings, Settings)
    if not uses_tls(settings.listen):
        return
    if (fault := seen.authority_fault) is not None and seen.is_made_here and not seen.is_unreadable:
        yield Finding(code=Trouble.AUTHORITY_UNUSABLE, what=str(fault), fix=f"{str(fault.fix)[:1].upper()}{str(fault.fix)[1:]}.")
    renews = seen.is_made_here and seen.authority_fault is None and not seen.is_unreadable
    if (fault := seen.fault) is not None:
        yield Finding(
            code=Trouble.CERTIFICATE_UNUSABLE,
            what=str(fault),
            fix="Make a new certificate; devices notice nothing." if renews else f"Whoever looks after the certificate corrects it: {fault.fix}.",
            command=_renew(patient) if renews else None,
        )
    elif seen.server is not None:
        yield from _of_server(patient, seen.server, settings.listen)
    if seen.authority is not None and seen.authority.ends_ms < patient.now_ms + AUTHORITY_SOON_MS and seen.is_made_here:
        yield Finding(
            code=Trouble.AUTHORITY_ENDS_SOON,
            what=f"the site's authority {_ends(seen.authority, patient.now_ms)}; no device trusts the server after that",
            fix="Move the folder tls/ away, run `dockbridge certificate renew --host NAME`, and give the new ca.pem to every device.",
        )


def _of_server(patient: Patient, certificate: Certificate, listen: ListenSettings) -> Iterable[Finding]:
    renews = patient.certificates.is_made_here
    command = _renew(patient) if renews else None
    who = "Renew it; devices notice nothing." if renews else "Whoever made it renews it; then `dockbridge certificate reload` puts it to use."
    if certificate.ends_ms < patient.now_ms:
        yield Finding(code=Trouble.CERTIFICATE_EXPIRED, what=f"the server's certificate {_ends(certificate, patient.now_ms)}", fix=who, command=command)
    elif certificate.ends_ms < patient.now_ms + SOON_MS:
        yield Finding(code=Trouble.CERTIFICATE_ENDS_SOON, what=f"the server's certificate {_ends(certificate, patient.now_ms)}", fix=who, command=command)
    elif certificate.begins_ms > patient.now_ms:
        what = f"the server's certificate is not valid yet, for {counted((certificate.begins_ms - patient.now_ms) // DAY_MS + 1, 'day')}"
        yield Finding(code=Trouble.CERTIFICATE_NOT_YET_VALID, what=what, fix=f"Check this machine's clock. If it is right: {who}", command=command)
    if renews and not certificate.is_of_authority:
        what = f"{certificate.file} is not signed by the site's authority (tls/ca.pem), which is what devices trust"
        yield Finding(code=Trouble.CERTIFICATE_FOREIGN, what=what, fix=who, command=command)
    elif (lacking := lacking_names(patient, certificate.names, listen)) is not None:
        yield Finding(
            code=Trouble.CERTIFICATE_NAMES,
            what=lacking,
            fix="Give it the names and addresses by which devices reach this machine." if renews else "Whoever makes the certificate adds the name.",
            command=_renew(patient) if renews else None,
        )


def lacking_names(patient: Patient, names: Iterable[str], listen: ListenSettings) -> str | None:
    """What is wrong with the names of a certificate; None if a device can find the server by one of them."""
    hosts = {split_address(f"listen.{name}", bind)[0] for name, is_tls in LISTENERS.items() if is_tls and (bind := getattr(listen, name))}
    outside = [name for name in names if not is_loopback(name)]
    if all(is_loopback(host) for host in hosts):
        return None
    if bound := [h for h in sorted(hosts) if _is_address(h) and not is_loopback(h) and h != "0.0.0.0"]:  # noqa: S104 -- only compared
        if not any(h in outside for h in bound) and not any(not _is_address(name) and patient.machine.resolves(name) for name in outside):
            return f"the server listens on {', '.join(bound)}, and its certificate names only {', '.join(names)}"
        return None
    if any(name in patient.machine.addresses if _is_address(name) else patient.machine.resolves(name) for name in outside):
        return None
    return f"no name in the server's certificate leads to this machine: {', '.join(names)}"


def uses_tls(listen: ListenSettings) -> bool:
    return bool(listen.mqtts or listen.wss)


def _renew(patient: Patient) -> str:
    """The command that makes a certificate with the present names, and with those that it lacks."""
    present = patient.certificates.server
    assert isinstance(patient.settings, Settings)
    lacks = present is None or lacking_names(patient, present.names, patient.settings.listen) is not None
    if not lacks and patient.certificates.fault is None:
        return patient.command("certificate", "renew")
    kept = [name for name in (present.names if present is not None else ()) if not is_loopback(name)]
    hosts = dict.fromkeys([*kept, *patient.machine.addresses])
    return patient.command("certificate", "renew", *[word for host in hosts for word in ("--host", host)] or ("--host", "localhost"))


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _ends(certificate: Certificate, now_ms: int) -> str:
    days = (certificate.ends_ms - now_ms) // DAY_MS
    return f"ended {counted(-days, 'day')} ago" if days < 0 else f"ends in {counted(days, 'day')}"
