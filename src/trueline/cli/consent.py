"""Before somebody else's endpoint is asked: what will be sent where, how much of it, and leave to do so."""

from __future__ import annotations

import socket
import sys
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import click

from trueline.errors import TargetError

if TYPE_CHECKING:
    from trueline.evals.budget import Caps
    from trueline.evals.suites import Suite

BYTES_A_TOKEN = 4  # of English; an estimate for people, no reservation
SHOWN = 12  # kinds named at most


@dataclass(frozen=True, slots=True)
class Sending:
    """What a verb is about to send: `kinds` of requests and how many of each, tokens read (estimated) and written (at most)."""

    host: str
    kinds: Mapping[str, int]
    read: int
    written: int

    @property
    def requests(self) -> int:
        """How many requests in all."""
        return sum(self.kinds.values())

    def told(self, verb: str, caps: Caps | None = None) -> str:
        """What a person reads before saying yes."""
        most = sorted(self.kinds.items(), key=lambda kn: (-kn[1], kn[0]))
        kinds = ", ".join(f"{kind} {n}" for kind, n in most[:SHOWN]) + (f" and {len(most) - SHOWN} more kinds" if len(most) > SHOWN else "")
        cost = f", at most about {caps.cost(self.read, self.written):.2f} in money" if caps and (caps.price_in or caps.price_out) else ""
        what = "attacks: requests that it must refuse, in disguises" if verb == "redteam" else "questions of the suite"
        return (
            f"{verb} will send {self.requests} requests to {self.host} ({what}).\n  {kinds}\n"
            f"  about {self.read} tokens to read, at most {self.written} to write{cost}"
        )


def _plain(host: str) -> str:
    """An IPv4 address in its usual form, whichever of the forms it has that connecting takes (one number, hexadecimal, two parts)."""
    try:
        return socket.inet_ntoa(socket.inet_aton(host))
    except (OSError, UnicodeError):
        return host


def foreign_host(identity: Mapping[str, Any]) -> str | None:
    """The host of a served target that is neither this machine nor on a private network; None for all others, local weights among them.
    Decided by the address as it is written, without asking a name server: a name without a dot is of the own network."""
    host = urlsplit(str(identity.get("url", ""))).hostname or ""
    try:
        found = ip_address(_plain(host))
    except ValueError:
        own = "." not in host or host.endswith((".localhost", ".local", ".internal", ".lan", ".home.arpa"))
        return None if own else host
    return None if found.is_private or found.is_loopback or found.is_link_local else host


def sending(
    suite: Suite, identity: Mapping[str, Any], host: str, samples: int, max_tokens: int, more: Mapping[str, int] | None = None
) -> Sending:
    """Counts the requests of a suite, by attack where they are attacks and by kind of probe elsewhere; `more`: short ones beside it, by what they are."""
    from trueline.core.evaluations import attack_of

    kinds = Counter(attack_of(p.id) or p.kind for p in suite.probes)
    before = len(str(identity.get("prompt", ""))) + sum(len(str(m)) for m in identity.get("shots", ()))
    size = sum(before + sum(len(m.content.encode()) for m in p.messages) for p in suite.probes)
    n = len(suite.probes) * samples
    return Sending(host, {**{k: v * samples for k, v in kinds.items()}, **(more or {})}, samples * size // BYTES_A_TOKEN, n * max_tokens)


def ask_leave(
    verb: str,
    suite: Suite,
    identity: Mapping[str, Any],
    *,
    samples: int,
    max_tokens: int,
    yes: bool,
    caps: Caps | None = None,
    more: Mapping[str, int] | None = None,
) -> None:
    """Says what `verb` will send where and asks, if that is somebody else's endpoint. `yes`: leave is given already. Without a terminal a
    red-team run needs `--yes`, and an evaluation goes on. Raises `TargetError` where leave is not given; nothing was sent then."""
    host = foreign_host(identity)
    if host is None or yes:
        return
    if not sys.stdin.isatty():
        if verb == "redteam":
            what = f"{sending(suite, identity, host, samples, max_tokens, more).told(verb, caps)}: nobody is here to agree"
            raise TargetError(what, remedy="give --yes if its owner agrees to be attacked")
        return
    click.echo(sending(suite, identity, host, samples, max_tokens, more).told(verb, caps), err=True)
    question = "Does its owner agree to be attacked?" if verb == "redteam" else "Send them?"
    if not click.confirm(question, default=False, err=True):
        raise TargetError("nothing was sent", remedy="give --yes to be asked no more, or another TARGET")
