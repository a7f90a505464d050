"""Templates: training ids are inference ids; models without system role or template; what cannot be loaded is named."""

import asyncio
from pathlib import Path

import pytest

from trueline.charter.turns import Message
from trueline.core.chat import ChatModel, ChatRequest, Sampling, StreamingChat
from trueline.engine.chat import LocalChat
from trueline.engine.loading import load_local
from trueline.engine.logprobs import choice_probabilities, completion_logprobs
from trueline.engine.templates import describe, encode_completion, encode_prompt, render
from trueline.engine.tiny import NO_SYSTEM, tiny_model, tiny_tokenizer
from trueline.errors import ModelError, TargetError
from trueline.models.reasoning import split_reasoning

TALK = (Message("system", "Be kind."), Message("user", "What is the fee?"))


@pytest.mark.parametrize("template", [None, NO_SYSTEM, tiny_tokenizer().chat_template])
def test_completion_follows_the_prompt_and_ends(template: str | None) -> None:
    tokenizer = tiny_tokenizer(template)
    prompt, completion = encode_completion(tokenizer, TALK, "It is 4 euros.")
    assert prompt == encode_prompt(tokenizer, TALK)
    assert completion[-1] == tokenizer.eos_token_id
    assert tokenizer.decode(completion[:-1]).strip() == "It is 4 euros."
    assert "Be kind." in render(tokenizer, TALK)


def test_fallbacks_are_stated() -> None:
    assert "plain" in describe(tiny_tokenizer(None))
    assert "no system role" in describe(tiny_tokenizer(NO_SYSTEM))
    assert render(tiny_tokenizer(NO_SYSTEM), TALK).count("Be kind.\n\nWhat is the fee?") == 1
    with pytest.raises(ModelError, match="refuses"):
        render(tiny_tokenizer("{{ raise_exception('no') }}"), (Message("user", "x"),))


def test_what_cannot_be_loaded_is_named(tmp_path: Path) -> None:
    with pytest.raises(TargetError, match="no model folder"):
        load_local(tmp_path / "none")
    with pytest.raises(TargetError, match=r"neither config\.json"):
        load_local(tmp_path)
    folder = tiny_model("llama", tmp_path / "m")
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(TargetError, match="could run code"):
        load_local(folder)
    (folder / "pytorch_model.bin").rename(folder / "model.safetensors")
    (folder / "config.json").write_text("{")
    with pytest.raises(TargetError, match="not valid JSON"):
        load_local(folder)
    with pytest.raises(TargetError, match="there are"):
        load_local("bundled:none")


def test_local_chat_batches_and_survives_a_bad_request(tmp_path: Path) -> None:
    local = load_local(tiny_model("llama", tmp_path / "m"), device="cpu")

    async def go() -> None:
        chat = LocalChat(local)
        assert isinstance(chat, ChatModel)
        assert isinstance(chat, StreamingChat)
        short = [ChatRequest((Message("user", f"q{i}"),), Sampling(max_tokens=5)) for i in range(5)]
        long = ChatRequest((Message("user", "word " * 900),), Sampling(max_tokens=5))
        results = await asyncio.gather(*(chat.reply(r) for r in [*short, long]), return_exceptions=True)
        assert isinstance(results[-1], ModelError)
        alone = [await chat.reply(r) for r in short]
        assert results[:-1] == alone
        pieces = [d async for d in chat.stream(short[0])]
        assert "".join(p.text for p in pieces) == alone[0].text
        assert pieces[-1].finish_reason == alone[0].finish_reason
        await chat.close()

    asyncio.run(go())
    ps = choice_probabilities(local, TALK, ("(A)", "(B)"))
    assert sum(ps) == pytest.approx(1.0)
    assert completion_logprobs(local, [(TALK, "yes")])[0] < 0


def test_reasoning_is_split_off() -> None:
    assert split_reasoning("<think>hm</think> Yes.") == ("Yes.", "hm")
    assert split_reasoning("<think>hm") == ("", "hm")
    assert split_reasoning("Yes.") == ("Yes.", "")
