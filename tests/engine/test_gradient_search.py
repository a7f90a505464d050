"""GCG: the gradient is the real one, reused columns change nothing, what is found is text, and a search goes on where it was cut off."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from trueline.charter.turns import Message
from trueline.core.ports import GradientSearch, with_suffix
from trueline.engine.gradient_search import GcgSearch, GcgSettings, drawn
from trueline.engine.loading import LocalModel, load_local
from trueline.engine.suffix_frame import allowed_ids, frame_of, merged
from trueline.engine.suffix_losses import Slope, SuffixLosses
from trueline.engine.templates import encode_completion, encode_prompt
from trueline.engine.tiny import ARCHITECTURES, TEMPLATE, tiny_model
from trueline.errors import DataError, ModelError

TALK = (Message("system", "You answer for a small bank."), Message("user", "What is the fee for a card?"))
TARGET = "Sure, the fee is"
SMALL = GcgSettings(length=6, candidates=24, top_k=32, merged=4, rows=7, check_every=1)


@pytest.fixture(scope="module", params=ARCHITECTURES)
def local(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> LocalModel:
    return load_local(tiny_model(request.param, tmp_path_factory.mktemp("model"), lively=True), device="cpu")


@pytest.fixture(scope="module")
def llama(tmp_path_factory: pytest.TempPathFactory) -> LocalModel:
    return load_local(tiny_model("llama", tmp_path_factory.mktemp("model"), lively=True), device="cpu")


def plain_loss(local: LocalModel, text: str) -> float:
    """The loss as anybody would compute it: one whole conversation, its text tokenised anew, one run on ids."""
    prompt, reply = encode_completion(local.tokenizer, with_suffix(TALK, text), TARGET)
    reply = reply[:-1]  # the end of the turn
    with torch.no_grad():
        logits = local.model(input_ids=torch.tensor([[*prompt, *reply]])).logits[0].double()
    at = torch.arange(len(prompt) - 1, len(prompt) + len(reply) - 1)
    return float(-torch.log_softmax(logits[at], dim=-1)[range(len(reply)), reply].mean())


def swaps(local: LocalModel, losses: SuffixLosses, count: int, seed: int = 0) -> list[tuple[int, ...]]:
    size = local.model.get_input_embeddings().weight.shape[0]
    own = GcgSettings(length=6, candidates=count, top_k=size)
    flat = Slope(0.0, torch.zeros(6, size))
    return drawn(losses.frame, losses.frame.slot, flat, own, torch.Generator().manual_seed(seed))


def test_losses_on_reused_columns_are_those_of_the_text(local: LocalModel) -> None:
    losses = SuffixLosses(local, frame_of(local, TALK, TARGET, 6), rows=5)
    assert losses.cached
    slots = swaps(local, losses, 12)
    expected = [plain_loss(local, losses.frame.text(s)) for s in slots]
    assert len({round(e, 3) for e in expected}) > 6  # else equal losses would prove nothing
    assert losses.losses(slots).losses.tolist() == pytest.approx(expected, rel=1e-4)
    before = losses.tokens
    slope = losses.slope(slots[3])  # from here on the columns of this suffix are reused too
    assert slope.loss == pytest.approx(expected[3], rel=1e-4)
    row = len(losses.frame.slot) + len(losses.frame.after) + len(losses.frame.target) - 1
    assert losses.tokens - before == 3 * row
    assert losses.losses(slots).losses.tolist() == pytest.approx(expected, rel=1e-4)
    late = losses.frame.faithful([(*slots[3][:4], t, slots[3][5]) for t in losses.frame.allowed[::9]])
    before = losses.tokens
    assert losses.losses(late).losses.tolist() == pytest.approx([plain_loss(local, losses.frame.text(s)) for s in late], rel=1e-4)
    assert losses.tokens - before == len(late) * (row - 4)


def test_gradient_is_the_finite_difference_of_one_hot(local: LocalModel) -> None:
    losses = SuffixLosses(local, frame_of(local, TALK, TARGET, 6))
    slot = swaps(local, losses, 1, seed=3)[0]
    gradient = losses.slope(slot).gradient.double()
    f, model = losses.frame, local.model
    row = torch.tensor([[*f.before, *slot, *f.after, *f.target[:-1]]])
    was = model.dtype
    model.double()
    try:
        table = model.get_input_embeddings()(torch.arange(gradient.shape[1])).detach()
        base = model.get_input_embeddings()(row).detach()

        def at(place: int, token: int, step: float) -> float:
            moved = base.clone()
            moved[0, len(f.before) + place] += step * table[token]
            logits = model(inputs_embeds=moved).logits[0, -len(f.target) :]
            return float(torch.nn.functional.cross_entropy(logits.detach(), torch.tensor(f.target)))

        for place, token in ((0, 17), (2, 300), (5, 44)):
            slope = (at(place, token, 3e-3) - at(place, token, -3e-3)) / 6e-3  # norms are computed in float32: no smaller step
            scale = float(gradient[place].abs().max())
            assert abs(float(gradient[place, token]) - slope) < 5e-3 * scale, (place, token)
            assert scale > 1e-6
    finally:
        model.to(was)


@pytest.mark.parametrize("architecture", ["llama", "qwen3", "gemma3", "mistral"])
def test_beats_blind_search_with_as_many_tokens(architecture: str, tmp_path: Path) -> None:
    local = load_local(tiny_model(architecture, tmp_path), device="cpu")
    size, own = local.model.get_input_embeddings().weight.shape[0], GcgSettings(length=12, candidates=16, top_k=8)
    won = []
    for seed in range(3):
        found = GcgSearch(local, own).search(TALK, TARGET, steps=6, seed=seed)
        assert found.losses[0] > found.loss == min(found.losses)
        assert plain_loss(local, found.suffix) == pytest.approx(found.loss, rel=1e-4)
        losses = SuffixLosses(local, frame_of(local, TALK, TARGET, 12))
        hand, best, turn = losses.frame.slot, float("inf"), 0
        while losses.tokens < found.forward_tokens:
            flat, even = Slope(0.0, torch.zeros(12, size)), GcgSettings(length=12, candidates=16, top_k=size)
            tried = drawn(losses.frame, hand, flat, even, torch.Generator().manual_seed(100 * seed + turn))
            scored = losses.losses(tried).losses
            hand, best, turn = tried[int(scored.argmin())], min(best, float(scored.min())), turn + 1
        won.append(best - found.loss)
    assert min(won) > 0, won


def test_a_cut_search_goes_on_exactly(llama: LocalModel, tmp_path: Path) -> None:
    whole = GcgSearch(llama, SMALL).search(TALK, TARGET, steps=7, seed=5)
    asked: list[str] = []

    def cut(suffix: str) -> bool:
        asked.append(suffix)
        if len(asked) == 4:
            raise KeyboardInterrupt
        return False

    file = tmp_path / "deep" / "state.json"
    with pytest.raises(KeyboardInterrupt):
        GcgSearch(llama, SMALL).search(TALK, TARGET, steps=7, seed=5, done=cut, state=file)
    steps = json.loads(file.read_text())["steps"]
    assert 0 < steps < 7
    again = GcgSearch(llama, SMALL).search(TALK, TARGET, steps=7, seed=5, done=lambda s: asked.append(s) is not None, state=file)
    assert again == whole
    assert len(set(asked)) == len(asked) - 1  # only the question that was cut off is asked again
    assert GcgSearch(llama, SMALL).search(TALK, TARGET, steps=7, seed=5, state=file) == whole  # and nothing is done twice
    assert GcgSearch(llama, SMALL).search(TALK, TARGET, steps=9, seed=5, state=file).losses[:8] == whole.losses
    assert GcgSearch(llama, SMALL).search(TALK, TARGET, steps=7, seed=6).losses != whole.losses


@pytest.mark.parametrize("change", [{"seed": 6}, {"target": "No"}, {"messages": TALK[1:]}])
def test_the_state_of_another_search_is_refused(llama: LocalModel, tmp_path: Path, change: dict[str, Any]) -> None:
    given: dict[str, Any] = {"messages": TALK, "target": TARGET, "seed": 5, "steps": 1, "state": tmp_path / "s.json"}
    GcgSearch(llama, SMALL).search(**given)
    with pytest.raises(DataError, match="another search"):
        GcgSearch(llama, SMALL).search(**{**given, **change})
    given["state"].write_text('{"search": 1')
    with pytest.raises(DataError, match="no state of a gradient search"):
        GcgSearch(llama, SMALL).search(**given)


def test_done_ends_the_search_and_is_asked_about_each_suffix_once(llama: LocalModel) -> None:
    asked: list[str] = []

    def done(suffix: str) -> bool:
        asked.append(suffix)
        return len(asked) == 3

    found = GcgSearch(llama, SMALL).search(TALK, TARGET, steps=50, seed=1, done=done)
    assert found.suffix == asked[2]
    assert found.steps < 50
    assert len(set(asked)) == 3
    rare: list[str] = []
    slow = GcgSettings(length=6, candidates=24, top_k=32, check_every=4)
    GcgSearch(llama, slow).search(TALK, TARGET, steps=6, seed=1, done=lambda s: rare.append(s) is not None)
    assert len(rare) <= 3  # before the first step, after the fourth, at the end


def test_only_suffixes_that_are_text_survive(llama: LocalModel) -> None:
    frame = frame_of(llama, TALK, TARGET, 4)
    for text in frame.texts(swaps_of(frame)):
        assert text.isascii()
        assert text.isprintable()
    for slot in swaps_of(frame):
        assert tuple(encode_prompt(llama.tokenizer, with_suffix(TALK, frame.text(slot)))) == (*frame.before, *slot, *frame.after)
    known = llama.tokenizer.get_vocab()
    split = (known["Ġ"], known["t"], known["h"], known["e"])  # as text it is ' the', which is fewer tokens
    assert frame.text(split) == " the"
    assert frame.faithful([split, frame.slot]) == [frame.slot]
    blank = (*frame.slot[:-1], known["Ġ"])
    assert frame.faithful([blank]) == []  # templates trim a turn


def swaps_of(frame: Any) -> list[tuple[int, ...]]:
    own = GcgSettings(length=4, candidates=40, top_k=512)
    return drawn(frame, frame.slot, Slope(0.0, torch.zeros(4, 512)), own, torch.Generator().manual_seed(0))


def test_allowed_tokens(llama: LocalModel) -> None:
    tokenizer = llama.tokenizer
    allowed = set(allowed_ids(tokenizer))
    assert tokenizer.convert_tokens_to_ids("a") in allowed
    assert not allowed & set(tokenizer.all_special_ids)
    assert not allowed & set(tokenizer.added_tokens_decoder)
    assert not any(ord(c) < 32 or ord(c) > 126 for i in allowed for c in tokenizer.decode([i]))


def test_candidates_are_the_steepest_swaps(llama: LocalModel) -> None:
    frame = frame_of(llama, TALK, TARGET, 4)
    gradient = torch.zeros(4, 512)
    x, y = frame.allowed[40], frame.allowed[41]
    gradient[:, x], gradient[:, y], gradient[:, 1] = -3.0, -2.0, -9.0  # 1 is special: never drawn
    own = GcgSettings(length=4, candidates=60, top_k=2)
    found = drawn(frame, frame.slot, Slope(0.0, gradient), own, torch.Generator().manual_seed(0))
    assert 0 < len(set(found)) == len(found) <= 8
    changed = [[(a, b) for a, b in zip(frame.slot, c, strict=True) if a != b] for c in found]
    assert all(len(c) == 1 and c[0][1] in (x, y) for c in changed)


def test_swaps_are_put_together() -> None:
    hand = (1, 1, 1, 1)
    ranked = [(1, 2, 1, 1), (1, 3, 1, 1), (1, 1, 1, 4), (5, 1, 1, 1)]
    assert merged(hand, ranked) == [(1, 2, 1, 4), (5, 2, 1, 4)]
    assert merged(hand, ranked[:1]) == []


def test_without_a_template_and_without_a_system_turn(tmp_path: Path) -> None:
    local = load_local(tiny_model("llama", tmp_path, template=None, lively=True), device="cpu")
    found = GcgSearch(local, SMALL).search(TALK[1:], TARGET, steps=2, seed=0)
    assert found.loss < found.losses[0]
    assert isinstance(GcgSearch(local), GradientSearch)


def hooked(local: LocalModel, change: Callable[[Any], Any]) -> Any:
    def hook(_: Any, __: Any, kwargs: dict[str, Any], out: Any) -> Any:
        if kwargs.get("input_ids") is not None:
            out.logits = change(out.logits)
        return out

    return local.model.register_forward_hook(hook, with_kwargs=True)


def test_what_cannot_be_searched_is_refused(llama: LocalModel, tmp_path: Path) -> None:
    handle = hooked(llama, lambda logits: logits.roll(1, dims=-1))  # a model that reads more from its ids than their embeddings
    try:
        with pytest.raises(ModelError, match="input embeddings"):
            GcgSearch(llama, SMALL).search(TALK, TARGET, steps=1, seed=0)
    finally:
        handle.remove()
    with pytest.raises(ModelError, match="no tokens"):
        GcgSearch(llama, SMALL).search(TALK, " ", steps=1, seed=0)
    with pytest.raises(ModelError, match="at most 512"):
        GcgSearch(llama, SMALL).search((Message("user", "fee " * 600),), TARGET, steps=1, seed=0)
    with pytest.raises(DataError, match="user turn"):
        GcgSearch(llama, SMALL).search((Message("system", "a"),), TARGET, steps=1, seed=0)
    with pytest.raises(ModelError, match="top_k 0"):
        GcgSettings(top_k=0)
    twice = load_local(
        tiny_model("llama", tmp_path, template=TEMPLATE.replace("{{ m['content'] }}", "{{ m['content'] * 2 }}")), device="cpu"
    )
    with pytest.raises(ModelError, match="2 times"):
        GcgSearch(twice, SMALL).search(TALK, TARGET, steps=1, seed=0)


def test_columns_are_not_reused_where_that_is_not_the_same(llama: LocalModel) -> None:
    def hook(_: Any, __: Any, kwargs: dict[str, Any], out: Any) -> Any:
        if kwargs.get("past_key_values") is not None and kwargs.get("input_ids") is not None:
            out.logits = out.logits.roll(1, dims=-1)
        return out

    handle = llama.model.register_forward_hook(hook, with_kwargs=True)
    try:
        losses = SuffixLosses(llama, frame_of(llama, TALK, TARGET, 6))
        assert not losses.cached
        slots = swaps(llama, losses, 5)
        losses.slope(slots[0])
        assert losses.losses(slots).losses.tolist() == pytest.approx([plain_loss(llama, losses.frame.text(s)) for s in slots], rel=1e-4)
    finally:
        handle.remove()


def test_short_memory_halves_the_rows(llama: LocalModel, monkeypatch: pytest.MonkeyPatch) -> None:
    losses = SuffixLosses(llama, frame_of(llama, TALK, TARGET, 6), rows=8)
    slots, real = swaps(llama, losses, 8), SuffixLosses._part
    expected = losses.losses(slots).losses.tolist()

    def short(self: SuffixLosses, some: Any) -> Any:
        if len(some) > 2:
            raise torch.OutOfMemoryError
        return real(self, some)

    monkeypatch.setattr(SuffixLosses, "_part", short)
    assert losses.losses(slots).losses.tolist() == pytest.approx(expected, rel=1e-5)
    monkeypatch.setattr(SuffixLosses, "_part", lambda *_: (_ for _ in ()).throw(torch.OutOfMemoryError()))
    with pytest.raises(ModelError, match="memory"):
        losses.losses(slots)
