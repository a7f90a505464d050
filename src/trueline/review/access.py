"""Who may enter the console: reviewers by token, sessions as signed cookies, forms with a token against forgery."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from trueline.errors import GatewayError
from trueline.store.holds import Reviewer

COOKIE = "trueline_console"


@dataclass(frozen=True, slots=True)
class Account:
    """A reviewer and the SHA-256 of their token (the token itself is not kept)."""

    reviewer: Reviewer
    token_hash: str


def token_hash(token: str) -> str:
    """SHA-256 of a token, 64 hex digits; tokens are long and random, so no slow hash is needed."""
    return hashlib.sha256(token.encode()).hexdigest()


def read_reviewers(path: Path) -> tuple[Account, ...]:
    """Reads `NAME TOKEN ROLE[,ROLE]` lines; `#` begins a comment. Raises `GatewayError` (file:line)."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as e:
        raise GatewayError(f"cannot read the reviewers ({e})", remedy="give a text file", file=path) from None
    out: list[Account] = []
    for number, line in enumerate(lines, 1):
        parts = line.split("#")[0].split()
        if not parts:
            continue
        if len(parts) != 3:
            raise GatewayError(f"got {len(parts)} words, expected NAME TOKEN ROLE[,ROLE]", remedy="mend this line", file=path, line=number)
        name, token, roles = parts
        if len(token) < 16:
            raise GatewayError(
                f"the token of {name} has {len(token)} characters, at least 16 expected", remedy="use a longer one", file=path, line=number
            )
        out.append(Account(Reviewer(name, tuple(roles.split(","))), token_hash(token)))
    if not out:
        raise GatewayError("this file names no reviewer", remedy="add a line NAME TOKEN ROLE", file=path)
    return tuple(out)


class Access:
    """Checks tokens and cookies. The signing key follows from the tokens, so sessions survive a restart with the same file."""

    def __init__(self, accounts: Iterable[Account]) -> None:
        self._accounts = {a.reviewer.name: a for a in accounts}
        self._key = hashlib.sha256("|".join(sorted(a.token_hash for a in self._accounts.values())).encode()).digest()

    def _sign(self, text: str) -> str:
        return hmac.new(self._key, text.encode(), hashlib.sha256).hexdigest()

    def enter(self, token: str) -> str | None:
        """The cookie for a token, or None. Compares in constant time."""
        found = None
        for a in self._accounts.values():
            if hmac.compare_digest(a.token_hash, token_hash(token)):
                found = a
        return None if found is None else f"{found.reviewer.name}|{self._sign(found.reviewer.name)}"

    def who(self, cookie: str | None) -> Reviewer | None:
        """The reviewer of a cookie, or None."""
        name, _, signature = (cookie or "").rpartition("|")
        account = self._accounts.get(name)
        return account.reviewer if account and hmac.compare_digest(signature, self._sign(name)) else None

    def form_token(self, reviewer: Reviewer) -> str:
        """The token that every form of this reviewer carries."""
        return self._sign(f"form|{reviewer.name}")

    def form_is_own(self, reviewer: Reviewer, token: str) -> bool:
        """Whether a form came from our own page."""
        return hmac.compare_digest(self.form_token(reviewer), token)
