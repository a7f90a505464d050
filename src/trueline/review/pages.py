"""The console: queue, hold, comparison, chat. Server-rendered, works without script; the content-security policy allows no inline.

A hold is decided blind first: the reviewer's own judgement is stored before the draft is sent to the browser at all, and without one
no decision is taken. What the page shows of a hold, only a reviewer with one of its roles sees.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader
from starlette.concurrency import run_in_threadpool as aside
from starlette.requests import ClientDisconnect, Request
from starlette.responses import FileResponse, HTMLResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from trueline.charter.digests import digest_of
from trueline.charter.turns import Message
from trueline.core.records import Rating
from trueline.core.roles import entitling
from trueline.errors import StoreError, TruelineError
from trueline.review.access import COOKIE, Access, Visitor
from trueline.review.entrance import Entrance
from trueline.review.forms import Form, read_form, seconds_in
from trueline.review.words import FILTERS
from trueline.store import exchanges, holds, ratings, sessions
from trueline.store.database import DatabaseFailed, Store, is_id
from trueline.store.holds import Hold, ReviewAction, Reviewer
from trueline.store.judgements import judge, judgement_of

HERE = Path(__file__).parent
POLICY = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}
STATIC = {"console.css": "text/css", "console.js": "text/javascript", "icon.svg": "image/svg+xml"}
ACTIONS: Mapping[str, ReviewAction] = {"approve": "approve", "edit": "edit", "refuse": "refuse"}
STATUS: tuple[tuple[type[TruelineError], int], ...] = ((holds.HoldMissing, 404), (holds.HoldConflict, 409), (holds.HoldForbidden, 403))
LONGEST_NOTE = 500
Handler = Callable[[Request, Visitor, Form], Awaitable[Response]]
logger = logging.getLogger("trueline.review")


@dataclass(frozen=True, slots=True)
class ConsoleAbout:
    """What every page says: the charter's name, the model's name, its version (digests), its limits; `rules`: clause -> its rule in
    words; `system`: the digest of what decides the replies now, `charter_digest` that of the rules."""

    charter: str
    model: str
    version: str
    rules: Mapping[str, str]
    system: str = ""
    charter_digest: str = ""
    limits: str = "A language model: it can be wrong, and it does not know this customer."


@dataclass(frozen=True, slots=True)
class ChatAnswer:
    """What the chat page shows: the reply, and the verdict in words."""

    text: str
    verdict: str
    held: str | None = None


Chat = Callable[[tuple[Message, ...]], Awaitable[ChatAnswer]]


@lru_cache(maxsize=1)
def _templates() -> Environment:
    made = Environment(loader=FileSystemLoader(HERE / "templates"), autoescape=True, trim_blocks=True, lstrip_blocks=True)
    made.filters |= FILTERS
    return made


def _may(reviewer: Reviewer, hold: Hold) -> bool:
    return entitling(reviewer.roles, hold.by) is not None


class Console:
    """The handlers; state is in the store alone."""

    def __init__(self, store: Store, access: Access, about: ConsoleAbout, chat: Chat) -> None:
        self.store, self.access, self.about, self.ask = store, access, about, chat

    def page(self, name: str, reviewer: Visitor | None, status: int = 200, **values: Any) -> HTMLResponse:
        """Renders a template."""
        about: dict[str, Any] = {"about": self.about, "reviewer": reviewer, "page": name.removesuffix(".html"), "now": self.store.now()}
        if reviewer:
            about |= {"form_token": self.access.form_token(reviewer), "lapsed": self.access.lapsed(reviewer)}
        return HTMLResponse(_templates().get_template(name).render(**about, **values), status, HEADERS)

    def known(self, handler: Handler) -> Callable[[Request], Awaitable[Response]]:
        """Only for reviewers who have entered; forms must be our own; errors are a page, never a traceback."""

        async def run(request: Request) -> Response:
            reviewer = self.access.who(request.cookies.get(COOKIE))
            if reviewer is None:
                return RedirectResponse(f"/console/enter?to={request.url.path}", 303, HEADERS)
            form: Form = {}
            try:
                if await aside(sessions.ended, self.store, reviewer.session):
                    return RedirectResponse(f"/console/enter?to={request.url.path}", 303, HEADERS)
                if not is_id(request.path_params.get("id", "none")):
                    raise holds.HoldMissing("this is no hold's name", remedy="look at the queue")
                form = await read_form(request) if request.method == "POST" else {}
                if request.method == "POST" and not self.access.form_is_own(reviewer, form.get("form_token", "")):
                    told = "This form is not from this page. Load the page again."
                    return self.page("message.html", reviewer, 403, title="Not accepted", text=told)
                return await handler(request, reviewer, form)
            except ClientDisconnect:
                return Response(status_code=499)
            except DatabaseFailed as e:
                logger.error("%s %s: %s", request.method, request.url.path, e)
                told = "The database does not answer, so nothing was kept. Try again; the reason stands in the server's log."
                return self.page("message.html", reviewer, 503, title="The console failed", text=told, kept=form.get("text"))
            except TruelineError as e:
                status = next((code for kind, code in STATUS if isinstance(e, kind)), 400)
                ident = request.path_params.get("id") if status == 409 else None
                return self.page(
                    "message.html", reviewer, status, title="That did not work", text=str(e), hold=ident, kept=form.get("text")
                )
            except Exception:
                logger.exception("%s %s", request.method, request.url.path)
                told = "Nothing was decided. The reason stands in the server's log."
                return self.page("message.html", reviewer, 500, title="The console failed", text=told, kept=form.get("text"))

        return run

    async def queue(self, request: Request, reviewer: Visitor, form: Form) -> Response:
        """What waits, the soonest to expire first, and what was decided last; of both only what this reviewer may decide."""

        def _read() -> dict[str, Any]:
            holds.expire_due(self.store)
            done, total = ratings.comparison_counts(self.store, reviewer.name)
            last = holds.decided(self.store, roles=reviewer.roles, limit=20)
            return {"waiting": holds.queue(self.store, roles=reviewer.roles), "decided": last, "open": total - done, "total": total}

        return self.page("queue.html", reviewer, **await aside(_read))

    async def hold(self, request: Request, reviewer: Visitor, form: Form) -> Response:
        """One hold. First the question alone; the draft and the guard's reason only after the reviewer's own judgement."""
        return await aside(self._hold, request.path_params["id"], reviewer)

    def _hold(self, ident: str, reviewer: Visitor, status: int = 200, **values: Any) -> Response:
        holds.expire_due(self.store)
        found = holds.get(self.store, ident)
        if not _may(reviewer, found):
            told = f"This hold is for {' or '.join(found.by)}; you do not have that qualification, so neither its words nor a decision are yours."
            return self.page("message.html", reviewer, 403, title="For another reviewer", text=told)
        made = exchanges.get(self.store, found.exchange)
        system = digest_of(dict(made.identity)) if made else ""
        shown = {"judgement": judgement_of(self.store, ident, reviewer.name), "reviews": holds.reviews_of(self.store, ident)}
        return self.page("hold.html", reviewer, status, hold=found, system=system, refused=holds.REFUSED, **shown, **values)

    async def judged(self, request: Request, reviewer: Visitor, form: Form) -> Response:
        """The reviewer's own judgement, before the draft."""
        ident = request.path_params["id"]
        await aside(judge, self.store, ident, reviewer, form.get("judgement", ""))
        return RedirectResponse(f"/console/holds/{ident}", 303, HEADERS)

    async def decide(self, request: Request, reviewer: Visitor, form: Form) -> Response:
        """Approve, edit or refuse; the content hash says what the reviewer saw."""
        return await aside(self._decide, request.path_params["id"], reviewer, form)

    def _decide(self, ident: str, reviewer: Visitor, form: Form) -> Response:
        action, text, note = ACTIONS.get(form.get("action", "")), form.get("text", ""), form.get("note", "")
        before, judgement = holds.get(self.store, ident), judgement_of(self.store, ident, reviewer.name)
        if action is None:
            raise StoreError("no action was given, expected approve, edit or refuse", remedy="use the buttons")
        if judgement is None and _may(reviewer, before) and before.state == "pending":
            raise holds.HoldConflict("your own judgement comes before the decision", remedy="open the hold and judge the question first")
        told = self._unclear(action, text, note, before) if before.state == "pending" and _may(reviewer, before) else ""
        if told:
            return self._hold(ident, reviewer, 400, told=told, text=text, note=note)
        after = holds.decide(
            self.store, ident, reviewer, action, form.get("content_hash", ""), text=text if action == "edit" else None, note=note,
            judgement=judgement, seconds=seconds_in(form),
        )  # fmt: skip
        if action == "edit":
            rating = Rating("", "edit", reviewer.name, before.request, (before.draft,), None, text, (0,), "", None, before.clause)
            ratings.add_rating(self.store, rating, hold=ident)
        waiting = [h for h in holds.queue(self.store, roles=reviewer.roles) if h.id != ident]
        return RedirectResponse(f"/console/holds/{waiting[0].id}" if waiting and after.state != "pending" else "/console", 303, HEADERS)

    @staticmethod
    def _unclear(action: ReviewAction, text: str, note: str, hold: Hold) -> str:
        """Why a decision is not what its words say, or nothing: a changed text is never dropped in silence."""
        changed = text.strip() != hold.proposal.replace("\r\n", "\n").replace("\r", "\n").strip()
        if len(note) > LONGEST_NOTE:
            return f"The note has {len(note)} characters, at most {LONGEST_NOTE} are kept."
        if action == "approve" and changed:
            return "You changed the text. Release your edit, or undo the change to release the draft as it is."
        if action == "edit" and not text.strip():
            return "There is no text to release. Write one, or refuse."
        if action == "edit" and not changed and not hold.proposal_calls:
            return "You changed nothing. Change the text, or release the draft as it is."
        return ""

    async def compare(self, request: Request, reviewer: Visitor, form: Form) -> Response:
        """The next pair, blind, sides as tossed for this rater; a judgement leads to the next."""
        if request.method == "POST":
            await aside(self._rate, reviewer, form)
            return RedirectResponse("/console/compare", 303, HEADERS)

        def _read() -> dict[str, Any]:
            pair = ratings.next_comparison(self.store, reviewer.name)
            done, total = ratings.comparison_counts(self.store, reviewer.name)
            return {"pair": pair, "sides": ratings.sides_for(pair.id, reviewer.name) if pair else (0, 1), "done": done, "total": total}

        return self.page("compare.html", reviewer, **await aside(_read))

    def _rate(self, reviewer: Visitor, form: Form) -> None:
        pair = ratings.get_comparison(self.store, form.get("pair", "") if is_id(form.get("pair", "")) else "")
        sides = ratings.sides_for(pair.id, reviewer.name)
        side = {"left": sides[0], "right": sides[1], "tie": -1}.get(form.get("side", ""))
        if side is None:
            raise StoreError("no side was chosen", remedy="choose left, right or neither")
        if ratings.has_rated(self.store, pair.id, reviewer.name):
            return  # the same form sent twice: one judgement a rater
        rating = Rating(
            "", "comparison", reviewer.name, pair.prompt, pair.replies, float(side), None, sides, "", seconds_in(form), pair.clause
        )
        ratings.add_rating(self.store, rating, comparison=pair.id)

    async def chat(self, request: Request, reviewer: Visitor, form: Form) -> Response:
        """Asks the served model through the gateway and shows the verdict."""
        question = form.get("question", "").strip()
        answer = await self.ask((Message("user", question),)) if question else None
        return self.page("chat.html", reviewer, question=question, answer=answer)


async def static(request: Request) -> Response:
    """The style sheet, the one script and the icon."""
    name = request.path_params["name"]
    if name not in STATIC:
        return Response("not found", 404, HEADERS)
    return FileResponse(HERE / "static" / name, media_type=STATIC[name], headers={"X-Content-Type-Options": "nosniff"})


def console_routes(store: Store, access: Access, about: ConsoleAbout, chat: Chat) -> list[BaseRoute]:
    """All routes of the console, to be mounted beside the API."""
    c = Console(store, access, about, chat)
    door = Entrance(store, access, c.page, HEADERS)
    return [
        Route("/console/enter", door.enter, methods=["GET", "POST"]),
        Route("/console/leave", c.known(door.leave), methods=["POST"]),
        Route("/console", c.known(c.queue)),
        Route("/console/holds/{id}", c.known(c.hold)),
        Route("/console/holds/{id}/judge", c.known(c.judged), methods=["POST"]),
        Route("/console/holds/{id}/decide", c.known(c.decide), methods=["POST"]),
        Route("/console/compare", c.known(c.compare), methods=["GET", "POST"]),
        Route("/console/chat", c.known(c.chat), methods=["GET", "POST"]),
        Route("/console/static/{name}", static),
    ]
