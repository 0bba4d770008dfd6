"""Numbers of identity documents, taxpayers, bank accounts and payment cards: what a column's name, or a text, says of them.

Evidence has two strengths. A *certain* number can be nothing else, wherever it stands in a text: its form and its check digits say so. A *likely* one is a
plain number with the right check digits, as one in ten to one in a hundred others have them: what it proves depends on the column in which it stands.
"""

from __future__ import annotations

import re
from enum import StrEnum
from typing import Final
from unicodedata import normalize


class Kind(StrEnum):
    """What a number is the number of, as messages have it."""

    IDENTITY = "an identity document"
    TAX = "a taxpayer"
    BANK = "a bank account"
    CARD = "a payment card"


# --- names of columns -------------------------------------------------------------------------------------------------------

_NUMBER: Final = r"(?: (?:id|no|nr|num|number|nummer))"
_NAMES: Final[dict[Kind, re.Pattern[str]]] = {
    Kind.TAX: re.compile(
        rf"\b(?:(?:tax|vat|taxpayer|fiscal){_NUMBER}|tax (?:payer|registration|identification)\w*|steuer ?(?:id|nr|nummer|identifikations\w*)"
        r"|umsatzsteuer (?:id|nr|nummer)\w*|ust ?(?:id|nr)\w*|uid nummer|nif|rfc|cuit|cuil|cpf|cnpj|inscricao estadual|identificacion fiscal"
        r"|numero fiscal|numero de tva|siret|siren|codice fiscale|partita iva|p iva|btw nummer|vergi no|gstin|npwp)\b"
        rf"|^(?:tin|ein|cif|rut|nip){_NUMBER}?$|税号|稅號|纳税人|納稅人|社会信用代码|統一編號|инн$"
    ),
    Kind.BANK: re.compile(
        r"\b(?:iban|bank account\w*|account (?:no|nr|number)|routing number|sort code|konto ?(?:nr|nummer)|bankverbindung|cuenta bancaria"
        r"|numero de cuenta|clabe|conta bancaria|compte bancaire|rekening ?nummer|conto corrente)\b"
        r"|^(?:bic|swift|rib)$|银行卡|銀行卡|银行账|银行帐|銀行帳|口座番号"
    ),
    Kind.CARD: re.compile(
        rf"\b(?:(?:credit|debit|payment) ?card{_NUMBER}|(?:cc|card){_NUMBER}|(?:kredit)?karten ?(?:nr|nummer))\b"
        r"|\bnumero (?:de |do )(?:la )?(?:tarjeta|cartao|carte)\b|卡号|卡號|カード番号"
    ),
    Kind.IDENTITY: re.compile(
        rf"\b(?:(?:national|citizen|identity|identification|personal|resident)(?: card)?{_NUMBER}|identity card|id card|id (?:no|nr|number)|passport"
        r"|(?:personal ?)?ausweis\w*|reisepass\w*|pass ?nummer|sozialversicherungs\w*|ssn|social security|driving licen[cs]e|driver s licen[cs]e"
        r"|dni|curp|cedula|pasaporte|documento de (?:identidad|identidade|identificacao)|(?:numero|nro|no) (?:de )?(?:documento|identificacion)"
        r"|passaporte|carte d identite|passeport|carta d identita|bsn|paspoort|pesel|tc kimlik\w*|aadhaar|ktp|nric|personnummer|pccc)\b"
        rf"|^(?:nie|rg|nik){_NUMBER}?$|身份证|身份證|身分證|证件号|證件號|护照|護照|社保号|社会保障号|マイナンバー|주민등록|개인통관|паспорт|снилс"
    ),
}
"""Names in English, Chinese, German, Spanish, Portuguese and a few more languages, as `_plain` writes them."""


def kind_by_name(column: str) -> Kind | None:
    """Of what a column has the numbers, by its name; None if it does not look like that."""
    plain = _plain(column)
    return next((kind for kind, names in _NAMES.items() if names.search(plain)), None)


_ACCENTS: Final = frozenset(map(chr, range(0x300, 0x370)))


def _plain(name: str) -> str:
    """A name in lower case, without accents, its words apart: `taxNumber` and `Tax_Number` are `tax number`."""
    letters = "".join(c for c in normalize("NFKD", re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name)) if c not in _ACCENTS)
    return re.sub(r"[\W_]+", " ", normalize("NFC", letters).casefold()).strip()


# --- texts ------------------------------------------------------------------------------------------------------------------

_SHORTEST: Final = 11
_MAYBE: Final = re.compile(r"\d{11}|\d{3}\.\d{3}\.\d{3}-|\d\d\.\d{3}\.\d{3}/|\d{4}[ -]\d{4}|[A-Za-z]{2}\d\d[ -]?[A-Za-z0-9]{4}")
"""What each of the numbers below has in it."""
_RESIDENT: Final = re.compile(r"(?<![0-9A-Za-z])\d{17}[\dXx](?![0-9A-Za-z])")
_IBAN: Final = re.compile(r"(?<![A-Z0-9])[A-Z]{2}\d\d(?:[ -]?[A-Z0-9]){11,30}")
_IBAN_CHARS: Final = range(15, 35)
_BRAZILIAN: Final = re.compile(r"(?<!\d)(?:\d{3}\.\d{3}\.\d{3}-\d\d|\d\d\.\d{3}\.\d{3}/\d{4}-\d\d)(?!\d)")
_CARD: Final = re.compile(r"(?<![\dA-Za-z])(?:\d{13,19}|(?:\d{4}[ -]){3}\d{4}(?:[ -]\d{1,3})?|\d{4}[ -]\d{6}[ -]\d{4,5})(?![\dA-Za-z])")
_BRAZILIAN_DIGITS: Final = (11, 14)
_SCHEMES: Final[tuple[tuple[range, int, tuple[int, ...]], ...]] = (
    (range(4, 5), 1, (13, 16, 19)),  # Visa
    (range(51, 56), 2, (16,)),  # Mastercard
    (range(2221, 2721), 4, (16,)),
    (range(34, 38, 3), 2, (15,)),  # American Express
    (range(62, 63), 2, (16, 17, 18, 19)),  # UnionPay
    (range(8100, 8172), 4, (16, 17, 18, 19)),
    (range(3528, 3590), 4, (16, 17, 18, 19)),  # JCB
    (range(6011, 6012), 4, (16, 19)),  # Discover
    (range(644, 660), 3, (16, 19)),
    (range(300, 306), 3, (14,)),  # Diners Club
    (range(36, 40, 2), 2, (14,)),
    (range(2200, 2205), 4, (16, 17, 18, 19)),  # Mir
)
"""(the first digits, how many these are, how many digits the whole number has)."""


def may_have_number(text: str) -> bool:
    """Whether a text has the form of any of the numbers below in it. Most cells have not: this is asked of each."""
    return len(text) >= _SHORTEST and _MAYBE.search(text) is not None


def certain(text: str) -> Kind | None:
    """Of what a number in a text certainly is the number; None if there is none."""
    if not may_have_number(text):
        return None
    text = normalize("NFKC", text).upper()
    if any(map(_is_resident, _RESIDENT.findall(text))):
        return Kind.IDENTITY
    if any(map(_has_iban, _IBAN.findall(text))):
        return Kind.BANK
    return Kind.TAX if any(map(_is_brazilian, _BRAZILIAN.findall(text))) else None


def card_in(text: str, *, digits_min: int = 13) -> Kind | None:
    """Whether a text has the number of a payment card in it, of so many digits at least. One number in ten with its first digits looks like one."""
    if not may_have_number(text):
        return None
    found = ("".join(filter(str.isdigit, number)) for number in _CARD.findall(normalize("NFKC", text)))
    return Kind.CARD if any(len(digits) >= digits_min and is_card(digits) for digits in found) else None


def likely(text: str) -> Kind | None:
    """Of what a text, as a whole, may be the number: plain digits with the right check digits."""
    if text.isascii() and text.isdigit() and len(text) in _BRAZILIAN_DIGITS and _is_brazilian(text):
        return Kind.TAX
    return card_in(text)


def is_card(digits: str) -> bool:
    """Whether this is the number of a payment card: its first digits, its length, and its check digit (Luhn, ISO/IEC 7812-1)."""
    if not any(len(digits) in lengths and int(digits[:n]) in first for first, n, lengths in _SCHEMES):
        return False
    from stdnum import luhn  # few files have a number that makes this necessary

    return bool(luhn.is_valid(digits)) and len(set(digits)) > 1


def _is_resident(text: str) -> bool:
    """A Chinese resident's number (GB 11643-1999): its region, its date of birth and its check digit."""
    from stdnum.cn import ric

    return bool(ric.is_valid(text))


def _has_iban(text: str) -> bool:
    """Whether a text begins with an IBAN (ISO 13616). Its country says how long it is; words may follow."""
    from stdnum import iban

    plain = text.replace(" ", "").replace("-", "")
    return any(iban.is_valid(plain[:length]) for length in _IBAN_CHARS if length <= len(plain))


def _is_brazilian(text: str) -> bool:
    """A CPF or a CNPJ."""
    from stdnum.br import cnpj, cpf

    return bool(cpf.is_valid(text) or cnpj.is_valid(text))
