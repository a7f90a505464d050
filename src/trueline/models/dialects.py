"""Servers that speak nearly the same protocol: what may be said otherwise without changing what is asked.

Only rewritings that keep the meaning stand here. A setting that would change the replies (temperature, stop, top_p) is never
dropped in silence: the server's refusal is passed on with its remedy.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from trueline.models.wire import RequestRefused

# how providers say "my own filter stopped this" as an error; an HTTP error of this kind is a blocked reply, no failure
BLOCK_CODES = frozenset({"content_filter", "content_policy_violation", "responsibleaipolicyviolation", "moderation_blocked"})
BLOCK_WORDS = re.compile(
    r"blocked by (our |the )?content[ -](filter|policy|moderation)", re.IGNORECASE
)  # Anthropic names no code of its own
# how servers say that their model's template has no place for a system message
NO_SYSTEM = re.compile(
    r"system.{0,60}(not|n't|un)[ -]?(be )?(supported|allowed|accepted)|(not|n't) support.{0,20}system|roles must alternate", re.IGNORECASE
)
SYSTEM = "system role"


def _renamed(body: dict[str, Any]) -> dict[str, Any]:
    rest = {k: v for k, v in body.items() if k != "max_tokens"}
    return {**rest, "max_completion_tokens": body["max_tokens"]} if "max_tokens" in body else rest


def _without(name: str) -> Callable[[dict[str, Any]], dict[str, Any]]:
    return lambda body: {k: v for k, v in body.items() if k != name}


def _folded(body: dict[str, Any]) -> dict[str, Any]:
    """The system text at the head of the first user turn, as local models without a system role get it."""
    told = "\n\n".join(str(m["content"]) for m in body["messages"] if m["role"] == "system")
    turns = [m for m in body["messages"] if m["role"] != "system"]
    first = next((i for i, m in enumerate(turns) if m["role"] == "user"), None)
    if first is None or not told:
        return body
    turns[first] = {**turns[first], "content": f"{told}\n\n{turns[first]['content']}"}
    return {**body, "messages": turns}


REWRITES: Mapping[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
    "max_tokens": _renamed,  # newer OpenAI models
    "seed": _without("seed"),  # a wish by definition: servers promise nothing for it
    "stream_options": _without("stream_options"),  # only asks for token counts
    SYSTEM: _folded,
}
NOTES: Mapping[str, str] = {SYSTEM: "this server takes no system message: its text stands at the head of the first user turn"}


def unknown_to(refused: RequestRefused, body: Mapping[str, Any]) -> str | None:
    """The name of the field that the server does not take and that may be said otherwise, or None."""
    if refused.status not in (400, 422):
        return None
    words = {refused.param, *refused.told.replace("'", " ").replace('"', " ").replace("`", " ").replace(":", " ").split()}
    if NO_SYSTEM.search(refused.told) and any(m["role"] == "system" for m in body["messages"]):
        return SYSTEM
    return next((name for name in REWRITES if name in words and name in body), None)


def is_block(refused: RequestRefused) -> bool:
    """Whether the provider's own filter stopped the request."""
    return refused.code.lower() in BLOCK_CODES or BLOCK_WORDS.search(refused.told) is not None
