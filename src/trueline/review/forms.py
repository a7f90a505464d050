"""Forms as the console reads them: bounded, and never an error for odd bytes."""

from __future__ import annotations

import re
from collections.abc import Mapping
from urllib.parse import parse_qsl

from starlette.requests import Request

from trueline.errors import TruelineError

LARGEST = 1_000_000  # bytes
_SECONDS = re.compile(r"[0-9]{1,7}(?:\.[0-9]{1,3})?")
_OWN_PAGE = re.compile(r"/console(?:/holds/[\w-]{1,64}|/compare|/chat)?", re.ASCII)
Form = Mapping[str, str]


class FormRefused(TruelineError):
    """What was sent is no form of this console."""


async def read_form(request: Request) -> Form:
    """The fields of a url-encoded form; line ends as \\n. Raises `FormRefused`."""
    parts, size = [], 0
    async for part in request.stream():
        size += len(part)
        if size > LARGEST:
            raise FormRefused(f"the form has more than {LARGEST} bytes", remedy="shorten the text")
        parts.append(part)
    try:
        found = parse_qsl(b"".join(parts).decode("utf-8", "replace"), keep_blank_values=True, max_num_fields=100)
    except ValueError:
        raise FormRefused("the form has more than 100 fields", remedy="load the page again") from None
    if any("\0" in one for pair in found for one in pair):
        raise FormRefused("the form holds the character NUL, which cannot be kept", remedy="leave it out")
    return {name: value.replace("\r\n", "\n").replace("\r", "\n") for name, value in found}


def seconds_in(form: Form) -> float | None:
    """How long it took, as the script counted; None where it did not run."""
    said = form.get("seconds", "")
    return float(said) if _SECONDS.fullmatch(said) else None


def own_page(to: str) -> bool:
    """Whether this is the address of a page of the console: after entering, nobody is sent anywhere else."""
    return _OWN_PAGE.fullmatch(to) is not None
