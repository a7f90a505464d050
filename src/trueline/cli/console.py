"""The console as `trueline serve` mounts it: who may enter, what its pages say, and the chat page's way through the gateway."""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from trueline.charter.digests import digest_of
from trueline.charter.turns import Message
from trueline.core.chat import ChatRequest

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import date

    from starlette.routing import BaseRoute

    from trueline.charter.schema import Charter
    from trueline.cli.project import Project
    from trueline.gateway.answering import Answering
    from trueline.review.access import Account
    from trueline.review.pages import Chat

WORDS = ("rule", "describe", "decision", "reply")  # where a clause of each kind says what it is about


def rules_in_words(charter: Charter) -> dict[str, str]:
    """Each clause's rule as a reviewer reads it."""
    out: dict[str, str] = {}
    for clause in charter.clauses():
        out[clause.id] = next((str(getattr(clause, w)) for w in WORDS if getattr(clause, w, None)), clause.id)
    return out


def accounts_of(charter: Charter, path: Path | None) -> tuple[tuple[Account, ...], str]:
    """(the reviewers, the token of the one made for this run: empty where a file names them). The one made has every role."""
    from trueline.review.access import Account, read_reviewers, token_hash
    from trueline.store.holds import Reviewer

    if path is not None:
        return read_reviewers(path), ""
    token = secrets.token_urlsafe(24)
    roles = tuple(sorted({role for h in charter.high_stakes for role in h.review.by}))
    return (Account(Reviewer("reviewer", roles), token_hash(token)),), token


def without_reviewer(charter: Charter, accounts: Sequence[Account], day: date) -> dict[str, tuple[str, ...]]:
    """Clauses whose holds too few people may decide on this day, with the roles that could: all of them would time out and be refused."""
    there = [set(a.on(day).roles) for a in accounts]
    return {h.id: h.review.by for h in charter.high_stakes if sum(not r.isdisjoint(h.review.by) for r in there) < h.review.approvals}


def chat_through(answering: Answering) -> Chat:
    """The chat page's questions go the way of any client's: guard, model, guard, hold; recorded under the key `console`."""
    from trueline.gateway.answering import Call
    from trueline.gateway.config import MAIN_ROUTE
    from trueline.gateway.holding import look
    from trueline.gateway.wire_openai import visible
    from trueline.review.pages import ChatAnswer
    from trueline.review.words import verdict

    async def ask(messages: tuple[Message, ...]) -> ChatAnswer:
        call = Call(ChatRequest(messages, answering.config.sampling), MAIN_ROUTE, "console")
        e = await answering.whole(call, await answering.admit(call))
        _, hold = await look(answering.store, e.id) if e.action == "hold" else (None, None)
        text, calls, _ = visible(e, hold)
        shown = text or " ".join(f"{c.name}({c.arguments})" for c in calls)
        return ChatAnswer(shown, verdict(e.action, e.clause), hold.id if hold is not None and hold.state == "pending" else None)

    return ask


def console_pages(answering: Answering, project: Project, url: str, reviewers: Path | None) -> tuple[list[BaseRoute], dict[str, Any]]:
    """The routes to mount, and what to announce: the console's address, and the token where one was made.
    Raises `GatewayError` for a file of reviewers that cannot be read."""
    from trueline.review.access import Access
    from trueline.review.pages import ConsoleAbout, console_routes

    charter = project.loaded.charter
    accounts, token = accounts_of(charter, reviewers)
    for clause, by in without_reviewer(charter, accounts, answering.store.clock().date()).items():
        click.echo(
            f"note: too few may decide what {clause} holds, expected as many reviewers as approvals with the role {' or '.join(by)}",
            err=True,
        )
    config = answering.config
    system, weights = digest_of(dict(config.identity)), config.identity.get("weights")
    version = f"system {system[:12]}, charter {charter.version} ({config.charter[:12]})"
    about = ConsoleAbout(
        charter.name, config.name, f"weights {str(weights)[:12]}, {version}" if weights else version, rules_in_words(charter), system,
        config.charter,
    )  # fmt: skip
    pages = console_routes(answering.store, Access(accounts, answering.store.clock), about, chat_through(answering))
    return pages, {"console": f"{url}/console", **({"token": token} if token else {})}
