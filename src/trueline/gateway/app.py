"""The ASGI app: routes of the OpenAI form over a charter's gateway, and whatever pages are mounted beside them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from trueline.core.chat import ChatModel
from trueline.core.clock import iso
from trueline.core.guards import GuardPort
from trueline.core.threads import aside
from trueline.errors import DataError, ModelError, ModelUnavailable, StoreError, TruelineError
from trueline.gateway.answering import Answering, Call, TooManyHeld
from trueline.gateway.config import MAIN_ROUTE, GatewayConfig
from trueline.gateway.holding import look, sweep, wait
from trueline.gateway.keys import KeyRefused, who
from trueline.gateway.streaming import EventResponse, Stream
from trueline.gateway.wire_openai import Asked, completion, error_body, read_request
from trueline.guard.passage import GuardFailed
from trueline.store import exchanges
from trueline.store.database import Store, is_id
from trueline.store.exchanges import Exchange
from trueline.store.holds import Hold

logger = logging.getLogger("trueline.gateway")
RETRY_AFTER = 2  # seconds
# error -> (HTTP status, type on the wire, what the client is told); the first that fits. Empty: the error's own words. Else they
# are for the log alone: they may name addresses that are nobody's business.
FAILURES: tuple[tuple[type[Exception], int, str, str], ...] = (
    (KeyRefused, 401, "authentication_error", ""),
    (DataError, 400, "invalid_request_error", ""),
    (TooManyHeld, 429, "rate_limit_exceeded", ""),
    (GuardFailed, 503, "guard_unavailable", "this could not be checked, so it is not answered; try again later"),
    (StoreError, 503, "store_unavailable", "this could not be recorded, so it is not answered; try again later"),
    (ModelUnavailable, 503, "upstream_unavailable", "the model does not answer at the moment; try again later"),
    (ModelError, 502, "upstream_error", "the model could not answer this"),
    (Exception, 500, "server_error", "the gateway failed; nothing was answered"),
)


def tell(e: Exception, where: str) -> None:
    """An error for the log: our own mistakes with their traceback, what others did in one line."""
    if isinstance(e, TruelineError | KeyRefused):
        logger.log(logging.WARNING if failure(e)[0] >= 500 else logging.DEBUG, "%s: %s", where, e)
    else:
        logger.error("%s failed", where, exc_info=e)


def failure(e: Exception) -> tuple[int, dict[str, Any]]:
    """(status, body) for an error."""
    status, name, told = next((status, name, told) for kind, status, name, told in FAILURES if isinstance(e, kind))
    return status, error_body(told or str(e), name, name)


def answer(e: Exchange, hold: Hold | None, status: int = 200) -> JSONResponse:
    """A completion as a response; a held one says where and when to ask again."""
    headers = {"Cache-Control": "no-store"}
    if e.state == "held":
        prefix = "" if e.route == MAIN_ROUTE else f"/{e.route}"
        headers |= {"Location": f"{prefix}/v1/chat/completions/{e.id}", "Retry-After": str(RETRY_AFTER)}
    return JSONResponse(completion(e, hold), status, headers)


class Handlers:
    """The routes over one gateway."""

    def __init__(self, answering: Answering) -> None:
        self._a, self._config, self._store = answering, answering.config, answering.store

    async def health(self, request: Request) -> Response:
        """200 while the database answers, else 503."""
        about = {"model": self._config.name, "charter": self._config.charter}
        try:
            await aside(self._store.ping)
        except StoreError as e:
            logger.error("health: %s", e)
            return JSONResponse({"status": "store unavailable", **about}, 503)
        return JSONResponse({"status": "ok", **about})

    async def models(self, request: Request) -> Response:
        """The one model, in OpenAI's form."""
        await who(self._store, request, self._config.keys_required)
        one = {"id": self._config.name, "object": "model", "created": 0, "owned_by": "trueline"}
        return JSONResponse({"object": "list", "data": [one]})

    async def poll(self, request: Request) -> Response:
        """`GET /v1/chat/completions/{id}`: held or completed. Another key's exchange is not there."""
        key = await who(self._store, request, self._config.keys_required)
        ident = request.path_params["id"]
        found, hold = await look(self._store, ident) if is_id(ident) else (None, None)
        mine = found is not None and found.key == (key.name if key else None)
        if found is None or not mine or found.state not in ("held", "completed"):
            return JSONResponse(error_body("no such completion", "not_found_error"), 404)
        return answer(found, hold)

    async def chat(self, request: Request) -> Response:
        """`POST /v1/chat/completions`, whole or streamed."""
        key = await who(self._store, request, self._config.keys_required)
        of_a_client(request)
        asked = read_request(await self._body(request), self._config.name, self._config.sampling)
        route = request.path_params.get("route", MAIN_ROUTE)
        call = Call(asked.chat, route, key.name if key else None, asked.user)
        seconds = key.wait if key and key.wait is not None else self._config.wait
        earlier = await self._retried(request, call)
        if asked.stream:
            return await self._streamed(call, asked, seconds, earlier)
        e = earlier or await self._a.whole(call, await self._a.admit(call))
        if e.state != "held":
            return answer(e, (await look(self._store, e.id))[1] if e.action == "hold" else None)
        later = "respond-async" in request.headers.get("prefer", "").lower()
        found, hold = await wait(self._store, e.id, 0.0 if later else seconds, self._config.poll)
        assert found is not None, "a hold's exchange is stored with it"
        return answer(found, hold, 202 if later and found.state == "held" else 200)

    async def _streamed(self, call: Call, asked: Asked, seconds: float, earlier: Exchange | None) -> Response:
        stream = Stream(self._a, call, seconds, asked.usage, failure, tell)
        await stream.start(earlier)
        return EventResponse(stream)

    async def _retried(self, request: Request, call: Call) -> Exchange | None:
        """The hold that this request made when it was first sent: a client that lost the connection must not make a second one."""
        if request.headers.get("x-stainless-retry-count", "0") in ("", "0"):
            return None
        since = iso(self._store.clock() - timedelta(seconds=self._config.retry_window))
        found = await aside(exchanges.same_request, self._store, call.digest(), call.key, since)
        return None if found is None else (await look(self._store, found.id))[0]

    async def _body(self, request: Request) -> bytes:
        parts, size = [], 0
        async for part in request.stream():
            size += len(part)
            if size > self._config.largest:
                raise DataError(f"the request has more than {self._config.largest} bytes", remedy="shorten the conversation")
            parts.append(part)
        return b"".join(parts)


def of_a_client(request: Request) -> None:
    """Refuses what a strange web page can make a browser send without asking us first: on a machine where no key is needed it could ask
    the model and fill the queue of holds. Raises `DataError`."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind and kind != "application/json" and not kind.endswith("+json"):
        told = f"the content type is {kind!r:.60}, expected application/json"
        raise DataError(told, remedy="send the header `content-type: application/json`")
    if request.headers.get("sec-fetch-site") in ("cross-site", "same-site"):
        raise DataError("a page of another site sent this, expected a client of yours", remedy="ask from a server, not from a web page")


def guarded(handler: Callable[[Request], Awaitable[Response]]) -> Callable[[Request], Awaitable[Response]]:
    """Turns every error into an OpenAI-style answer: whatever goes wrong, nothing unchecked is answered."""

    async def run(request: Request) -> Response:
        try:
            return await handler(request)
        except ClientDisconnect:
            return Response(status_code=499)
        except Exception as e:  # noqa: BLE001 - told in the log, answered in the form of the API
            status, body = failure(e)
            tell(e, f"{request.method} {request.url.path}")
            return JSONResponse(body, status, {"Retry-After": str(RETRY_AFTER)} if status in (429, 503) else None)

    return run


def build_app(
    config: GatewayConfig, model: ChatModel, guard: GuardPort, store: Store, *, pages: Sequence[BaseRoute] = (), close: bool = True
) -> Starlette:
    """The gateway as an ASGI app; at its end it closes the model and the store unless `close` is false.

    `model` stands behind the charter's prompt already (`models.system.SystemChat`); `pages` are mounted after the API."""
    h = Handlers(Answering(config, model, guard, store))

    @asynccontextmanager
    async def life(app: Starlette) -> AsyncIterator[None]:
        sweeping = asyncio.create_task(sweep(store))
        yield
        sweeping.cancel()
        with suppress(asyncio.CancelledError):
            await sweeping
        if close:
            await model.close()
            store.close()

    one, many = "/v1/chat/completions/{id}", "/v1/chat/completions"
    routes: list[BaseRoute] = [
        Route("/health", guarded(h.health)),
        Route("/v1/models", guarded(h.models)),
        Route(many, guarded(h.chat), methods=["POST"]),
        Route(one, guarded(h.poll)),
    ]
    for name in config.routes():
        for path, handler, method in ((many, h.chat, "POST"), (one, h.poll, "GET"), ("/v1/models", h.models, "GET")):
            routes.append(Route(f"/{name}{path}", _on(name, guarded(handler)), methods=[method]))
    return Starlette(routes=[*routes, *pages], lifespan=life, exception_handlers={HTTPException: _nowhere})


async def _nowhere(request: Request, e: Exception) -> Response:
    """An address or method that is not served, in OpenAI's form."""
    assert isinstance(e, HTTPException)
    told = f"{request.method} {request.url.path} is not served here: {e.detail}"
    return JSONResponse(error_body(told[:300], "not_found_error", "not_found"), e.status_code, e.headers)


def _on(name: str, handler: Callable[[Request], Awaitable[Response]]) -> Callable[[Request], Awaitable[Response]]:
    async def run(request: Request) -> Response:
        request.path_params["route"] = name
        return await handler(request)

    return run
