"""Sampling: alone or in a batch, shared prefix or not, the same reply; and the same as transformers' own greedy search."""

import dataclasses
import math
import random

import pytest
import torch

from trueline.charter.turns import Message
from trueline.core.chat import Sampling
from trueline.engine import prefill as prefill_room
from trueline.engine.loading import LocalModel, load_local
from trueline.engine.prefill import batches_truly, blocks_of, common_prefix, prefill
from trueline.engine.sampling import Decoding, Row, generate, pick
from trueline.engine.templates import encode_prompt
from trueline.engine.tiny import ARCHITECTURES, tiny_model
from trueline.errors import ModelError


@pytest.fixture(scope="module", params=ARCHITECTURES)
def local(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> LocalModel:
    return load_local(tiny_model(request.param, tmp_path_factory.mktemp("model"), lively=True), device="cpu")


@pytest.fixture(scope="module")
def llama(tmp_path_factory: pytest.TempPathFactory) -> LocalModel:
    return load_local(tiny_model("llama", tmp_path_factory.mktemp("model"), lively=True), device="cpu")


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
    assert batches_truly(local)
    together = generate(local, rows, greedy)
    assert len({made.ids for made in together}) > 1
    assert max(len(set(made.ids)) for made in together) > 2  # else equal replies would prove nothing
    assert generate(local, rows, greedy, batch=3) == together
    for row, made in zip(rows, together, strict=True):
        assert generate(local, [row], [greedy])[0] == made
        theirs = local.model.generate(
            torch.tensor([row]), max_new_tokens=12, do_sample=False, eos_token_id=sorted(local.stops), pad_token_id=0
        )[0, len(row) :].tolist()
        assert tuple(t for t in theirs if t not in local.stops) == made.ids


def test_a_shared_prefix_gives_the_logits_of_a_row_alone(local: LocalModel) -> None:
    rows = [*prompts(local), prompts(local)[0][:40]]  # the last is shorter than what the others share
    shared = prefill(local, rows, keep=3)
    whole = prefill(local, rows, keep=3, share=False)
    for r, row in enumerate(rows):
        alone = local.model(torch.tensor([row])).logits[0, -3:]
        torch.testing.assert_close(shared.logits[r], alone, atol=1e-5, rtol=1e-4)
        torch.testing.assert_close(whole.logits[r], alone, atol=1e-5, rtol=1e-4)
    assert shared.positions.tolist() == [len(r) - 1 for r in rows]
    assert shared.mask.sum(1).tolist() == [len(r) for r in rows]


def test_rows_of_very_unequal_length_run_in_blocks(local: LocalModel) -> None:
    source = random.Random(0)
    head = [source.randrange(5, 400) for _ in range(20)]
    rows = [head + [source.randrange(5, 400) for _ in range(n)] for n in (3, 120, 5, 118, 4, 2, 121, 60, 1, 3)]
    blocks = blocks_of([len(r) for r in rows], 20)
    assert len(blocks) > 1
    assert sorted(i for b in blocks for i in b) == list(range(len(rows)))
    together = prefill(local, rows, room=3)
    for r, row in enumerate(rows):
        alone = local.model(torch.tensor([row])).logits[0, -1:]
        torch.testing.assert_close(together.logits[r], alone, atol=1e-5, rtol=1e-4)
    made = generate(local, rows, Sampling(max_tokens=9))
    assert made == [generate(local, [row], Sampling(max_tokens=9))[0] for row in rows]


def test_a_late_batch_joins_a_running_one(local: LocalModel) -> None:
    """Merged in mid-reply, twice, with rows that ended in between: every row as if it had been alone."""
    rows = prompts(local)
    sampled = [Sampling(temperature=i % 2, seed=i, max_tokens=n) for i, n in enumerate((4, 30, 25, 3))]
    first = Decoding(local, rows[:2], sampled[:2])
    for _ in range(7):
        first.step()
    first.absorb(Decoding(local, rows[2:3], sampled[2:3]))
    for _ in range(3):
        first.step()
    last = Decoding(local, rows[3:], sampled[3:])
    last.step()
    first.absorb(last)
    while first.live:
        first.step()
    alone = [generate(local, [r], s)[0] for r, s in zip(rows, sampled, strict=True)]
    assert [row.generated(local) for row in first.rows] == alone


def test_blocks_cost_least() -> None:
    assert blocks_of([50] * 10, 0) == [list(range(10))]
    assert blocks_of([10, 500, 11], 0) == [[1], [2, 0]]
    assert blocks_of([100, 90], 0) == [[0, 1]]  # ten columns of padding are cheaper than a run


def test_seeds_repeat_and_do_not_depend_on_the_batch(local: LocalModel) -> None:
    rows = prompts(local)
    hot = [Sampling(temperature=1.0, top_p=0.95, max_tokens=8, seed=s) for s in range(len(rows))]
    together = generate(local, rows, hot)
    assert together == generate(local, rows, hot)
    assert generate(local, [rows[2]], [hot[2]])[0] == together[2]
    assert generate(local, rows[::-1], hot[::-1]) == together[::-1]
    other = generate(local, rows, Sampling(temperature=1.0, max_tokens=8, seed=99))
    assert other != together


def test_rows_of_unequal_length_leave_at_their_own_time(llama: LocalModel) -> None:
    rows = prompts(llama) * 4
    lengths = [1 + (7 * i) % 11 for i in range(len(rows))]
    made = generate(llama, rows, [Sampling(max_tokens=n) for n in lengths])
    full = generate(llama, rows, Sampling(max_tokens=11))
    for m, f, n in zip(made, full, lengths, strict=True):
        assert m.ids == f.ids[:n]


def test_a_stop_string_over_several_tokens_cuts_the_text(llama: LocalModel) -> None:
    row = prompts(llama)[0]
    free = generate(llama, [row], Sampling(max_tokens=40))[0]
    assert len(free.text) > 12
    stop = free.text[6:10]
    made = generate(llama, [row], Sampling(max_tokens=40, stop=(stop, "never in there")))[0]
    assert made.text == free.text[: free.text.index(stop)].strip()
    assert made.finish_reason == "stop"
    assert len(made.ids) < len(free.ids)


def test_every_end_id_ends(llama: LocalModel) -> None:
    row = prompts(llama)[0]
    free = generate(llama, [row], Sampling(max_tokens=10))[0]
    at = free.ids.index(free.ids[4])
    ended = dataclasses.replace(llama, stops=llama.stops | {free.ids[4]})
    made = generate(ended, [row], Sampling(max_tokens=10))[0]
    assert (made.ids, made.finish_reason) == (free.ids[:at], "stop")


def test_the_context_ends_a_reply(llama: LocalModel) -> None:
    made = generate(llama, [[5] * 505, [6] * 20], Sampling(max_tokens=12))
    assert (len(made[0].ids), made[0].finish_reason) == (7, "length")
    assert len(made[1].ids) == 12


def row_at(temperature: float, top_p: float = 1.0, seed: int = 0) -> Row:
    return Row(Sampling(temperature=temperature, top_p=top_p, seed=seed), 1, 8, random.Random(seed))


def test_pick_draws_what_the_probabilities_say() -> None:
    logits = torch.log(torch.tensor([[0.5, 0.3, 0.15, 0.05]]))
    warm, cut = row_at(1.0), row_at(1.0, top_p=0.79)
    n = 4000
    drawn = [pick(logits, [warm])[0] for _ in range(n)]
    for token, p in enumerate((0.5, 0.3, 0.15, 0.05)):
        assert abs(drawn.count(token) / n - p) < 4 * math.sqrt(p * (1 - p) / n)
    kept = [pick(logits, [cut])[0] for _ in range(n)]
    assert set(kept) == {0, 1}
    assert abs(kept.count(0) / n - 0.5 / 0.8) < 4 * math.sqrt(0.625 * 0.375 / n)
    assert {pick(logits, [row_at(1.0, top_p=0.0, seed=s)])[0] for s in range(20)} == {0}
    assert {pick(logits, [row_at(0.0)])[0]} == {0}


def test_logits_that_are_not_finite_are_an_error() -> None:
    with pytest.raises(ModelError, match="not finite"):
        pick(torch.tensor([[0.0, float("nan")]]), [row_at(0.0)])


def test_common_prefix_leaves_one_token() -> None:
    assert common_prefix([[1, 2, 3], [1, 2, 4]]) == 2
    assert common_prefix([[1, 2], [1, 2]]) == 1
    assert common_prefix([[1], [2]]) == 0


def test_what_cannot_be_answered_is_said(llama: LocalModel) -> None:
    with pytest.raises(ModelError, match=r"600 tokens, the model takes at most 511"):
        generate(llama, [[5] * 600], Sampling())
    with pytest.raises(ModelError, match="empty prompt"):
        generate(llama, [[]], Sampling())
    with pytest.raises(ModelError, match="max_tokens is 0"):
        generate(llama, [[5]], Sampling(max_tokens=0))
    assert generate(llama, [], []) == []


def test_a_model_that_fails_the_trial_runs_row_by_row(llama: LocalModel, monkeypatch: pytest.MonkeyPatch) -> None:
    rows, sizes = prompts(llama), []
    expected = generate(llama, rows, Sampling(max_tokens=6))
    monkeypatch.setitem(prefill_room._TRIED, llama.model, False)
    before = Decoding.__init__

    def counted(self: Decoding, *args: object) -> None:
        sizes.append(len(args[1]))  # type: ignore[arg-type]
        before(self, *args)  # type: ignore[arg-type]

    monkeypatch.setattr(Decoding, "__init__", counted)
    assert generate(llama, rows, Sampling(max_tokens=6)) == expected
    assert sizes == [1] * len(rows)


def test_the_trial_finds_a_model_whose_padding_leaks(llama: LocalModel, monkeypatch: pytest.MonkeyPatch) -> None:
    """A forward that drops the mask is what a model without padding support does."""
    whole = llama.model.forward
    monkeypatch.setattr(
        llama.model,
        "forward",
        lambda input_ids=None, attention_mask=None, position_ids=None, past_key_values=None, use_cache=None, logits_to_keep=0: whole(
            input_ids=input_ids, past_key_values=past_key_values, use_cache=use_cache, logits_to_keep=logits_to_keep
        ),
    )
    assert not prefill_room._try_batching(llama)


def test_kept_log_probabilities_are_those_of_the_model(local: LocalModel) -> None:
    """At temperature 1 and 0.7, end token counted: what the sampler drew by is what a fresh run of the model says."""
    rows = prompts(local)
    for warmth in (1.0, 0.7):
        made = generate(local, rows, [Sampling(temperature=warmth, max_tokens=12, seed=s) for s in range(len(rows))])
        for row, m in zip(rows, made, strict=True):
            full = [*m.ids, *([] if m.end is None else [m.end])]
            assert len(m.logps) == len(full)
            logits = local.model(torch.tensor([[*row, *full]])).logits[0, len(row) - 1 : -1].double() / warmth
            expected = torch.log_softmax(logits, dim=-1).gather(1, torch.tensor(full)[:, None])[:, 0]
            assert m.logps == pytest.approx(expected.tolist(), abs=1e-4)
    assert all(m.logps == () for m in generate(local, rows, Sampling(max_tokens=4)))


def test_a_group_of_samples_is_the_same_as_each_alone(local: LocalModel) -> None:
    """The prompt of a group is computed once; draws with and without top_p stand side by side."""
    rows = [r for r in prompts(local)[:2] for _ in range(4)]
    plan = [Sampling(temperature=1.0, top_p=0.9 if s % 2 else 1.0, max_tokens=9, seed=s) for s in range(len(rows))]
    together = generate(local, rows, plan)
    assert together == [generate(local, [r], s)[0] for r, s in zip(rows, plan, strict=True)]
    assert len({m.ids for m in together[:4]}) > 1
