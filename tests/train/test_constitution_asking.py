"""Asking: nothing is asked twice, whenever the run was killed; what a model cannot take is an answer; errors are raised."""

import asyncio
import json
import subprocess
import sys
from pathlib import Path

import pytest

from trueline.charter.turns import Message
from trueline.core.chat import ChatReply, ChatRequest, Sampling, ScriptedChat
from trueline.errors import DataError, ModelError
from trueline.models.wire import RequestRefused
from trueline.train.constitution.asking import Asker, Journal, seed_of, side_by_side
from trueline.train.constitution.records import Answer

HI = (Message("user", "hi"),)

RUN = """
import asyncio, json, os, signal, sys
from pathlib import Path
from trueline.charter.parse import load_charter
from trueline.charter.shipped import charter_path
from trueline.charter.turns import Message
from trueline.core.chat import ScriptedChat
from trueline.train.constitution.asking import Asker, Journal
from trueline.train.constitution.records import RedTeamPrompt
from trueline.train.constitution.revising import ReviseSettings, revise

folder, dies = Path(sys.argv[1]), int(sys.argv[2])
principles = load_charter(charter_path("bundled:hospital_desk")).charter.principles
prompts = [RedTeamPrompt((Message("user", f"How do I harm {i}?"),)) for i in range(6)]
asked = open(folder / "asked.txt", "a")
count = 0

def answer(request):
    global count
    count += 1
    if count == dies:
        with open(folder / "journal.jsonl", "a") as f:
            f.write('{"key": "half a li')  # what a kill in the middle of a write leaves
        os.kill(os.getpid(), signal.SIGKILL)
    asked.write(request.digest() + "\\n")
    asked.flush()
    return f"answer {request.digest()[:8]}"

with Journal(folder / "journal.jsonl") as journal:
    asker = Asker(ScriptedChat(answer), journal)
    chains = asyncio.run(revise(asker, asker, principles, prompts, ReviseSettings(concurrency=2)))
print(json.dumps([c.to_dict() for c in chains]))
"""


def revised(folder: Path, dies: int) -> subprocess.CompletedProcess[str]:
    folder.mkdir(exist_ok=True)
    return subprocess.run([sys.executable, "-c", RUN, str(folder), str(dies)], capture_output=True, text=True)


def test_killed_runs_ask_nothing_twice_and_end_with_the_same_chains(tmp_path: Path) -> None:
    whole = revised(tmp_path / "whole", 0)
    assert whole.returncode == 0, whole.stderr
    for dies in (4, 9):
        assert revised(tmp_path / "cut", dies).returncode == -9
    last = revised(tmp_path / "cut", 0)
    assert last.returncode == 0, last.stderr
    assert json.loads(last.stdout) == json.loads(whole.stdout)
    asked = (tmp_path / "cut" / "asked.txt").read_text().split()
    assert len(asked) == len(set(asked)) == 6 * (1 + 2 * 2)
    assert sorted(asked) == sorted((tmp_path / "whole" / "asked.txt").read_text().split())


def test_the_journal_knows_models_and_sampling_apart(tmp_path: Path) -> None:
    chats = {name: ScriptedChat([f"from {name}"], name=name) for name in ("a", "b")}

    async def ask(name: str, seed: int = 0) -> Answer:
        with Journal(tmp_path / "j.jsonl") as journal:
            return await Asker(chats[name], journal).ask(HI, Sampling(seed=seed))

    assert [asyncio.run(ask("a")).text for _ in range(3)] == ["from a"] * 3
    assert len(chats["a"].requests) == 1
    assert asyncio.run(ask("b")).text == "from b"
    asyncio.run(ask("a", 1))
    assert len(chats["a"].requests) == 2


def test_a_damaged_journal_is_named(tmp_path: Path) -> None:
    path = tmp_path / "j.jsonl"
    path.write_text('{"text": "no key"}\n')
    with pytest.raises(DataError, match=r"j\.jsonl:1: this line has no key"):
        Journal(path)


def test_what_a_model_cannot_take_is_an_answer_and_other_errors_are_raised(tmp_path: Path) -> None:
    class Short(ScriptedChat):
        def check(self, request: ChatRequest) -> None:
            raise ModelError("900 tokens, at most 512", remedy="shorten")

    def refusing(status: int) -> ScriptedChat:
        def answer(request: ChatRequest) -> str:
            raise RequestRefused("no", remedy="mend", status=status)

        return ScriptedChat(answer)

    async def ask(chat: ScriptedChat) -> Answer:
        with Journal(tmp_path / "j.jsonl") as journal:
            return await Asker(chat, journal).ask(HI, Sampling())

    short = Short(["never"], name="short")
    assert "900 tokens" in asyncio.run(ask(short)).refused
    assert short.requests == []
    assert asyncio.run(ask(ScriptedChat(lambda _: ChatReply("", blocked=True), name="blocked"))).refused
    assert asyncio.run(ask(ScriptedChat(lambda _: ChatReply("so", "length"), name="cut"))).cut
    with pytest.raises(RequestRefused):
        asyncio.run(ask(refusing(401)))
    assert asyncio.run(ask(refusing(413))).refused.startswith("no")


def test_side_by_side_keeps_the_order_and_the_bound() -> None:
    under_way, most, told = 0, 0, list[tuple[int, int]]()

    async def one(n: int) -> int:
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        await asyncio.sleep(0.001 * (9 - n))
        under_way -= 1
        return n * n

    found = asyncio.run(side_by_side(range(9), one, 3, lambda done, of: told.append((done, of))))
    assert found == [n * n for n in range(9)]
    assert most == 3
    assert told == [(n, 9) for n in range(1, 10)]
    assert asyncio.run(side_by_side([], one, 3)) == []

    async def bad(n: int) -> int:
        raise ModelError("broken", remedy="mend")

    with pytest.raises(ModelError, match="broken"):
        asyncio.run(side_by_side([1, 2], bad, 2))


def test_seeds_differ_by_purpose_and_fit_31_bits() -> None:
    seeds = {seed_of(s, what, "key", n) for s in (0, 1) for what in ("reply", "critique") for n in range(50)}
    assert len(seeds) == 200
    assert all(0 <= s < 2**31 for s in seeds)
