"""Wires the console to a served charter: reviewers, what the pages say, and the chat through the gateway itself."""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import TYPE_CHECKING

from trueline.charter.compile.reviewing import review_rules
from trueline.charter.compile.rubric import rule_of
from trueline.charter.turns import Message
from trueline.gateway.config import GatewayConfig
from trueline.review.access import Access, Account, read_reviewers, token_hash
from trueline.review.pages import ChatAnswer, ConsoleAbout, console_routes
from trueline.store.database import Store
from trueline.store.holds import Reviewer

if TYPE_CHECKING:
    from starlette.routing import BaseRoute

    from trueline.cli.project import Project


def _chat(url: str) -> object:
    import httpx

    async def ask(messages: tuple[Message, ...]) -> ChatAnswer:
        body = {"model": "any", "messages": [m.to_dict() for m in messages]}
        async with httpx.AsyncClient(timeout=120) as client:
            models = await client.get(f"{url}/v1/models")
            if models.status_code == 200 and models.json().get("data"):
                body["model"] = models.json()["data"][0]["id"]
            answer = await client.post(f"{url}/v1/chat/completions", json=body, headers={"prefer": "respond-async"})
        raw = answer.json()
        if answer.status_code >= 400:
            return ChatAnswer(str(raw.get("error", {}).get("message", raw)), f"HTTP {answer.status_code}")
        told = raw.get("trueline") or {}
        choice = (raw.get("choices") or [{}])[0]
        text = str((choice.get("message") or {}).get("content") or "")
        held = told.get("review_id") if told.get("status") == "held" else None
        verdict = (
            f"held ({told.get('clause', 'a person decides')})"
            if held
            else str(told.get("action") or choice.get("finish_reason") or "allow")
        )
        return ChatAnswer(text, verdict, held)

    return ask


def console_pages(
    store: Store, project: Project, config: GatewayConfig, url: str, reviewers: Path | None
) -> tuple[list[BaseRoute], dict[str, str]]:
    """(routes, what to announce). Without a file of reviewers one is made with a fresh token and every role of the charter."""
    charter = project.loaded.charter
    told = {"console": f"{url}/console"}
    if reviewers is not None:
        accounts = read_reviewers(reviewers)
    else:
        token = secrets.token_urlsafe(18)
        roles = tuple(dict.fromkeys(r for rule in review_rules(charter) for r in rule.by))
        accounts = (Account(Reviewer("reviewer", roles), token_hash(token)),)
        told["token"] = token
    rules = {c.id: rule_of(charter, c.id) for c in charter.clauses()}
    version = str(config.identity.get("weights") or config.charter)
    about = ConsoleAbout(charter.name, config.name, version, rules)
    ask = _chat(url)
    return console_routes(store, Access(accounts), about, ask), told  # type: ignore[arg-type]
