"""The console: queue, hold, comparison, chat. Server-rendered, works without script; the content-security policy allows no inline."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from trueline.charter.turns import Message
from trueline.core.records import Rating
from trueline.errors import StoreError, TruelineError
from trueline.review.access import COOKIE, Access
from trueline.store import holds, ratings
from trueline.store.database import Store
from trueline.store.holds import ReviewAction, Reviewer

HERE = Path(__file__).parent
POLICY = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}
STATIC = {"console.css": "text/css", "console.js": "text/javascript"}
ACTIONS: Mapping[str, ReviewAction] = {"approve": "approve", "edit": "edit", "refuse": "refuse"}
Handler = Callable[[Request, Reviewer], Awaitable[Response]]


@dataclass(frozen=True, slots=True)
class ConsoleAbout:
    """What every page says: the charter's name, the model's name and identity, its limits; `rules`: clause -> its rule in words."""

    charter: str
    model: str
    version: str
    rules: Mapping[str, str]
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
    return Environment(loader=FileSystemLoader(HERE / "templates"), autoescape=True, trim_blocks=True, lstrip_blocks=True)


class Console:
    """The handlers; state is in the store alone."""

    def __init__(self, store: Store, access: Access, about: ConsoleAbout, chat: Chat) -> None:
        self.store, self.access, self.about, self.ask = store, access, about, chat

    def page(self, name: str, reviewer: Reviewer | None, status: int = 200, **values: Any) -> HTMLResponse:
        """Renders a template."""
        token = self.access.form_token(reviewer) if reviewer else ""
        about = {"about": self.about, "reviewer": reviewer, "form_token": token, "page": name.removesuffix(".html")}
        text = _templates().get_template(name).render(**about, **values)
        return HTMLResponse(text, status, HEADERS)

    def known(self, handler: Handler) -> Callable[[Request], Awaitable[Response]]:
        """Only for reviewers who have entered; forms must be our own; errors are a page, never a traceback."""

        async def run(request: Request) -> Response:
            reviewer = self.access.who(request.cookies.get(COOKIE))
            if reviewer is None:
                return RedirectResponse("/console/enter", 303, HEADERS)
            if request.method == "POST":
                form = await request.form()
                if not self.access.form_is_own(reviewer, str(form.get("form_token", ""))):
                    return self.page(
                        "message.html", reviewer, 403, title="Not accepted", text="This form is not from this page. Load it again."
                    )
            try:
                return await handler(request, reviewer)
            except TruelineError as e:
                status = (
                    404
                    if isinstance(e, holds.HoldMissing)
                    else 409
                    if isinstance(e, holds.HoldConflict)
                    else 403
                    if isinstance(e, holds.HoldForbidden)
                    else 400
                )
                return self.page("message.html", reviewer, status, title="That did not work", text=str(e))

        return run

    async def enter(self, request: Request) -> Response:
        """Asks for the token, sets the cookie."""
        if request.method == "GET":
            return self.page("enter.html", None, wrong=False)
        form = await request.form()
        cookie = self.access.enter(str(form.get("token", "")))
        if cookie is None:
            return self.page("enter.html", None, 403, wrong=True)
        response = RedirectResponse("/console", 303, HEADERS)
        response.set_cookie(
            COOKIE, cookie, httponly=True, samesite="strict", secure=request.url.scheme == "https", path="/console", max_age=12 * 3600
        )
        return response

    async def queue(self, request: Request, reviewer: Reviewer) -> Response:
        """What waits, the soonest to expire first, and what was decided last."""
        holds.expire_due(self.store)
        waiting = holds.queue(self.store, roles=reviewer.roles)
        decided = holds.queue(self.store, states=("approved", "edited", "refused", "expired"))
        done, total = ratings.comparison_counts(self.store, reviewer.name)
        return self.page("queue.html", reviewer, waiting=waiting, decided=sorted(decided, key=lambda h: h.decided_at or "", reverse=True)[:20], done=done, total=total, now=self.store.now())  # fmt: skip

    async def hold(self, request: Request, reviewer: Reviewer) -> Response:
        """One hold. First the question alone; the draft and the guard's reason only after the reviewer's own judgement."""
        found = holds.get(self.store, request.path_params["id"])
        judgement = request.query_params.get("judgement")
        return self.page("hold.html", reviewer, hold=found, judgement=judgement, reviews=holds.reviews_of(self.store, found.id), may=bool(set(reviewer.roles) & set(found.by)))  # fmt: skip

    async def decide(self, request: Request, reviewer: Reviewer) -> Response:
        """Approve, edit or refuse; the content hash says what the reviewer saw."""
        form = await request.form()
        text = str(form.get("text", "")).replace("\r\n", "\n")
        action = ACTIONS.get(str(form.get("action", "")))
        ident = request.path_params["id"]
        before = holds.get(self.store, ident)
        if action is None:
            raise StoreError("no action was given, expected approve, edit or refuse", remedy="use the buttons")
        seconds = form.get("seconds")
        after = holds.decide(
            self.store, ident, reviewer, action, str(form.get("content_hash", "")), text=text if action == "edit" else None,
            note=str(form.get("note", "")), judgement=str(form.get("judgement", "")) or None,
            seconds=float(str(seconds)) if seconds and str(seconds).replace(".", "", 1).isdigit() else None,
        )  # fmt: skip
        if action == "edit":
            rating = Rating("", "edit", reviewer.name, before.request, (before.draft,), None, text, (0,), "", None, before.clause)
            ratings.add_rating(self.store, rating, hold=ident)
        waiting = [h for h in holds.queue(self.store, roles=reviewer.roles) if h.id != ident]
        return RedirectResponse(f"/console/holds/{waiting[0].id}" if waiting and after.state != "pending" else "/console", 303, HEADERS)

    async def compare(self, request: Request, reviewer: Reviewer) -> Response:
        """The next pair, blind, sides as tossed for this rater; a judgement leads to the next."""
        if request.method == "POST":
            await self._judge(request, reviewer)
            return RedirectResponse("/console/compare", 303, HEADERS)
        pair = ratings.next_comparison(self.store, reviewer.name)
        done, total = ratings.comparison_counts(self.store, reviewer.name)
        sides = ratings.sides_for(pair.id, reviewer.name) if pair else (0, 1)
        return self.page("compare.html", reviewer, pair=pair, sides=sides, done=done, total=total)

    async def _judge(self, request: Request, reviewer: Reviewer) -> None:
        form = await request.form()
        pair = ratings.get_comparison(self.store, str(form.get("pair", "")))
        sides = ratings.sides_for(pair.id, reviewer.name)
        side = {"left": sides[0], "right": sides[1], "tie": -1}.get(str(form.get("side", "")))
        if side is None:
            raise StoreError("no side was chosen", remedy="choose left, right or neither")
        seconds = str(form.get("seconds", ""))
        rating = Rating(
            "", "comparison", reviewer.name, pair.prompt, pair.replies, float(side), None, sides, "", float(seconds) if seconds.replace(".", "", 1).isdigit() else None, pair.clause,
        )  # fmt: skip
        ratings.add_rating(self.store, rating, comparison=pair.id)

    async def chat(self, request: Request, reviewer: Reviewer) -> Response:
        """Asks the served model through the gateway and shows the verdict; two different answers can be sent to comparison."""
        if request.method == "GET":
            return self.page("chat.html", reviewer, question="", answer=None)
        form = await request.form()
        question = str(form.get("question", "")).strip()
        if not question:
            return self.page("chat.html", reviewer, question="", answer=None)
        answer = await self.ask((Message("user", question),))
        return self.page("chat.html", reviewer, question=question, answer=answer)


async def static(request: Request) -> Response:
    """The style sheet and the one script."""
    name = request.path_params["name"]
    if name not in STATIC:
        return Response("not found", 404, HEADERS)
    return FileResponse(HERE / "static" / name, media_type=STATIC[name], headers={"X-Content-Type-Options": "nosniff"})


def console_routes(store: Store, access: Access, about: ConsoleAbout, chat: Chat) -> list[BaseRoute]:
    """All routes of the console, to be mounted beside the API."""
    c = Console(store, access, about, chat)
    return [
        Route("/console/enter", c.enter, methods=["GET", "POST"]),
        Route("/console", c.known(c.queue)),
        Route("/console/holds/{id}", c.known(c.hold)),
        Route("/console/holds/{id}/decide", c.known(c.decide), methods=["POST"]),
        Route("/console/compare", c.known(c.compare), methods=["GET", "POST"]),
        Route("/console/chat", c.known(c.chat), methods=["GET", "POST"]),
        Route("/console/static/{name}", static),
    ]
