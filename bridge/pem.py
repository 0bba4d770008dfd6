"""What is wrong with a certificate's file or its key's, in plain words. OpenSSL says `PEM lib`."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Final, NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.hazmat.primitives.serialization import load_der_private_key, load_pem_private_key

from bridge.errors import Refused

CERTIFICATE: Final = "CERTIFICATE"
PRIVATE_KEY: Final = "PRIVATE KEY"
_DER: Final = b"\x30"
"""The first byte of everything in DER (X.690 §8.9): a sequence."""
_BEGIN: Final = re.compile(rb"-----BEGIN ([A-Z0-9 ]+)-----")
_CHAIN: Final = "give a certificate chain (PEM), the server's own certificate first"
_KEY: Final = "give the private key (PEM, not encrypted) of the certificate in listen.tls_cert_file"


class Fault(NamedTuple):
    """What is wrong with a file, as the end of a sentence that begins with its name, and what to do."""

    what: str
    fix: str


def certificate_fault(path: Path) -> Fault | None:
    """What is wrong with a file of certificates; None if they can be read.

    Raises:
        OSError: if the file can't be read.
    """
    data, file = path.read_bytes(), shlex.quote(str(path))
    labels = _labels(data)
    if not labels:
        return _not_pem(data, "certificate", f"openssl x509 -inform DER -in {file} -out server.pem", _CHAIN, is_der=_is_der_certificate(data))
    if CERTIFICATE not in labels and "X509 CERTIFICATE" not in labels:
        held = "a private key" if any(PRIVATE_KEY in label for label in labels) else f"a {labels[0].lower()}"
        return Fault(f"contains {held}, and no certificate", f"{_CHAIN}; perhaps this file and the one in the other setting were swapped")
    if _is_cut(data, CERTIFICATE):
        return Fault("ends in the middle of a certificate", "copy the file again, whole")
    try:
        x509.load_pem_x509_certificates(data)
    except ValueError:
        return Fault("contains a damaged certificate", "copy the file again, or have it issued again")
    return None


def key_fault(path: Path) -> Fault | None:
    """What is wrong with the file of a private key; None if it can be read.

    Raises:
        OSError: if the file can't be read.
    """
    data, file = path.read_bytes(), shlex.quote(str(path))
    labels = _labels(data)
    if not labels:
        return _not_pem(data, "key", f"openssl pkey -inform DER -in {file} -out server.key", _KEY, is_der=_is_der_key(data))
    if not any(PRIVATE_KEY in label for label in labels):
        return Fault(f"contains a {labels[0].lower()}, and no private key", f"{_KEY}; perhaps this file and the one in the other setting were swapped")
    if "ENCRYPTED PRIVATE KEY" in labels or b"Proc-Type: 4,ENCRYPTED" in data:
        return Fault(
            "is encrypted, and the server starts without anybody who types its password", f"write it without one: openssl pkey -in {file} -out server.key"
        )
    if _is_cut(data, PRIVATE_KEY):
        return Fault("ends in the middle of the key", "copy the file again, whole")
    return None if _key(data) is not None else Fault("contains a damaged key", "copy the file again, or make a new key and have its certificate issued")


def pair_fault(certificate: Path, key: Path) -> Fault | None:
    """Why a certificate and a key, each of which can be read, do not belong together; None if they do."""
    found = _key(key.read_bytes())
    own, *others = x509.load_pem_x509_certificates(certificate.read_bytes())
    if found is None or own.public_key() == found.public_key():
        return None
    if any(other.public_key() == found.public_key() for other in others):
        return Fault("the key is that of a later certificate in the chain", "put the server's own certificate first")
    return Fault(
        f"the key is not that of the certificate of {own.subject.rfc4514_string() or 'the server'}", "give the certificate and the key that were made together"
    )


def check_certificate(path: Path) -> None:
    """Raises:
    Refused: if a file has no certificate that can be read. It names the file.
    """
    try:
        fault = certificate_fault(path)
    except OSError as error:
        raise Refused(f"{path} can't be read: {error.strerror}", fix="check the name, and let the user who runs this command read the file") from error
    if fault is not None:
        raise Refused(f"{path} {fault.what}", fix=fault.fix)


def _labels(data: bytes) -> list[str]:
    """What a PEM text says that it contains (RFC 7468), without what only describes a key."""
    return [label for label in (found.decode() for found in _BEGIN.findall(data)) if not label.endswith("PARAMETERS")]


def _is_cut(data: bytes, label: str) -> bool:
    return len(re.findall(rf"-----BEGIN [A-Z0-9 ]*{label}-----".encode(), data)) > len(re.findall(rf"-----END [A-Z0-9 ]*{label}-----".encode(), data))


def _not_pem(data: bytes, thing: str, convert: str, wanted: str, *, is_der: bool) -> Fault:
    if not data.strip():
        return Fault("is empty", wanted)
    if is_der:
        return Fault(f"contains a {thing} in the form DER, not PEM", f"write it as PEM: {convert}")
    if data.startswith(_DER):
        return Fault("is not PEM, but perhaps PKCS#12 (.p12, .pfx)", f"{wanted}; openssl pkcs12 -in FILE -nodes writes what is in such a file")
    return Fault(f"is not PEM: it contains no {thing}", wanted)


def _is_der_certificate(data: bytes) -> bool:
    try:
        x509.load_der_x509_certificate(data)
    except ValueError:
        return False
    return True


def _is_der_key(data: bytes) -> bool:
    try:
        load_der_private_key(data, password=None)
    except (ValueError, TypeError):  # TypeError: it is encrypted
        return False
    return True


def _key(data: bytes) -> PrivateKeyTypes | None:
    try:
        return load_pem_private_key(data, password=None)
    except (ValueError, TypeError):
        return None


__all__ = ["Fault", "certificate_fault", "check_certificate", "key_fault", "pair_fault"]
