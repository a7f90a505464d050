"""Servers that speak nearly the same protocol: what may be said otherwise without changing what is asked.

Only rewritings that keep the meaning stand here. A setting that would change the replies (temperature, stop, top_p) is never
dropped in silence: the server's refusal is passed on with its remedy.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from trueline.models.wire import RequestRefused

# how providers say "my own filter stopped this" as an error; an HTTP error of this kind is a blocked reply, no failure
BLOCK_CODES = frozenset({"content_filter", "content_policy_violation", "responsibleaipolicyviolation", "moderation_blocked"})


def _renamed(body: dict[str, Any]) -> dict[str, Any]:
    rest = {k: v for k, v in body.items() if k != "max_tokens"}
    return {**rest, "max_completion_tokens": body["max_tokens"]} if "max_tokens" in body else rest


def _without(name: str) -> Callable[[dict[str, Any]], dict[str, Any]]:
    return lambda body: {k: v for k, v in body.items() if k != name}


REWRITES: Mapping[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
    "max_tokens": _renamed,  # newer OpenAI models
    "seed": _without("seed"),  # a wish by definition: servers promise nothing for it
    "stream_options": _without("stream_options"),  # only asks for token counts
}


def unknown_to(refused: RequestRefused, body: Mapping[str, Any]) -> str | None:
    """The name of the field that the server does not take and that may be said otherwise, or None."""
    if refused.status not in (400, 422):
        return None
    words = {refused.param, *refused.told.replace("'", " ").replace('"', " ").replace("`", " ").replace(":", " ").split()}
    return next((name for name in REWRITES if name in words and name in body), None)


def is_block(refused: RequestRefused) -> bool:
    """Whether the provider's own filter stopped the request."""
    return refused.code.lower() in BLOCK_CODES
