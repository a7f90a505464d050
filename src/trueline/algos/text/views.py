"""Canonical views of a text: what a model reads, whatever tricks of Unicode or encoding it was dressed in.

Tag characters, zero-width and bidi marks and variation selectors are removed (a tag payload is decoded and kept as text);
NFKC and a small confusables table fold look-alikes; short base64, hex, URL and ROT13 payloads are decoded as further views.
"""

from __future__ import annotations

import base64
import binascii
import codecs
import re
import unicodedata
from functools import lru_cache
from urllib.parse import unquote

_INVISIBLE = re.compile(
    "[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b\u200e\u200f\u202a-\u202e\u2060-\u206f\ufe00-\ufe0f\ufeff\U000e0100-\U000e01ef]"
)
_JOINERS = re.compile("(?<=[a-zA-Z])[\u200c\u200d](?=[a-zA-Z])")  # between Latin letters a joiner has no meaning; elsewhere it may
_TAGS = re.compile("[\U000e0020-\U000e007e]+")
# what no text needs and only a machine reads: left are the marks that Arabic and Hebrew, emoji and Persian use
_HIDDEN = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b\u202a-\u202e\u2060-\u206f\ufe00-\ufe0e\ufeff\U000e0000-\U000e007f\U000e0100-\U000e01ef]"
)
_LOOKALIKES = str.maketrans(
    "аеорсухіјѕԁԛԝһАВЕКМНОРСТХΑΒΕΖΗΙΚΜΝΟΡΤΥΧοαερνιυκτɡ",
    "aeopcyxijsdqwhABEKMHOPCTXABEZHIKMNOPTYXoaepviuktg",
)
_BASE64 = re.compile(r"(?<![A-Za-z0-9+/_-])[A-Za-z0-9+/_-]{16,}={0,2}(?![A-Za-z0-9+/_=-])")  # both alphabets, of any length
# the same wrapped: whole lines of it, the last of any length
_WRAPPED = re.compile(r"(?m)^[ \t]*(?:[A-Za-z0-9+/_-]{16,}[ \t]*\r?\n[ \t]*)+[A-Za-z0-9+/_-]+={0,2}[ \t]*$")
# bytes with or without 0x, \x, colons, commas or hyphens; the last may be cut in two
_HEX = re.compile(r"(?<![0-9A-Fa-f])(?:(?:0x|\\x)?[0-9A-Fa-f]{2}[\s:,-]{0,2}){10,}(?:(?:0x|\\x)?[0-9A-Fa-f])?(?![0-9A-Fa-f])")
_ROT = re.compile(r"rot-?13", re.IGNORECASE)


def plain(text: str) -> str:
    """The text without hidden characters, the rest as it is: what may be sent on. Character by character."""
    return _HIDDEN.sub("", text)


@lru_cache(maxsize=1 << 14)
def folded_char(c: str) -> str:
    """What a character reads as: one in lower case, a look-alike or wide form folded; a space for any white space; "" for what does not
    show."""
    if c.isspace():
        return " "
    if _INVISIBLE.match(c) or _HIDDEN.match(c) or c in "\u200c\u200d":
        return ""
    for form in (unicodedata.normalize("NFKC", c).translate(_LOOKALIKES), c):
        if len(low := form.lower()) == 1:
            return low
    return c


def canonical(text: str) -> str:
    """The text as it reads: invisible characters gone, hidden tag text made visible, look-alikes folded. Linear time."""
    text = _TAGS.sub(lambda m: " " + "".join(chr(ord(c) - 0xE0000) for c in m.group()) + " ", text)
    text = _JOINERS.sub("", _INVISIBLE.sub("", text))
    return unicodedata.normalize("NFKC", text).translate(_LOOKALIKES)


def _printable(raw: bytes) -> str | None:
    for cut in range(4):  # a text that was cut may end within a character
        try:
            text = raw[: len(raw) - cut].decode("utf-8")
        except UnicodeDecodeError:
            continue
        good = sum(c.isprintable() or c.isspace() for c in text)
        return text if text and good >= 0.95 * len(text) else None
    return None


def _from_base64(text: str) -> str | None:
    """Decoded, white space left out; an odd last character, which no whole text has, is a cut and dropped."""
    body = re.sub(r"\s", "", text).rstrip("=").replace("-", "+").replace("_", "/")
    body = body[:-1] if len(body) % 4 == 1 else body
    try:
        return _printable(base64.b64decode(body + "=" * (-len(body) % 4), validate=True))
    except binascii.Error:
        return None


def _from_hex(text: str) -> str | None:
    digits = re.sub(r"0x|\\x|[^0-9A-Fa-f]", "", text)
    return _printable(bytes.fromhex(digits[: len(digits) // 2 * 2]))


def _decoded(text: str) -> list[str]:
    wrapped = [m.group() for m in _WRAPPED.finditer(text)]
    out = [_from_base64(t) for t in (*wrapped, *(m.group() for m in _BASE64.finditer(text)))]
    found = [t for t in (*out, *(_from_hex(m.group()) for m in _HEX.finditer(text))) if t]
    if "%" in text:
        plain = unquote(text)
        if plain != text:
            found.append(plain)
    if _ROT.search(text):
        found.append(codecs.decode(text, "rot13"))
    return found


def views(text: str, depth: int = 2, most: int = 8) -> tuple[str, ...]:
    """The canonical text first, then what is encoded in it, decoded at most `depth` times and `most` in all."""
    found = [canonical(text)]
    layer = [found[0]]
    for _ in range(depth):
        layer = [canonical(d) for t in layer for d in _decoded(t)]
        for t in layer:
            if t not in found and len(found) < most:
                found.append(t)
    return tuple(found)
