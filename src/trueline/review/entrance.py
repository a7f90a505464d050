"""The door of the console: takes a token, at a pace; gives a session; ends it. Who came, who left and who guessed is in the decision log.

An address stands in the log as a keyed digest: equal ones can be seen, and who has the file of reviewers can test one. The address
itself stands in the server's log, which can be deleted.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from starlette.concurrency import run_in_threadpool as aside
from starlette.requests import ClientDisconnect, Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from trueline.errors import StoreError
from trueline.review.access import COOKIE, KNOWN_COOKIE, KNOWN_FOR, SESSION, Access, Visitor
from trueline.review.attempts import Attempts, network_of, pause_after
from trueline.review.forms import Form, FormRefused, own_page, read_form
from trueline.store import sessions
from trueline.store.database import Store

logger = logging.getLogger("trueline.review")
UNKNOWN = "This token is not known."


class Page(Protocol):
    """Renders a template (`Console.page`)."""

    def __call__(self, name: str, reviewer: Visitor | None, status: int = 200, **values: Any) -> HTMLResponse:
        """The page."""


@dataclass(slots=True)
class Entrance:
    """Entering and leaving; `headers`: those of every page. The failures are this process's own."""

    store: Store
    access: Access
    page: Page
    headers: Mapping[str, str]
    attempts: Attempts = field(init=False)

    def __post_init__(self) -> None:
        self.attempts = Attempts(self.store.clock)

    async def enter(self, request: Request) -> Response:
        """Asks for the token, sets the cookies, and goes on to the page that was asked for."""
        if request.method == "GET":
            return self.page("enter.html", None, told="", to=request.query_params.get("to", ""))
        try:
            form: Form = await read_form(request)
        except FormRefused:
            form = {}
        except ClientDisconnect:
            return Response(status_code=499)
        to = form.get("to", "")
        if request.headers.get("sec-fetch-site") in ("cross-site", "same-site"):
            # another site's page in a reviewer's browser: it shall neither guess nor use up the reviewer's own tries
            return self.page("enter.html", None, 403, told="This form is not from this page. Enter your token here.", to=to)
        try:
            return await self._try(request, form.get("token", "").strip(), to)
        except StoreError as e:
            logger.error("nobody can enter the console: %s", e)
            told = "The database does not answer, so nobody can enter. The reason stands in the server's log."
            return self.page("enter.html", None, 503, told=told, to=to)

    async def _try(self, request: Request, token: str, to: str) -> Response:
        address = network_of(request.client.host if request.client else None)
        known = self.access.known(request.cookies.get(KNOWN_COOKIE))
        subject = f"reviewer {known}" if known else f"address {address}"
        # from here to `failed` nothing is awaited: many tries at once are still one after another
        left = self.attempts.wait(subject)
        if left > 0:
            self.attempts.turned_away()
            told = f"Too many wrong tokens were given from {'browsers of ' + known if known else 'this address'}."
            return self._pause(429, told, left, to)
        holder = self.access.holder(token)
        if holder is not None:
            return await self._in(holder, self.access.keyed(address), to, request.url.scheme == "https")
        count = self.attempts.failed(subject)
        logger.warning("an unknown token was given at the console (%s, failure %d)", ascii(subject), count)
        untold = self.attempts.to_tell()
        if untold is not None:
            body = {
                "from": self.access.keyed(address),
                "known": (known or "").partition("|")[0],
                "failures": count,
                "untold_before": untold,
            }
            await aside(sessions.refused, self.store, body)
        return self._pause(403, UNKNOWN, pause_after(count), to)

    def _pause(self, status: int, told: str, seconds: float, to: str) -> Response:
        whole = math.ceil(seconds)
        response = self.page("enter.html", None, status, told=f"{told} Wait {whole} s before the next try." if whole else told, to=to)
        if whole:
            response.headers["Retry-After"] = str(whole)
        return response

    async def _in(self, name: str, address: str, to: str, secure: bool) -> Response:
        session, cookie = self.access.session(name)
        await aside(sessions.entered, self.store, session, name, address)
        response = RedirectResponse(to if own_page(to) else "/console", 303, self.headers)
        for key, value, path, age in (
            (COOKIE, cookie, "/console", SESSION),
            (KNOWN_COOKIE, self.access.known_cookie(name), "/console/enter", KNOWN_FOR),
        ):
            seconds = int(age.total_seconds())
            response.set_cookie(key, value, httponly=True, samesite="strict", secure=secure, path=path, max_age=seconds)
        return response

    async def leave(self, request: Request, reviewer: Visitor, form: Form) -> Response:
        """Ends the session: in this browser, and for whoever has copied its cookie."""
        await aside(sessions.end, self.store, reviewer.session, reviewer.name, SESSION)
        response = RedirectResponse("/console/enter", 303, self.headers)
        response.delete_cookie(COOKIE, path="/console", httponly=True, samesite="strict")
        return response
