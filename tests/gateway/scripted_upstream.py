"""A scripted OpenAI-compatible server in a process of its own: the model behind a gateway under test. Standard library only.

    python tests/gateway/scripted_upstream.py --port 0 --script script.json

`script.json` maps the last user message to a reply: text, or {"text": ..., "tool_calls": [[name, arguments]], "status": 500,
"pause": seconds before each word, "break": true (ends the stream without finishing), "begins": {token: probability} (where log-probabilities
are asked for)}. `*` is the answer to everything else.
Prints {"url": ..., "pid": ...} once it listens. GET /asked returns every request body it was sent.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import re
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any


class Scripted(BaseHTTPRequestHandler):
    """Answers from the server's `script`."""

    protocol_version = "HTTP/1.1"
    server: Any

    def log_message(self, *_: object) -> None:
        """Says nothing."""

    def _json(self, value: object, status: int = 200) -> None:
        raw = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(raw)))
        self.end_headers()
        self.wfile.write(raw)

    def do_GET(self) -> None:
        """What it was asked so far."""
        self._json(self.server.asked if self.path == "/asked" else {"status": "ok"})

    def do_POST(self) -> None:
        """One scripted answer."""
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        self.server.asked.append(body)
        said = next((m["content"] for m in reversed(body["messages"]) if m["role"] == "user"), "")
        answer = self.server.script.get(said, self.server.script.get("*", "scripted"))
        answer = {"text": answer} if isinstance(answer, str) else answer
        if "status" in answer:
            self._json({"error": {"message": "scripted failure"}}, answer["status"])
            return
        calls = [
            {"id": f"call_{i}", "type": "function", "function": {"name": n, "arguments": a}}
            for i, (n, a) in enumerate(answer.get("tool_calls", []))
        ]
        finish = "tool_calls" if calls else "stop"
        if body.get("stream"):
            self._stream(body, answer, calls, finish)
            return
        message = {"role": "assistant", "content": answer.get("text"), **({"tool_calls": calls} if calls else {})}
        choice = {"index": 0, "message": message, "finish_reason": finish}
        if body.get("logprobs") and "begins" in answer:
            top = [{"token": t, "logprob": math.log(p), "bytes": None} for t, p in answer["begins"].items()]
            choice["logprobs"] = {"content": [{**top[0], "top_logprobs": top[: body["top_logprobs"]]}]}
        usage = {"prompt_tokens": 7, "completion_tokens": 5, "total_tokens": 12}
        self._json({"id": "up", "object": "chat.completion", "created": 0, "model": body["model"], "choices": [choice], "usage": usage})

    def _stream(self, body: Any, answer: Any, calls: Any, finish: str) -> None:
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("connection", "close")
        self.end_headers()
        self.close_connection = True

        def send(delta: Any, reason: str | None = None) -> None:
            choice = {"index": 0, "delta": delta, "finish_reason": reason}
            one = {"id": "up", "object": "chat.completion.chunk", "created": 0, "model": body["model"], "choices": [choice]}
            self.wfile.write(f"data: {json.dumps(one)}\n\n".encode())
            self.wfile.flush()

        for word in re.findall(r"\S+\s*", answer.get("text") or ""):
            time.sleep(answer.get("pause", 0))
            send({"content": word})
        if answer.get("break"):
            return
        if calls:
            send({"tool_calls": [{"index": i, **c} for i, c in enumerate(calls)]})
        send({}, finish)
        self.wfile.write(b"data: [DONE]\n\n")


class Upstream:
    """The same server in a thread, for tests in one process."""

    def __init__(self, script: dict[str, Any], port: int = 0) -> None:
        self._server: Any = ThreadingHTTPServer(("127.0.0.1", port), Scripted)
        self._server.daemon_threads = True
        self._server.script, self._server.asked = script, []
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/v1"

    @property
    def asked(self) -> list[Any]:
        """Every request body so far."""
        return list(self._server.asked)

    @property
    def script(self) -> dict[str, Any]:
        """The answers; may be changed while it runs."""
        found: dict[str, Any] = self._server.script
        return found

    def __enter__(self) -> Upstream:
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def run(self) -> None:
        """Serves until it is killed."""
        self._server.serve_forever(0.05)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--script", type=Path, required=True)
    args = parser.parse_args()
    upstream = Upstream(json.loads(args.script.read_text()), args.port)
    print(json.dumps({"url": upstream.url, "pid": os.getpid()}), flush=True)
    upstream.run()
