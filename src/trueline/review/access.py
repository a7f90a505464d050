"""Who may enter the console: reviewers by token, sessions as signed cookies, forms with a token against forgery.

A role may have a last day. After it the reviewer may still enter, but has the role no more: nothing is assigned to them by it, and
they can decide nothing with it.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from urllib.parse import quote, unquote

from trueline.core.clock import Clock, utc_now
from trueline.errors import GatewayError
from trueline.store.holds import Reviewer

COOKIE = "trueline_console"
SESSION = timedelta(hours=12)


@dataclass(frozen=True, slots=True)
class Account:
    """A reviewer with all roles ever given, the SHA-256 of their token (the token itself is not kept), and the last day (UTC) of each
    role that has one."""

    reviewer: Reviewer
    token_hash: str
    until: Mapping[str, date] = field(default_factory=dict)

    def on(self, day: date) -> Reviewer:
        """The reviewer with the roles that hold on this day."""
        return Reviewer(self.reviewer.name, tuple(r for r in self.reviewer.roles if self.until.get(r, date.max) >= day))


def token_hash(token: str) -> str:
    """SHA-256 of a token, 64 hex digits; tokens are long and random, so no slow hash is needed."""
    return hashlib.sha256(token.encode()).hexdigest()


def _account(line: str) -> Account:
    """One line, `NAME TOKEN ROLE[:LAST-DAY][,...]`. Raises `ValueError` in words."""
    parts = line.split()
    if len(parts) != 3:
        raise ValueError(f"got {len(parts)} words, expected NAME TOKEN ROLE[:LAST-DAY][,ROLE...]")
    name, token, given = parts
    if len(token) < 16:
        raise ValueError(f"the token of {name} has {len(token)} characters, at least 16 expected")
    until: dict[str, date] = {}
    roles = []
    for one in given.split(","):
        role, _, day = one.partition(":")
        if not role:
            raise ValueError(f"{given!r} names an empty role")
        roles.append(role)
        if day:
            try:
                until[role] = date.fromisoformat(day)
            except ValueError:
                raise ValueError(f"{day!r} is no day, expected YYYY-MM-DD: the last day on which {name} is {role}") from None
    return Account(Reviewer(name, tuple(roles)), token_hash(token), until)


def read_reviewers(path: Path) -> tuple[Account, ...]:
    """Reads `NAME TOKEN ROLE[:LAST-DAY][,ROLE...]` lines; `#` begins a comment. Raises `GatewayError` (file:line)."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as e:
        raise GatewayError(f"cannot read the reviewers ({e})", remedy="give a text file", file=path) from None
    out: list[Account] = []
    for number, line in enumerate(lines, 1):
        bare = line.split("#")[0].strip()
        if not bare:
            continue
        try:
            found = _account(bare)
            if any(a.reviewer.name == found.reviewer.name or a.token_hash == found.token_hash for a in out):
                raise ValueError(f"the name or the token of {found.reviewer.name} stands in this file twice")
        except ValueError as e:
            raise GatewayError(str(e), remedy="mend this line", file=path, line=number) from None
        out.append(found)
    if not out:
        raise GatewayError("this file names no reviewer", remedy="add a line NAME TOKEN ROLE", file=path)
    return tuple(out)


def _equal(one: str, other: str) -> bool:
    """In constant time; whatever a client sends, also what is not ASCII."""
    return hmac.compare_digest(one.encode("utf-8", "replace"), other.encode("utf-8", "replace"))


class Access:
    """Checks tokens and cookies. The signing key follows from the tokens, so sessions survive a restart with the same file."""

    def __init__(self, accounts: Iterable[Account], clock: Clock = utc_now) -> None:
        self._accounts = {a.reviewer.name: a for a in accounts}
        self._key = hashlib.sha256("|".join(sorted(a.token_hash for a in self._accounts.values())).encode()).digest()
        self._clock: Callable[[], datetime] = clock

    def _sign(self, text: str) -> str:
        return hmac.new(self._key, text.encode("utf-8", "replace"), hashlib.sha256).hexdigest()

    def enter(self, token: str) -> str | None:
        """The cookie for a token, or None. Compares in constant time."""
        found, given = None, hashlib.sha256(token.encode("utf-8", "replace")).hexdigest()
        for a in self._accounts.values():
            if hmac.compare_digest(a.token_hash, given):
                found = a
        if found is None:
            return None
        text = f"{quote(found.reviewer.name, safe='')}|{int(self._clock().timestamp())}"
        return f"{text}|{self._sign(text)}"

    def _account(self, cookie: str | None) -> Account | None:
        text, _, signature = (cookie or "").rpartition("|")
        name, _, issued = text.rpartition("|")
        if not text or not _equal(signature, self._sign(text)):
            return None
        age = self._clock() - datetime.fromtimestamp(int(issued), UTC)
        return self._accounts.get(unquote(name)) if age < SESSION else None

    def who(self, cookie: str | None) -> Reviewer | None:
        """The reviewer of a cookie with the roles that hold today, or None."""
        account = self._account(cookie)
        return account.on(self._clock().date()) if account else None

    def lapsed(self, reviewer: Reviewer) -> Mapping[str, date]:
        """The roles that this reviewer has no more, each with its last day."""
        account = self._accounts[reviewer.name]
        return {role: day for role, day in account.until.items() if role not in reviewer.roles}

    def form_token(self, reviewer: Reviewer) -> str:
        """The token that every form of this reviewer carries."""
        return self._sign(f"form|{reviewer.name}")

    def form_is_own(self, reviewer: Reviewer, token: str) -> bool:
        """Whether a form came from our own page."""
        return _equal(self.form_token(reviewer), token)
