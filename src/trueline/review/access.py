"""Who may enter the console: reviewers by token, sessions as signed cookies, forms with a token against forgery, and browsers from which
a reviewer has entered before.

A role may have a last day. After it the reviewer may still enter, but has the role no more: nothing is assigned to them by it, and
they can decide nothing with it.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from urllib.parse import quote, unquote

from trueline.core.clock import Clock, utc_now
from trueline.errors import GatewayError
from trueline.store.holds import Reviewer

COOKIE = "trueline_console"
LONGEST_NAME = 128  # as the database keeps it
KNOWN_COOKIE = "trueline_console_known"  # says whose browser this is; it opens nothing
SESSION = timedelta(hours=12)
KNOWN_FOR = timedelta(days=90)


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


@dataclass(frozen=True, slots=True)
class Visitor(Reviewer):
    """A reviewer who has entered, and the name of their session."""

    session: str


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
    if len(name) > LONGEST_NAME:
        raise ValueError(f"the name {name!r:.40} has {len(name)} characters, at most {LONGEST_NAME} expected")
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

    def _signed(self, kind: str, name: str) -> str:
        text = f"{quote(name, safe='')}|{int(self._clock().timestamp())}|{secrets.token_hex(16)}"
        return f"{text}|{self._sign(f'{kind}|{text}')}"

    def _read(self, kind: str, cookie: str | None, longest: timedelta) -> tuple[Account, str] | None:
        """(account, the cookie's own random name), where it is ours, of this kind, and young enough."""
        text, _, signature = (cookie or "").rpartition("|")
        if not text or not _equal(signature, self._sign(f"{kind}|{text}")):
            return None
        name, issued, own = text.split("|")
        account = self._accounts.get(unquote(name))
        if account is None or self._clock() - datetime.fromtimestamp(int(issued), UTC) >= longest:
            return None
        return account, own

    def holder(self, token: str) -> str | None:
        """The name of the reviewer with this token, or None. Compares with every one, each in constant time."""
        found, given = None, hashlib.sha256(token.encode("utf-8", "replace")).hexdigest()
        for a in self._accounts.values():
            if hmac.compare_digest(a.token_hash, given):
                found = a.reviewer.name
        return found

    def session(self, name: str) -> tuple[str, str]:
        """(the name of a new session of this reviewer, its cookie)."""
        cookie = self._signed("session", name)
        return cookie.split("|")[2], cookie

    def known_cookie(self, name: str) -> str:
        """The cookie by which this browser is known as one from which this reviewer has entered."""
        return self._signed("known", name)

    def known(self, cookie: str | None) -> str | None:
        """The reviewer who has entered from this browser before, or None."""
        found = self._read("known", cookie, KNOWN_FOR)
        return found[0].reviewer.name if found else None

    def keyed(self, text: str) -> str:
        """A digest of a short text that only who has the tokens can test."""
        return self._sign(f"text|{text}")

    def who(self, cookie: str | None) -> Visitor | None:
        """The reviewer of a session's cookie with the roles that hold today, or None."""
        found = self._read("session", cookie, SESSION)
        if found is None:
            return None
        now = found[0].on(self._clock().date())
        return Visitor(now.name, now.roles, found[1])

    def lapsed(self, reviewer: Reviewer) -> Mapping[str, date]:
        """The roles that this reviewer has no more, each with its last day."""
        account = self._accounts[reviewer.name]
        return {role: day for role, day in account.until.items() if role not in reviewer.roles}

    def form_token(self, visitor: Visitor) -> str:
        """The token that every form of this session carries."""
        return self._sign(f"form|{visitor.session}|{visitor.name}")

    def form_is_own(self, visitor: Visitor, token: str) -> bool:
        """Whether a form came from our own page, in this session."""
        return _equal(self.form_token(visitor), token)
