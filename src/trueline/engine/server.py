"""Serves one local model in a process of its own, OpenAI-compatible, so that what faces users stays free of torch.

    python -m trueline.engine.server --model bundled:harbor --port 8123 [--parent-pid PID]

Prints one JSON line on stdout once it answers: {"ready": true, "url": ..., "model": ..., "pid": ...}. `--port 0` takes a
free port. With `--parent-pid` it ends when that process does. No keys: it binds to this machine unless told otherwise.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING
from uuid import uuid4

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from trueline.core.chat import ChatRequest, Sampling
from trueline.engine.folders import check_folder, folder_of
from trueline.engine.wire import chunk, completion, error_body, event, request_from, usage_chunk
from trueline.errors import ModelError, TruelineError

if TYPE_CHECKING:
    from trueline.engine.chat import LocalChat


class Handlers:
    """The routes over one model. `name` is what /v1/models shows; `default` the sampling of a silent request."""

    def __init__(self, chat: LocalChat, name: str, default: Sampling) -> None:
        self._chat, self._name, self._default = chat, name, default

    async def health(self, request: Request) -> Response:
        """What is served."""
        about = {"status": "ok", "model": self._name, "context": self._chat.local.context, **self._chat.identity()}
        return JSONResponse({**about, "notes": list(self._chat.local.notes), "default": self._default.to_dict()})

    async def models(self, request: Request) -> Response:
        """The one model, in OpenAI's form."""
        one = {"id": self._name, "object": "model", "created": 0, "owned_by": "trueline"}
        return JSONResponse({"object": "list", "data": [one]})

    async def chat(self, request: Request) -> Response:
        """`POST /v1/chat/completions`, whole or streamed. A wrong `model` is an error, so that no one measures another
        model than they think."""
        try:
            body = json.loads(await request.body())
            asked = request_from(body, self._default)
            if body.get("model") not in (None, "", self._name):
                what = f"model {body['model']!r} is not served here"
                return JSONResponse(error_body(f"{what}; ask for {self._name!r}", "not_found_error"), 404)
            self._chat.check(asked)
        except json.JSONDecodeError as e:
            return JSONResponse(error_body(f"the body is no JSON: {e.msg}; send a JSON object"), 400)
        except TruelineError as e:
            return JSONResponse(error_body(str(e)), 400)
        try:
            if body.get("stream"):
                return await self._streamed(asked, bool((body.get("stream_options") or {}).get("include_usage")))
            reply = await self._chat.reply(asked)
        except ModelError as e:
            return JSONResponse(error_body(str(e), "server_error"), 500)
        return JSONResponse(completion(f"chatcmpl-{uuid4().hex}", int(time.time()), self._name, reply))

    async def _streamed(self, asked: ChatRequest, usage: bool) -> Response:
        ident, created = f"chatcmpl-{uuid4().hex}", int(time.time())
        pieces = self._chat.stream(asked)
        first = await anext(pieces)  # a request that cannot be answered is an error, not a broken stream

        async def events() -> AsyncIterator[str]:
            """The server-sent events, however the stream ends."""
            delta, opening = first, True
            try:
                while True:
                    yield event(chunk(ident, created, self._name, delta, first=opening))
                    if delta.finish_reason is not None:
                        break
                    delta, opening = await anext(pieces), False
                if usage:
                    yield event(usage_chunk(ident, created, self._name, delta))
            except TruelineError as e:
                yield event(error_body(str(e), "server_error"))
            finally:
                await pieces.aclose()
            yield event("[DONE]")

        return StreamingResponse(events(), media_type="text/event-stream", headers={"Cache-Control": "no-store"})


def build_app(chat: LocalChat, name: str, default: Sampling | None = None) -> Starlette:
    """The ASGI app over an open model, which it closes at its end."""
    handlers = Handlers(chat, name, default or Sampling(max_tokens=256))

    @asynccontextmanager
    async def life(app: Starlette) -> AsyncIterator[None]:
        yield
        await chat.close()

    return Starlette(
        routes=[
            Route("/health", handlers.health),
            Route("/v1/models", handlers.models),
            Route("/v1/chat/completions", handlers.chat, methods=["POST"]),
        ],
        lifespan=life,
    )


def end_with(parent: int) -> None:
    """Ends this process gently once process `parent` is gone."""

    def watch() -> None:
        while True:
            time.sleep(0.5)
            try:
                os.kill(parent, 0)
            except ProcessLookupError:
                os.kill(os.getpid(), signal.SIGTERM)
                time.sleep(10)
                os._exit(1)
            except PermissionError:
                pass  # it lives and is someone else's

    threading.Thread(target=watch, name="trueline-parent-watch", daemon=True).start()


async def _serve(app: Starlette, bound: socket.socket, ready: dict[str, object]) -> None:
    import uvicorn

    server = uvicorn.Server(uvicorn.Config(app, log_level="warning", access_log=False, timeout_graceful_shutdown=5))
    task = asyncio.create_task(server.serve(sockets=[bound]))
    while not server.started and not task.done():
        await asyncio.sleep(0.02)
    if not task.done():
        print(json.dumps(ready), flush=True)
    await task


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m trueline.engine.server", description=__doc__)
    parser.add_argument("--model", required=True, help="folder, bundled:NAME or hf:NAME (from the local cache)")
    parser.add_argument("--port", type=int, default=8123, help="0 takes a free one")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--name", default="", help="the model's name on the wire; default: as given to --model")
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("--device", default=None)
    parser.add_argument("--batch", type=int, default=64, help="most rows of one batch")
    parser.add_argument("--max-tokens", type=int, default=256, help="length of a reply where the request is silent")
    parser.add_argument("--temperature", type=float, default=0.0, help="where the request is silent; 0 is greedy")
    parser.add_argument("--parent-pid", type=int, default=0, help="end when this process does")
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> int:
    """Loads, binds and serves until it is told to end. Returns the exit code."""
    args = _arguments(argv)
    if args.parent_pid:
        end_with(args.parent_pid)
    try:
        bound = socket.socket()
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            bound.bind((args.host, args.port))
        except (OSError, OverflowError) as e:
            what = f"cannot listen on {args.host}:{args.port}: {e}"
            raise ModelError(what, remedy="choose another --port, or 0 for a free one") from None
        check_folder(folder_of(args.model))  # before torch: a wrong name is said at once
        from trueline.engine.chat import LocalChat
        from trueline.engine.loading import load_local

        local = load_local(args.model, dtype=args.dtype, device=args.device)
        chat = LocalChat(local, name=args.model, batch=args.batch)
        name = args.name or args.model
        url = f"http://{args.host}:{bound.getsockname()[1]}/v1"
        ready = {"ready": True, "url": url, "model": name, "pid": os.getpid(), "weights": local.digest}
        app = build_app(chat, name, Sampling(temperature=args.temperature, max_tokens=args.max_tokens))
        asyncio.run(_serve(app, bound, ready))
    except TruelineError as e:
        print(f"error: {e}", file=sys.stderr)
        return e.exit_code
    except KeyboardInterrupt:
        return 0
    return 0


if __name__ == "__main__":
    sys.exit(main())
