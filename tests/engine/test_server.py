"""The engine's own server, as a real process, asked by the real `openai` client."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import openai
import pytest

from trueline.charter.turns import Message
from trueline.core.chat import ChatRequest, Sampling
from trueline.engine.chat import LocalChat
from trueline.engine.loading import load_local
from trueline.engine.tiny import tiny_model
from trueline.engine.wire import request_from
from trueline.errors import DataError

ENV = {**os.environ, "OMP_NUM_THREADS": "1"}
ASKED = [{"role": "system", "content": "Be kind."}, {"role": "user", "content": "What is the fee?"}]


def start(folder: Path, *more: str) -> tuple[subprocess.Popen[str], dict[str, object]]:
    command = [sys.executable, "-m", "trueline.engine.server", "--model", str(folder), "--name", "tiny", "--port", "0"]
    process = subprocess.Popen([*command, *more], stdout=subprocess.PIPE, text=True, env=ENV)
    assert process.stdout is not None
    return process, json.loads(process.stdout.readline())


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_model("llama", tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def client(folder: Path) -> Iterator[openai.OpenAI]:
    """A client of a served model, whose server must end when the process that it was told to follow ends."""
    parent = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    process, ready = start(folder, "--parent-pid", str(parent.pid))
    assert ready["ready"] is True
    with openai.OpenAI(base_url=str(ready["url"]), api_key="none", max_retries=0, timeout=30) as made:
        yield made
    assert process.poll() is None
    parent.communicate(b"\n")
    assert process.wait(12) in (0, -signal.SIGTERM)


def test_whole_streamed_and_local_replies_agree(client: openai.OpenAI, folder: Path) -> None:
    whole = client.chat.completions.create(model="tiny", messages=ASKED, max_tokens=20)
    pieces = list(
        client.chat.completions.create(model="tiny", messages=ASKED, max_tokens=20, stream=True, stream_options={"include_usage": True})
    )
    streamed = "".join(p.choices[0].delta.content or "" for p in pieces if p.choices)
    assert streamed == whole.choices[0].message.content
    assert [p.choices[0].finish_reason for p in pieces if p.choices][-1] == whole.choices[0].finish_reason
    assert pieces[-1].usage == whole.usage

    async def local() -> str:
        chat = LocalChat(load_local(folder, device="cpu"))
        talk = (Message("system", "Be kind."), Message("user", "What is the fee?"))
        made = await chat.reply(ChatRequest(talk, Sampling(max_tokens=20)))
        await chat.close()
        return made.text

    assert asyncio.run(local()) == streamed
    assert [m.id for m in client.models.list()] == ["tiny"]


def test_seeds_hold_over_the_wire(client: openai.OpenAI) -> None:
    def ask(seed: int | None) -> str:
        made = client.chat.completions.create(
            model="tiny", messages=ASKED, max_tokens=12, temperature=1.0, **({} if seed is None else {"seed": seed})
        )
        return made.choices[0].message.content or ""

    assert ask(7) == ask(7)
    assert len({ask(None) for _ in range(4)}) > 1


def test_what_it_refuses(client: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError, match="takes at most 511"):
        client.chat.completions.create(model="tiny", messages=[{"role": "user", "content": "word " * 900}])
    with pytest.raises(openai.BadRequestError, match="no effect"):
        client.chat.completions.create(model="tiny", messages=ASKED, n=3)
    with pytest.raises(openai.BadRequestError, match="no tools"):
        tool = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}
        client.chat.completions.create(model="tiny", messages=ASKED, tools=[tool])  # type: ignore[list-item]
    with pytest.raises(openai.NotFoundError, match="ask for 'tiny'"):
        client.chat.completions.create(model="other", messages=ASKED)


@pytest.mark.parametrize(
    ("body", "why"),
    [
        ([], "JSON object"),
        ({"messages": []}, "non-empty"),
        ({"messages": "x", "temperature": "hot"}, "temperature"),
        ({"messages": "x", "max_tokens": 0.5}, "max_tokens"),
        ({"messages": "x", "seed": "a"}, "seed"),
        ({"messages": "x", "stop": [1]}, "stop"),
        ({"messages": "x", "best_of": 2}, "unknown field"),
        ({"messages": "x", "logprobs": True}, "no effect"),
    ],
)
def test_bad_bodies_are_named(body: object, why: str) -> None:
    with pytest.raises(DataError, match=why):
        request_from(body, Sampling())


def test_a_folder_that_cannot_be_served_is_one_line(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "trueline.engine.server", "--model", str(tmp_path / "none")],
        capture_output=True,
        text=True,
        env=ENV,
    )
    assert done.returncode == 64
    assert done.stderr.startswith("error: no model folder")
    assert done.stderr.count("\n") == 1
