"""Fixtures in words: a gateway in a thread over a real socket, and `trueline serve` as a process. Used by browser tests as well."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Any

import openai
import uvicorn

from trueline.charter.compile.reviewing import ReviewRule
from trueline.core.chat import ChatModel, Sampling
from trueline.core.guards import GuardPort, ScriptedGuard
from trueline.core.records import Finding, Verdict
from trueline.gateway.app import build_app
from trueline.gateway.config import GatewayConfig
from trueline.models.openai_chat import OpenAIChat
from trueline.models.system import SystemChat
from trueline.store.database import Store, open_store
from trueline.store.holds import Hold, Reviewer, queue

PATIENCE = 60.0  # seconds for anything that must happen: a busy machine may take its time, and what has happened is not waited for
PROMPT = "You are the assistant of the test bank."
ADVISER = Reviewer("Ada", ("licensed-adviser",))
OFFICER = Reviewer("Olaf", ("credit-officer",))


def rule(
    clause: str, *, always: bool = False, on: Sequence[str] = (), by: Sequence[str] = ("licensed-adviser",), within: int = 600
) -> ReviewRule:
    """A review rule as the charter compiles one."""
    return ReviewRule(clause, always, tuple(on), tuple(by), 1, within, f"A person will answer you about {clause}.")


RULES = {
    "advice": rule("advice"),
    "loans": rule("loans", always=True, on=("tool:decide_loan", "key:branch", "route:lending"), by=("credit-officer",)),
}
REPLIES = {"fraud": "I will not help with that.", "off-topic": "I only talk about the bank.", **{c: r.reply for c, r in RULES.items()}}
CONFIG = GatewayConfig(
    name="bank",
    charter="c" * 64,
    replies=REPLIES,
    rules=RULES,
    sampling=Sampling(max_tokens=64),
    wait=PATIENCE,
    heartbeat=PATIENCE,
    poll=0.05,
)


def judge_input(text: str) -> Verdict:
    """A question that says a clause's name belongs to it."""
    for word, verdict in {
        "FRAUD": Verdict("refuse", "fraud"),
        "WEATHER": Verdict("redirect", "off-topic"),
        "ADVICE": Verdict("hold", "advice"),
    }.items():
        if word in text:
            return verdict
    return Verdict("allow")


def judge_output(text: str) -> Verdict:
    """A reply that carries a marker belongs to its clause; the number 4111 is redacted."""
    if "STOLEN" in text:
        return Verdict("refuse", "fraud", "marker")
    if "INVEST" in text:
        return Verdict("hold", "advice", "marker")
    at = text.find("4111")
    return Verdict("redact", None, "number", (Finding("number", "privacy", at, at + 4, 1.0),)) if at >= 0 else Verdict("allow")


def guard(may_hold_output: bool = False) -> ScriptedGuard:
    """The scripted guard of these tests."""
    return ScriptedGuard(judge_input, judge_output, may_hold_output)


@dataclass(frozen=True)
class Gateway:
    """A running gateway: `client` is the official client, without retries of its own."""

    url: str
    store: Store
    config: GatewayConfig

    def client(self, key: str = "none", *, retries: int = 0, route: str = "") -> openai.OpenAI:
        """The official client."""
        base = self.url if not route else self.url.replace("/v1", f"/{route}/v1")
        return openai.OpenAI(base_url=base, api_key=key, max_retries=retries, timeout=2 * PATIENCE)

    def held(self, seconds: float = PATIENCE) -> Hold:
        """The one pending hold, once it is there."""
        return await_hold(self.store, seconds)


def await_hold(store: Store, seconds: float = PATIENCE) -> Hold:
    """The one pending hold, once it is there."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if found := queue(store):
            return found[0]
        time.sleep(0.02)
    raise AssertionError("nothing was held")


@contextmanager
def gateway(
    folder: Path, upstream: str | ChatModel, checks: GuardPort | None = None, store: Store | None = None, **config: Any
) -> Iterator[Gateway]:
    """A gateway in a thread, on a real socket, over an upstream URL or a model."""
    opened = store or open_store(folder / "gateway.db")
    model: ChatModel = OpenAIChat("scripted", upstream, tries=1) if isinstance(upstream, str) else upstream
    settings = replace(CONFIG, **config)
    app = build_app(settings, SystemChat(model, PROMPT), checks or guard(), opened)
    bound = socket.socket()
    bound.bind(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, log_level="critical", timeout_graceful_shutdown=1))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [bound]}, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    try:
        yield Gateway(f"http://127.0.0.1:{bound.getsockname()[1]}/v1", opened, settings)
    finally:
        server.should_exit = True
        thread.join(PATIENCE)


@dataclass
class Served:
    """`trueline serve` as a process; `about` is its ready line (url, console, db, pid...)."""

    process: subprocess.Popen[str]
    about: dict[str, Any]
    errors: IO[str]

    def kill(self) -> None:
        """kill -9, as a crash would."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def complaints(self) -> str:
        """What it wrote to stderr so far."""
        self.errors.seek(0)
        return self.errors.read()


def start_serve(target: str, *options: str, seconds: float = 4 * PATIENCE) -> Served:
    """Starts `trueline serve TARGET ... --json` and waits for its ready line; its errors are the assertion's message."""
    command = [sys.executable, "-m", "trueline", "serve", target, "--json", *options]
    errors = tempfile.TemporaryFile("w+")  # noqa: SIM115 - it lives as long as the process; a pipe that nobody reads would stop a server that has much to say
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True)
    timer = threading.Timer(seconds, process.kill)
    timer.start()
    assert process.stdout is not None
    line = process.stdout.readline()
    timer.cancel()
    served = Served(process, json.loads(line) if line.startswith('{"ready"') else {}, errors)
    if not served.about:
        served.kill()
        raise AssertionError(f"serve did not start: {line}{served.complaints()[-2000:]}")
    return served


@contextmanager
def serve(target: str, *options: str) -> Iterator[Served]:
    """`trueline serve` for the length of a test."""
    found = start_serve(target, *options)
    try:
        yield found
    finally:
        found.process.terminate()
        try:
            found.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            found.kill()
