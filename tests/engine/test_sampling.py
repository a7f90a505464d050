"""Sampling: alone or in a batch, shared prefix or not, the same reply; and the same as transformers' own greedy search."""

import pytest
import torch

from trueline.charter.turns import Message
from trueline.core.chat import Sampling
from trueline.engine.loading import LocalModel, load_local
from trueline.engine.sampling import common_prefix, generate
from trueline.engine.templates import encode_prompt
from trueline.engine.tiny import ARCHITECTURES, tiny_model
from trueline.errors import ModelError


@pytest.fixture(scope="module", params=ARCHITECTURES)
def local(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> LocalModel:
    return load_local(tiny_model(request.param, tmp_path_factory.mktemp("model")), device="cpu")


def prompts(local: LocalModel) -> list[list[int]]:
    system = Message("system", "You are the assistant of a small bank and you answer in few words.")
    asked = (
        "What is the fee?",
        "How do I close my account at the end of the month?",
        "Hi",
        "What is the fee for a card?",
    )
    return [encode_prompt(local.tokenizer, (system, Message("user", a))) for a in asked]


def test_batch_equals_single_and_transformers(local: LocalModel) -> None:
    greedy = Sampling(max_tokens=12)
    rows = prompts(local)
    together = generate(local, rows, [greedy] * len(rows))
    for row, made in zip(rows, together, strict=True):
        assert generate(local, [row], [greedy])[0] == made
        theirs = local.model.generate(
            torch.tensor([row]), max_new_tokens=12, do_sample=False, eos_token_id=sorted(local.stops), pad_token_id=0
        )[0, len(row) :].tolist()
        assert tuple(t for t in theirs if t not in local.stops) == made.ids


def test_seeds_repeat_and_do_not_depend_on_the_batch(local: LocalModel) -> None:
    rows = prompts(local)
    hot = [Sampling(temperature=1.0, top_p=0.95, max_tokens=8, seed=s) for s in range(len(rows))]
    together = generate(local, rows, hot)
    assert together == generate(local, rows, hot)
    assert generate(local, [rows[2]], [hot[2]])[0] == together[2]
    other = generate(local, rows, [Sampling(temperature=1.0, max_tokens=8, seed=99)] * len(rows))
    assert other != together


def test_common_prefix_leaves_one_token() -> None:
    assert common_prefix([[1, 2, 3], [1, 2, 4]]) == 2
    assert common_prefix([[1, 2], [1, 2]]) == 1
    assert common_prefix([[1], [2]]) == 0


def test_too_long_is_said(local: LocalModel) -> None:
    with pytest.raises(ModelError, match=r"tokens, the model takes at most"):
        generate(local, [[5] * 600], [Sampling()])
    assert generate(local, [], []) == []
