"""A real HTTP server in a thread that answers from a list: what the wire adapters are tested against. Standard library only."""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass(frozen=True)
class Answer:
    """One answer. `body`: an object (sent as JSON), text as it stands, or a list of events (sent as a stream, `None` = [DONE])."""

    body: Any
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    cut: bool = False  # promises more bytes than it sends, then closes


def completion(text: str, finish: str = "stop", **message: Any) -> Answer:
    """A chat completion."""
    choice = {"index": 0, "finish_reason": finish, "message": {"role": "assistant", "content": text, **message}}
    return Answer(
        {"model": "m-1", "system_fingerprint": "fp_7", "choices": [choice], "usage": {"prompt_tokens": 3, "completion_tokens": 2}}
    )


def chunk(finish: str | None = None, **delta: Any) -> dict[str, Any]:
    """One event of a streamed completion."""
    return {"choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Any

    def log_message(self, *_: object) -> None:
        """Says nothing."""

    def do_POST(self) -> None:
        """The next answer of the list; the last one again when the list is spent."""
        raw = self.rfile.read(int(self.headers["content-length"]))
        with self.server.lock:
            self.server.asked.append((self.path, dict(self.headers), json.loads(raw)))
            answers = self.server.answers
            answer: Answer = answers[min(len(self.server.asked), len(answers)) - 1]
        if isinstance(answer.body, list):
            sent = "".join(f"data: {'[DONE]' if e is None else json.dumps(e)}\n\n" for e in answer.body).encode()
            kind = "text/event-stream"
        else:
            sent = (answer.body if isinstance(answer.body, str) else json.dumps(answer.body)).encode()
            kind = "application/json"
        self.send_response(answer.status)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(sent) + (50 if answer.cut else 0)))
        for name, value in answer.headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(sent)
        self.wfile.flush()
        if answer.cut:
            self.close_connection = True


class ScriptedServer:
    """`with ScriptedServer([...]) as server:` - `url` to ask, `asked` what came: (path, headers, body)."""

    def __init__(self, answers: Sequence[Answer]) -> None:
        self._server: Any = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
        self._server.daemon_threads, self._server.lock = True, threading.Lock()
        self._server.answers, self._server.asked = list(answers), []
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    @property
    def asked(self) -> list[tuple[str, dict[str, str], Any]]:
        """Every request so far."""
        return list(self._server.asked)

    def __enter__(self) -> ScriptedServer:
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
