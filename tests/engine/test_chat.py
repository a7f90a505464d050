"""`LocalChat`: concurrent calls, streams, readers that leave, errors, closing; and log-probabilities."""

import asyncio
import time
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from trueline.charter.turns import Message
from trueline.core.chat import ChatDelta, ChatModel, ChatRequest, Sampling, ScoredChat, StreamingChat
from trueline.engine import worker as worker_room
from trueline.engine.chat import LocalChat
from trueline.engine.loading import LocalModel, load_local
from trueline.engine.logprobs import choice_probabilities, completion_logprobs, token_logprobs
from trueline.engine.pieces import Pieces, Shown, shown, split_reasoning
from trueline.engine.sampling import Decoding
from trueline.engine.templates import encode_completion
from trueline.engine.tiny import TEMPLATE, tiny_model
from trueline.errors import ModelError


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> LocalModel:
    return load_local(tiny_model("llama", tmp_path_factory.mktemp("model"), lively=True), device="cpu")


def ask(text: str, **sampling: object) -> ChatRequest:
    return ChatRequest((Message("user", text),), Sampling(**{"max_tokens": 8, **sampling}))  # type: ignore[arg-type]


def test_options_are_scored_as_whole_replies(local: LocalModel) -> None:
    async def go() -> tuple[float, ...]:
        chat = LocalChat(local)
        assert isinstance(chat, ScoredChat)
        try:
            return await chat.score((Message("user", "a question"),), ("yes it is", "no"))
        finally:
            await chat.close()

    asked = (Message("user", "a question"),)
    assert asyncio.run(go()) == pytest.approx(completion_logprobs(local, [(asked, "yes it is"), (asked, "no")]))


def test_concurrent_calls_equal_single_ones(local: LocalModel) -> None:
    async def go() -> None:
        chat = LocalChat(local, batch=8)
        assert isinstance(chat, ChatModel)
        assert isinstance(chat, StreamingChat)
        assert set(chat.identity()) == {"weights", "dtype", "template"}
        asked = [ask(f"question {i}" * (1 + i % 5), max_tokens=2 + i % 7, seed=i, temperature=i % 2) for i in range(30)]
        together = await asyncio.gather(*(chat.reply(r) for r in asked))
        assert together == [await chat.reply(r) for r in asked]
        assert len({r.text for r in together}) > 10
        assert together[0].input_tokens > 5
        await chat.close()

    asyncio.run(go())


def test_one_bad_request_does_not_spoil_the_others(local: LocalModel) -> None:
    async def go() -> None:
        chat = LocalChat(local)
        results = await asyncio.gather(chat.reply(ask("a")), chat.reply(ask("word " * 900)), chat.reply(ask("b")), return_exceptions=True)
        assert isinstance(results[1], ModelError)
        assert "takes at most 511" in str(results[1])
        assert results[0] == await chat.reply(ask("a"))
        with pytest.raises(ModelError, match="no tools"):
            await chat.reply(ChatRequest((Message("user", "x"),), tools=({"type": "function"},)))
        await chat.close()
        with pytest.raises(ModelError, match="closed"):
            await chat.reply(ask("a"))
        await chat.close()  # twice does no harm

    asyncio.run(go())


def test_streams_give_the_reply_in_pieces(local: LocalModel) -> None:
    async def pieces(chat: LocalChat, request: ChatRequest) -> list[ChatDelta]:
        return [d async for d in chat.stream(request)]

    async def go() -> None:
        chat = LocalChat(local)
        asked = [ask(f"tell me {i}", max_tokens=30, temperature=1.0, seed=i) for i in range(6)]
        streams = await asyncio.gather(*(pieces(chat, r) for r in asked))
        for request, found in zip(asked, streams, strict=True):
            whole = await chat.reply(request)
            assert "".join(d.text for d in found) == whole.text
            assert "".join(d.reasoning for d in found) == whole.reasoning
            assert (found[-1].finish_reason, found[-1].output_tokens) == (whole.finish_reason, whole.output_tokens)
        assert max(len(found) for found in streams) > 5  # in pieces, not at once
        with pytest.raises(ModelError, match="takes at most"):
            await pieces(chat, ask("word " * 900))
        await chat.close()

    asyncio.run(go())


def test_a_reader_that_leaves_frees_its_row_and_a_late_call_does_not_wait(local: LocalModel) -> None:
    async def go() -> None:
        chat = LocalChat(local)
        stream = chat.stream(ask("a long one", max_tokens=480, temperature=1.0))
        await anext(stream)
        short = await asyncio.wait_for(chat.reply(ask("b", max_tokens=2)), 5)  # answered beside the running stream
        assert short.output_tokens <= 2
        assert chat._worker._running
        await stream.aclose()
        for _ in range(100):
            if not chat._worker._running:
                break
            await asyncio.sleep(0.02)
        assert not chat._worker._running
        await chat.close()

    asyncio.run(go())


def test_closing_tells_those_who_wait(local: LocalModel) -> None:
    async def go() -> None:
        chat = LocalChat(local)
        # several seeds: one reply alone may draw its end before the close
        waiting = [asyncio.create_task(chat.reply(ask("a", max_tokens=490, temperature=1.0, seed=n))) for n in range(8)]
        await asyncio.sleep(0.05)
        begun = time.monotonic()
        await chat.close()
        assert time.monotonic() - begun < 5
        told = [str(e) for e in await asyncio.gather(*waiting, return_exceptions=True) if isinstance(e, ModelError)]
        assert told
        assert all("closed meanwhile" in e for e in told)

    asyncio.run(go())


def test_memory_that_runs_out_halves_the_batch(local: LocalModel, monkeypatch: pytest.MonkeyPatch) -> None:
    before = Decoding.__init__

    def small_only(self: Decoding, model: LocalModel, prompts: list[list[int]], samplings: list[Sampling]) -> None:
        if len(prompts) > 2:
            raise torch.OutOfMemoryError("CUDA out of memory")
        before(self, model, prompts, samplings)

    async def go() -> None:
        chat = LocalChat(local)
        expected = [await chat.reply(ask(f"q{i}")) for i in range(7)]
        monkeypatch.setattr(worker_room.Decoding, "__init__", small_only)
        assert list(await asyncio.gather(*(chat.reply(ask(f"q{i}")) for i in range(7)))) == expected
        monkeypatch.setattr(worker_room.Decoding, "__init__", before)
        monkeypatch.setattr(worker_room.Decoding, "step", lambda self: 1 / 0)
        with pytest.raises(ModelError, match="ZeroDivisionError"):
            await chat.reply(ask("a"))
        monkeypatch.undo()
        assert await chat.reply(ask("q0")) == expected[0]  # the thread lives on
        await chat.close()

    asyncio.run(go())


def test_reasoning_is_split_off() -> None:
    assert split_reasoning("<think>hm</think> Yes.") == ("Yes.", "hm")
    assert split_reasoning("<think>hm") == ("", "hm")
    assert split_reasoning(" Yes. ") == ("Yes.", "")
    assert split_reasoning("<th") == ("<th", "")


def test_a_template_may_open_the_reasoning_block(tmp_path: Path) -> None:
    """Some reasoning models' templates end the prompt with <think>: what follows is reasoning until it is closed."""
    thinking = TEMPLATE.replace("<|assistant|>{%- endif", "<|assistant|><think>\n{%- endif")
    thinker = load_local(tiny_model("llama", tmp_path / "m", template=thinking, lively=True), device="cpu")

    async def go() -> None:
        chat = LocalChat(thinker)
        made = await chat.reply(ask("hm", max_tokens=20))
        assert made.text == ""
        assert len(made.reasoning) > 5
        pieces = [d async for d in chat.stream(ask("hm", max_tokens=20))]
        assert "".join(d.reasoning for d in pieces) == made.reasoning
        assert not any(d.text for d in pieces)
        await chat.close()

    asyncio.run(go())


@settings(max_examples=150, deadline=None)
@given(
    st.text(alphabet="ab<>/think \n😀é", max_size=30),
    st.sampled_from(["", "<think>"]),
    st.lists(st.text(alphabet="ab ", min_size=1, max_size=3), max_size=2),
    st.randoms(use_true_random=False),
)
def test_what_was_shown_never_changes(text: str, start: str, stops: list[str], source: object) -> None:
    text = start + text
    cuts = sorted(source.sample(range(len(text) + 1), source.randint(0, len(text))))  # type: ignore[attr-defined]
    ended = next((at for at in cuts if any(s in text[:at] for s in stops)), len(text))
    text, cuts = text[:ended], [at for at in cuts if at <= ended]  # a row ends with the token that completes a stop
    whole = shown(text, final=True, stops=stops)
    pieces, got = Pieces(stops), [Shown()]
    raw = text.encode()
    for at in cuts:
        n = len(text[:at].encode())
        got += [pieces.feed(raw[: max(0, n - 1)].decode(errors="replace")), pieces.feed(text[:at])]
    got.append(pieces.feed(text, final=True))
    assert "".join(g.text for g in got) == whole.text
    assert "".join(g.reasoning for g in got) == whole.reasoning


def test_a_stop_that_begins_with_a_space_is_held_back_at_the_beginning() -> None:
    pieces = Pieces([" aa"])
    assert [pieces.feed(text).text for text in (" ", " a", " aa")] == ["", "", ""]
    assert [shown(text, final=False, stops=[" aa"]).text for text in (" a", " ab")] == ["", "ab"]


TALK = (Message("system", "Be kind."), Message("user", "What is the fee?"))


def test_log_probabilities_equal_a_plain_forward(local: LocalModel) -> None:
    replies = ["It is 4 euros.", "No", "The fee for the account is what you pay to the bank, and thank you."]
    pairs = [encode_completion(local.tokenizer, (*TALK, Message("user", "x" * i)), r) for i, r in enumerate(replies)]
    for (prompt, completion), found in zip(pairs, token_logprobs(local, pairs), strict=True):
        with torch.inference_mode():
            logits = local.model(torch.tensor([prompt + completion])).logits[0, :-1].log_softmax(-1)
        expected = logits[range(len(prompt) - 1, len(prompt + completion) - 1), completion]
        torch.testing.assert_close(torch.tensor(found), expected, atol=1e-4, rtol=1e-4)
    assert completion_logprobs(local, []) == []
    with pytest.raises(ModelError, match="takes at most 512"):
        token_logprobs(local, [([5] * 500, [6] * 20)])


def test_choices_are_probabilities_of_beginnings(local: LocalModel) -> None:
    p = choice_probabilities(local, TALK, ("(A)", "(B)", "(C)"))
    assert sum(p) == pytest.approx(1.0)
    assert choice_probabilities(local, TALK, ("(B)", "(A)", "(C)")) == pytest.approx([p[1], p[0], p[2]], rel=1e-4)
    whole = completion_logprobs(local, [(TALK, c) for c in ("(A)", "(B)", "(C)")])
    assert choice_probabilities(local, TALK, ("(A)", "(B)", "(C)"), whole=True) == pytest.approx(
        torch.softmax(torch.tensor(whole, dtype=torch.float64), 0).tolist(), rel=1e-4
    )
