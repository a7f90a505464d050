"""`trueline serve` over a system as a target under attack: the whole gateway, over HTTP, in a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from trueline.core.chat import ChatReply
from trueline.errors import GatewayError
from trueline.models.openai_chat import OpenAIChat
from trueline.models.wire import Told


class GatewayChat(OpenAIChat):
    """The gateway as a client sees it. What it says beside a reply (`trueline`: action, clause) is read too; which layer decided is not told on
    the wire. `identity` is that of the system behind it, whatever port it listens on."""

    def __init__(self, model: str, url: str, identity: Mapping[str, Any]) -> None:
        super().__init__(model, url)
        self._identity = {"gateway": dict(identity)}

    def identity(self) -> Mapping[str, Any]:
        """Of the system."""
        return self._identity

    def _read(self, told: Told) -> ChatReply:
        reply = super()._read(told)
        verdict = told.raw.get("trueline")
        if not isinstance(verdict, Mapping) or "action" not in verdict:
            raise GatewayError("the gateway did not say what it decided", remedy="run `trueline doctor`")
        return replace(reply, action=verdict["action"] or "allow", decided_clause=verdict.get("clause") or "", blocked=False)


@contextmanager
def served(system: str, identity: Mapping[str, Any], folder: Path) -> Iterator[GatewayChat]:
    """Starts `trueline serve SYSTEM` on a free port with a database in `folder`, and ends it. A held request is not waited for. Raises
    `GatewayError` with its own words where it does not start."""
    folder.mkdir(parents=True, exist_ok=True)
    options = ["--port", "0", "--db", str(folder / "gateway.db"), "--wait", "0s", "--no-console", "--json"]
    log = (folder / "gateway.log").open("w", encoding="utf-8")
    process = subprocess.Popen(
        [sys.executable, "-m", "trueline", "serve", system, *options], stdout=subprocess.PIPE, stderr=log, text=True
    )  # fmt: skip
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        try:
            ready = json.loads(line)
            chat = GatewayChat(str(ready["model"]), str(ready["url"]), identity)
        except (ValueError, KeyError):
            told = (folder / "gateway.log").read_text(encoding="utf-8").strip().splitlines()[-1:] or [line.strip() or "it said nothing"]
            raise GatewayError(f"the gateway did not start: {told[0]:.200}", remedy=f"try `trueline serve {system}`") from None
        yield chat
    finally:
        process.terminate()
        try:
            process.wait(timeout=15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        log.close()
