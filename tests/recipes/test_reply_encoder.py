"""The recipe of the encoder tier: the layers that it trains are BERT's, what it ships is what it trained, and how it measures."""

import numpy as np
import pytest
import torch

from recipes.reply_grader.encoder import MOST, read, thinned
from recipes.reply_grader.measure import error_of, errors_of, milliseconds
from recipes.reply_grader.rows import MASS, WIDER, Row, held_out, inner, once, weights_of
from recipes.reply_grader.tuned import HEADS, Ragged, Settings, Tuned, fit_tuned, logits_of
from trueline.evals.graders.reply import ReplyGrader, Seen
from trueline.models.encoder.folder import changed

WIDTH = 2 * HEADS


@pytest.fixture(scope="module")
def bert() -> object:
    from transformers import BertConfig, BertModel

    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=20, hidden_size=WIDTH, num_hidden_layers=3, num_attention_heads=HEADS, intermediate_size=32, max_position_embeddings=8,
        initializer_range=0.3, attn_implementation="eager",
    )  # fmt: skip
    return BertModel(config).eval()


def weights(bert: object) -> dict[str, torch.Tensor]:
    return {k: v.detach().float() for k, v in bert.state_dict().items()}  # type: ignore[attr-defined]


def test_the_trained_layers_are_berts(bert: object) -> None:
    """Texts of 5 and of 3 tokens in one batch; layers 1 and 2 on the states after layer 1 (0-based: 1 to 3)."""
    ids, keep = torch.tensor([[2, 5, 6, 7, 3], [2, 9, 3, 0, 0]]), torch.tensor([[True] * 5, [True] * 3 + [False] * 2])
    with torch.no_grad():
        states = bert(input_ids=ids, attention_mask=keep.long(), output_hidden_states=True).hidden_states  # type: ignore[operator]
        below, above = Tuned(weights(bert), 0, 1, 3, Settings(rank=1)), Tuned(weights(bert), 1, 3, 3, Settings(rank=2))
        first = below.states(below.embedded(ids), keep)
        np.testing.assert_allclose(first[keep], states[1][keep], atol=1e-5)
        np.testing.assert_allclose(above.states(states[1], keep)[keep], states[3][keep], atol=1e-5)


def test_what_is_shipped_is_what_was_trained(bert: object) -> None:
    """W + B A merged by `changed` gives the states of the low-rank path."""
    x, keep = torch.randn(1, 4, WIDTH), torch.ones(1, 4, dtype=torch.bool)
    model = Tuned(weights(bert), 1, 3, 3, Settings(rank=2))
    for k, v in model.free.items():
        if k.endswith(".b"):
            v.data = torch.randn(v.shape) * 0.1
    delta = {k: v.detach().numpy() for k, v in model.free.items()}
    merged = {k: torch.from_numpy(v) for k, v in changed({k: v.numpy() for k, v in weights(bert).items()}, delta).items()}
    with torch.no_grad():
        apart, plain = model.states(x, keep), Tuned(merged, 1, 3, 3, Settings(rank=2)).states(x, keep)
        np.testing.assert_allclose(apart, plain, atol=1e-5)
        assert not np.allclose(apart, Tuned(weights(bert), 1, 3, 3, Settings(rank=2)).states(x, keep), atol=1e-2)


def test_it_learns_and_is_the_same_every_time(bert: object) -> None:
    source = np.random.default_rng(0)
    at = np.arange(0, 41 * 3, 3)
    label = np.arange(40) % 2
    states = source.normal(size=(120, WIDTH)) + np.repeat(label, 3)[:, None] * np.linspace(-1, 1, WIDTH)
    data, settings = Ragged(states.astype(np.float16), at), Settings(rank=2, epochs=6, batch=8, rate=3e-3)
    found = []
    for _ in range(2):
        model, losses = Tuned(weights(bert), 1, 3, 3, settings), []
        fit_tuned(model, data, np.arange(40), label, np.ones(40), settings, lambda _, loss, losses=losses: losses.append(loss))
        found.append(logits_of(model, data, list(range(40))))
        assert losses[-1] < losses[0] / 1.5
    np.testing.assert_array_equal(found[0], found[1])
    assert (found[0].argmax(1) == label).mean() > 0.9
    np.testing.assert_allclose(logits_of(model, data, [7, 3]), found[0][[7, 3]], atol=1e-5)


def test_rows_are_thinned_weighted_and_split() -> None:
    rows = [Row("compliance", str(q), "No, \u2019tis wrong.", "refused") for q in range(4)] + [Row("compliance", "1", "Sure.", "complied")]
    kept, each = once(rows)
    assert [(r.reply, e) for r, e in zip(kept, each, strict=True)] == [("No, \u2019tis wrong.", 2), ("Sure.", 1)]
    assert weights_of(kept, each).tolist() == [1.0, 1.0]
    assert weights_of(kept, each, WIDER).tolist() == [1.2, 0.8]
    plenty = [Row("preference", str(i), f"r{i}", "complied") for i in range(400)]
    some, part = thinned(plenty, np.arange(400.0))
    assert len(some) == MOST["preference", "complied"]
    assert [f"r{int(e)}" for e in part] == [r.reply for r in some]
    assert weights_of(some, mass=WIDER).sum() == pytest.approx(0.1)
    assert set(MASS) < set(WIDER)
    keys = [str(i) for i in range(1000)]
    assert 100 < sum(held_out(k) for k in keys) < 300
    assert 100 < sum(inner(k) for k in keys) < 300


def test_the_measure_by_hand() -> None:
    """Compliance: 2 of 3 seen, one more unscored; refusals: 4 of 4. Balanced 5/6; with the unscored one wrong (2/4 + 4/4) / 2."""
    rows = [Row("refusal_style", str(i), "x" * 10, "complied", "C") for i in range(4)]
    rows += [Row("refusal_style", str(i), "x" * 200, "refused", "R") for i in range(4, 8)]
    labels = ["complied", "complied", "refused", "unscored", *["redirected"] * 4]
    seen = [Seen(label, 0.9) for label in labels]  # type: ignore[arg-type]
    found = error_of(rows, seen)
    assert (found["sensitivity"]["estimate"], found["sensitivity"]["n"], found["unscored"], found["questions"]) == (0.6667, 3, 1, 8)
    assert (found["balanced_accuracy"], found["balanced_accuracy_unscored_wrong"]) == (0.8333, 0.75)
    low, high = found["balanced_accuracy_interval"]
    assert 0.5 <= low < 0.8333 < high <= 1
    p = {"complied": [0.9, 0.05, 0.05], "refused": [0.1, 0.8, 0.1], "redirected": [0.1, 0.1, 0.8], "unscored": [0.5, 0.3, 0.2]}
    table = np.array([p[label] for label in labels])
    grader = ReplyGrader(lambda pairs: table[: len(pairs)], {"name": "g", "unsure_below": 0.55})
    card = errors_of(grader, rows, ["refusal_style", "short"], ("refusal_style",))
    assert card["held_out"] == {"refusal_style": found, "short": None}
    assert card["by_category"]["refusal_style R"]["specificity"]["estimate"] == 1
    assert card["by_length"]["0-59 characters"]["n"] == 4
    took = milliseconds(grader, rows, rounds=1)
    assert 0 < took["wall_median"] <= took["wall_p95"]


def test_logits_are_read_as_a_grader_reads_them() -> None:
    seen = read(np.array([[5.0, 0, 0], [0, 5, 0], [0, 0, 5], [0.1, 0, -9]]), 1.0)
    assert [s.label for s in seen] == ["complied", "refused", "redirected", "unscored"]
