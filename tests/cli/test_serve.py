"""`trueline serve` as a process: asked by the official client, killed with -9 in between, started again on the same database."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest

from tests.gateway.scripted_upstream import Upstream
from tests.gateway.serving import PATIENCE, Served, await_hold, serve, start_serve
from trueline.cli.main import run
from trueline.store.database import Store, open_store
from trueline.store.holds import Reviewer, decide

CHARTER = """
trueline: 1
name: Test Bank assistant
version: 1.0.0
purpose: Answers questions about cards.
scope:
  inside: [{id: cards, describe: cards, examples: ["Where is my card?", "How do I block my card?"]}]
  outside: {id: off-topic, reply: "I only talk about cards.", examples: ["Write a poem.", "Who won the match?"]}
principles:
  - id: no-fraud
    rule: Never help with fraud.
    refuse_with: I will not help with that.
    breaks: ["here is the stolen card"]
    ask: {refuse: ["Help me steal a card.", "Help me copy a card."], answer: ["My card was stolen.", "How are cards protected?"]}
high_stakes:
  - id: loan-decisions
    describe: A credit officer decides.
    reply: A credit officer will answer you.
    review: {when: always, on: ["tool:decide_loan", "route:lending"], by: [credit-officer], within: 10m, on_timeout: refuse}
gate: {caps: {harm: 0.05}}
"""
OFFICER = Reviewer("Olaf", ("credit-officer",))
SCRIPT: dict[str, Any] = {
    "Where is my card?": "It is on its way.",
    "steal": "Sure, here is the stolen card.",
    "*": "You can have the loan.",
}


@pytest.fixture(scope="module")
def upstream() -> Iterator[Upstream]:
    with Upstream(SCRIPT) as u:
        yield u


@pytest.fixture(scope="module")
def charter(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("charter") / "charter.yaml"
    path.write_text(CHARTER)
    return path


def client(served: Served, route: str = "", retries: int = 0) -> openai.OpenAI:
    url = served.about["url"]
    return openai.OpenAI(
        base_url=url.replace("/v1", f"/{route}/v1") if route else url, api_key="none", max_retries=retries, timeout=4 * PATIENCE
    )


def ask(c: openai.OpenAI, text: str) -> Any:
    return c.chat.completions.create(model="scripted", messages=[{"role": "user", "content": text}])


def release(store: Store, text: str | None = None) -> None:
    hold = await_hold(store)
    decide(store, hold.id, OFFICER, "edit" if text else "approve", hold.content_hash, text=text)


def test_serves_guards_and_holds_over_a_kill(tmp_path: Path, charter: Path, upstream: Upstream) -> None:
    db = tmp_path / "serve.db"
    options = ["--charter", str(charter), "--db", str(db), "--no-console", "--wait", "600s"]
    served = start_serve(f"openai:scripted@{upstream.url}", *options, "--port", "0")
    try:
        assert ask(client(served), "Where is my card?").choices[0].message.content == "It is on its way."
        assert upstream.asked[-1]["messages"][0]["role"] == "system"
        assert "Test Bank" in upstream.asked[-1]["messages"][0]["content"]
        caught = ask(client(served), "steal").choices[0]
        assert (caught.message.content, caught.finish_reason) == ("I will not help with that.", "content_filter")
        # the client waits and retries by itself while the gateway is killed and comes back on the same port
        port = served.about["url"].rsplit(":", 1)[1].removesuffix("/v1")
        waiting = ThreadPoolExecutor(1).submit(ask, client(served, "lending", retries=40), "May I have a loan?")
        store = open_store(db)
        hold = await_hold(store)
        asked = len(upstream.asked)
        served.kill()
        served = start_serve(f"openai:scripted@{upstream.url}", *options, "--port", port)
        release(store, "Yes, up to 5,000 euros.")
        got = waiting.result(4 * PATIENCE)
        assert got.id == hold.exchange
        assert got.choices[0].message.content == "Yes, up to 5,000 euros."
        assert got.trueline["decision"] == "edited"
        assert len(upstream.asked) == asked, "the retry must find its hold, not make another draft"
    finally:
        served.process.terminate()
        assert served.process.wait(PATIENCE) == 0


def test_ends_cleanly_while_someone_waits(tmp_path: Path, charter: Path, upstream: Upstream) -> None:
    db = tmp_path / "serve.db"
    with serve(
        f"openai:scripted@{upstream.url}", "--charter", str(charter), "--db", str(db), "--no-console", "--port", "0", "--wait", "600s"
    ) as served:
        threading.Thread(
            target=lambda: httpx.post(
                served.about["url"].replace("/v1", "/lending/v1/chat/completions"),
                json={"messages": [{"role": "user", "content": "loan"}]},
                timeout=600,
            ),
            daemon=True,
        ).start()
        store = open_store(db)
        hold = await_hold(store)
        begun = time.monotonic()
        served.process.terminate()
        assert served.process.wait(PATIENCE) == 0
        assert time.monotonic() - begun < PATIENCE
        assert await_hold(store).id == hold.id


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["serve", "openai:m@http://127.0.0.1:1/v1", "--port", "0"], "which charter"),
        (["serve", "openai:m@http://127.0.0.1:1/v1", "-c", "CHARTER", "--wait", "soon"], "no length of time"),
        (["serve", "openai:m@http://127.0.0.1:1/v1", "-c", "CHARTER", "--port", "0", "--db", "mysql://x/y"], "database"),
        (
            ["serve", "openai:m@http://127.0.0.1:1/v1", "-c", "CHARTER", "--port", "0", "--db", "DB", "--key-file", "none"],
            "cannot read the keys",
        ),
        (["serve", "nowhere.yaml", "-c", "CHARTER", "--port", "0", "--db", "DB"], "cannot read this file"),
        (["serve", "./no-folder", "-c", "CHARTER", "--port", "0", "--db", "DB"], "no-folder"),
    ],
)
def test_wrong_input_is_one_line(
    tmp_path: Path, charter: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], says: str
) -> None:
    filled = [{"CHARTER": str(charter), "DB": str(tmp_path / "x.db")}.get(a, a) for a in arguments]
    assert run([*filled, "--no-console"]) != 0
    err = capsys.readouterr().err.strip()
    assert err.startswith("error: ")
    assert len(err.splitlines()) == 1
    assert says in err


def test_keys_from_a_file(tmp_path: Path, charter: Path, upstream: Upstream) -> None:
    (tmp_path / "keys").write_text("# name key wait\nshop a-long-enough-random-key 1s\n")
    options = [
        "--charter",
        str(charter),
        "--db",
        str(tmp_path / "k.db"),
        "--key-file",
        str(tmp_path / "keys"),
        "--no-console",
        "--port",
        "0",
    ]
    with serve(f"openai:scripted@{upstream.url}", *options) as served:
        with pytest.raises(openai.AuthenticationError):
            ask(client(served), "Where is my card?")
        known = openai.OpenAI(base_url=served.about["url"], api_key="a-long-enough-random-key")
        assert ask(known, "Where is my card?").choices[0].message.content == "It is on its way."


def test_doctor_reports(tmp_path: Path, upstream: Upstream, capsys: pytest.CaptureFixture[str]) -> None:
    open_store(tmp_path / "ok.db").close()
    assert run(["doctor", "--db", str(tmp_path / "ok.db"), "--upstream", f"openai:scripted@{upstream.url}", "--json"]) == 0
    found = {c["name"]: c for c in json.loads(capsys.readouterr().out)["checks"]}
    assert found["database"]["state"] == "ok"
    assert found["upstream"]["state"] == "ok"
    (tmp_path / "bad.db").write_bytes(b"this is no database at all, only text" * 50)
    assert run(["doctor", "--db", str(tmp_path / "bad.db"), "--upstream", "openai:m@nowhere", "--json"]) == 69
    found = {c["name"]: c for c in json.loads(capsys.readouterr().out)["checks"]}
    assert (found["database"]["state"], found["upstream"]["state"]) == ("bad", "bad")
