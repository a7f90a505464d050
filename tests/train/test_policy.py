"""Reinforcement learning on tiny models: every method learns, equal configurations give equal trajectories, what goes wrong stops it."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open

from trueline.charter.turns import Message
from trueline.engine.loading import LocalModel, load_local
from trueline.engine.tiny import tiny_model
from trueline.errors import RunFileError, TrainingError
from trueline.train import loop
from trueline.train.layout import Group
from trueline.train.lora import LoraSettings, put_on
from trueline.train.policy.likelihood import by_reply, fastest, laid_out, picked, proven_groups
from trueline.train.policy.run import PolicyReport, run_policy
from trueline.train.policy.settings import PolicySettings
from trueline.train.reward_causal import with_head
from trueline.train.rewarding import Composed, Constraint, Term

PROMPTS = [(Message("user", f"Word {i}?"),) for i in range(6)]
HELD_OUT = [(Message("user", f"Other {i}?"),) for i in range(16)]


@dataclass
class Scored:
    """A reward from a function of the reply's text."""

    of: Any

    def score(self, conversations: Sequence[tuple[Message, ...]]) -> list[float]:
        return [float(self.of(c[-1].content)) for c in conversations]


def share_of_letters(text: str) -> float:
    return sum(c.isascii() and c.isalpha() for c in text) / max(1, len(text))


LETTERS = Composed([Term("letters", Scored(share_of_letters))])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    tiny_model("llama", tmp_path / "m")
    return tmp_path


def tiny(folder: Path) -> LocalModel:
    return load_local(folder / "m", device="cpu")


def settings(method: str, **more: Any) -> PolicySettings:
    usual: dict[str, Any] = {"steps": 3, "prompts": 4, "max_new_tokens": 6, "lr": 3e-3, "precision": "float32", "replies_a_row": 1}
    return PolicySettings(method, **{**usual, **more})


def weights(local: LocalModel) -> torch.Tensor:
    return torch.cat([p.detach().flatten() for p in local.model.parameters()])


def rows(folder: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


@pytest.mark.parametrize("kind", ["llama", "gemma3", "gpt2"])
@pytest.mark.parametrize("temperature", [1.0, 0.6])
def test_replies_in_a_row_have_the_log_probabilities_of_replies_alone(kind: str, temperature: float, tmp_path: Path) -> None:
    local = load_local(tiny_model(kind, tmp_path / "m"), device="cpu")
    groups = [Group((5, 6, 7, 8), ((9, 10), (11,), (12, 13, 14))), Group((20, 21), ((30, 31, 32, 33), (34, 35), (36,)))]
    for per_row in (1, 2, 3):
        layout = laid_out(groups, per_row, 0, local.device)
        mine, keep = by_reply(picked(local.model, layout, per_row, temperature), groups)
        assert keep.sum(dim=1).tolist() == [2, 1, 3, 4, 2, 1]
        for n, (g, k) in enumerate((g, k) for g in groups for k in range(3)):
            ids = torch.tensor([[*g.prompt, *g.replies[k]]])
            logits = local.model(ids).logits[0, len(g.prompt) - 1 : -1] / temperature
            expected = torch.log_softmax(logits, -1).gather(1, torch.tensor(g.replies[k])[:, None])[:, 0]
            assert torch.allclose(mine[n][keep[n]], expected, atol=2e-5)
    assert proven_groups(local.model, groups, 0, local.device, temperature)[1].startswith("shared equals unshared")
    best, times = fastest(local.model, groups, 0, local.device, temperature)
    assert best in (1, 2, 3)
    assert times.startswith("replies a row and time of a pass: 1: ")


@pytest.mark.parametrize(
    ("method", "variant"), [("grpo", None), ("grpo", "dr_grpo"), ("grpo", "dapo"), ("rloo", None), ("ppo", None), ("grpo", "gspo")]
)
def test_every_variant_earns_more_and_says_what_it_did(method: str, variant: str | None, folder: Path) -> None:
    samples = 1 if method == "ppo" else 4
    own = settings(method, variant=variant, steps=12, prompts=6 if samples > 1 else 24, samples=samples, lr=5e-3, minibatches=2)
    report = run_policy(tiny(folder), PROMPTS, LETTERS, own, folder / "o")
    told = rows(folder / "o")
    assert len(told) == report.steps == 12
    first, last = (sum(r["reward"] for r in part) / 3 for part in (told[:3], told[-3:]))
    assert last > first + 0.05, (first, last)
    assert all(r["gap_max"] < 1e-4 for r in told if "gap_max" in r)
    assert told[0]["kl"] < 1e-6 < told[-1]["kl"]
    assert report.reference.startswith("the model as given at step 0")


def test_a_killed_run_ends_with_the_same_weights(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop, "SAVE_SECONDS", 0.0)
    for method in ("grpo", "ppo"):
        own = settings(method, steps=5, epochs=2, minibatches=2, options={"kl_weight": 0.1}, kl_target=0.5, measure_every=2)
        extra = {"held_out": HELD_OUT}
        whole = tiny(folder)
        run_policy(whole, PROMPTS, LETTERS, own, folder / f"{method}-whole", **extra)

        def stop(done: int, of: int, value: float) -> None:
            if done == 3:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            run_policy(tiny(folder), PROMPTS, LETTERS, own, folder / f"{method}-cut", progress=stop, **extra)
        resumed = tiny(folder)
        run_policy(resumed, PROMPTS, LETTERS, own, folder / f"{method}-cut", **extra)
        assert torch.equal(weights(whole), weights(resumed))
        for name in ("metrics.jsonl", "held_out.jsonl"):
            assert (folder / f"{method}-whole" / name).read_text() == (folder / f"{method}-cut" / name).read_text()


def test_a_stopped_run_that_was_killed_stays_stopped_and_another_run_takes_nothing_over(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed after the step that stopped it, it ends as it would have; a run of other settings in the same folder starts anew, with its own
    measurement of step 0."""
    from trueline.train.policy import run as module

    own = settings("grpo", steps=40, prompts=6, lr=5e-3, measure_every=2, kl_budget=None)
    gold = Scored(lambda text: -share_of_letters(text))
    given: dict[str, Any] = {"held_out": HELD_OUT, "held_out_reward": gold}
    whole = tiny(folder)
    first = run_policy(whole, PROMPTS, LETTERS, own, folder / "whole", **given)
    assert first.stopped

    def die(*args: object) -> int:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(module, "take_best", die)
        with pytest.raises(KeyboardInterrupt):
            run_policy(tiny(folder), PROMPTS, LETTERS, own, folder / "cut", **given)
    resumed = tiny(folder)
    again = run_policy(resumed, PROMPTS, LETTERS, own, folder / "cut", **given)
    assert (again.steps, again.stopped, again.kept, again.metrics) == (first.steps, first.stopped, first.kept, first.metrics)
    assert torch.equal(weights(whole), weights(resumed))
    other = settings("grpo", steps=8, measure_every=2, seed=5)
    report = run_policy(tiny(folder), PROMPTS, LETTERS, other, folder / "cut", held_out=HELD_OUT[:3])
    looks = [json.loads(line) for line in (folder / "cut" / "held_out.jsonl").read_text().splitlines()]
    assert [m["step"] for m in looks] == [0, 2, 4, 6, 8]
    assert all(len(m["proxy"]) == 3 for m in looks)
    assert report.steps == 8


def test_a_run_goes_on_only_under_the_same_reward_and_weights(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop, "SAVE_SECONDS", 0.0)
    steps: list[int] = []

    def run(reward: Composed, stop: int | None, rank: int | None = None, **more: Any) -> None:
        steps.clear()

        def heard(done: int, of: int, value: float) -> None:
            steps.append(done)
            if done == stop:
                raise KeyboardInterrupt

        local = tiny(folder) if rank is None else put_on(tiny(folder), LoraSettings(rank, 8))
        run_policy(local, PROMPTS, reward, settings("grpo"), folder / "o", progress=heard, **more)

    term = Term("letters", Scored(share_of_letters))
    with pytest.raises(KeyboardInterrupt):
        run(Composed([term]), 2)
    run(Composed([term]), None)
    assert steps == [2, 3]  # the second step's checkpoint came after the interruption
    for other in (Composed([replace(term, weight=2.0)]), Composed([term], missing_end_penalty=0.5)):
        run(other, None)
        assert steps[0] == 1
    for rank in (4, 2):
        run(Composed([term]), None, rank=rank)
        assert steps[0] == 1


def test_replies_are_cut_into_parts_by_what_they_cost(folder: Path) -> None:
    from trueline.train.policy.update import parted

    groups = [Group(tuple(range(10)), ((1, 2), (3,))), Group(tuple(range(4)), ((1,), (2, 3, 4))), Group((1,), ((1,), (2,)))]
    assert list(parted(groups, 1000, 1)) == [[0, 1, 2]]
    # alone in their rows: 2 x 12, then 2 x 7 and 2 x 2 as (2 + 2) x 7
    assert list(parted(groups, 28, 1)) == [[0], [1, 2]]
    # together in one row: 13, 8, 3; two rows of 13 are 26
    assert list(parted(groups, 26, 2)) == [[0, 1], [2]]
    assert list(parted(groups, 1, 2)) == [[0], [1], [2]]


def test_cutting_a_step_into_parts_and_sharing_rows_change_nothing(folder: Path) -> None:
    found = []
    for n, more in enumerate(({}, {"batch_tokens": 40}, {"replies_a_row": 4})):
        local = tiny(folder)
        run_policy(local, PROMPTS, LETTERS, settings("grpo", samples=4, steps=1, lr=1e-3, **more), folder / str(n))
        found.append(rows(folder / str(n))[0])
    for other in found[1:]:
        for name in ("gradient_norm", "reward", "kl", "entropy"):
            assert other[name] == pytest.approx(found[0][name], rel=1e-4, abs=1e-6), name


def test_the_penalty_holds_the_model_near_its_start(folder: Path) -> None:
    far = {}
    for weight in (0.0, 3.0):
        own = settings("rloo", steps=10, prompts=6, lr=5e-3, options={"kl_weight": weight}, kl_budget=None)
        run_policy(tiny(folder), PROMPTS, LETTERS, own, folder / str(weight))
        far[weight] = rows(folder / str(weight))[-1]["kl"]
    assert far[3.0] < far[0.0] / 2


def test_the_kl_target_moves_the_weight_of_the_penalty(folder: Path) -> None:
    own = settings("rloo", steps=4, options={"kl_weight": 0.1}, kl_target=5.0, horizon=100)
    run_policy(tiny(folder), PROMPTS, LETTERS, own, folder / "o")
    # KL is far below 5 nats: the error is clipped to -0.2, 16 replies a step, horizon 100
    assert [r["kl_weight"] for r in rows(folder / "o")] == pytest.approx([0.1 * (1 - 0.2 * 16 / 100) ** k for k in range(4)], abs=1e-6)


def test_a_deceived_reward_stops_the_run_and_the_best_weights_come_back(folder: Path) -> None:
    """The proxy pays for letters; the reward that nobody trains on falls with them."""
    own = settings("grpo", steps=60, prompts=6, lr=5e-3, measure_every=2, kl_budget=None)
    local = tiny(folder)
    gold = Scored(lambda text: -share_of_letters(text))
    report = run_policy(local, PROMPTS, LETTERS, own, folder / "o", held_out=HELD_OUT, held_out_reward=gold)
    assert report.steps < 60
    assert report.stopped.startswith("Over-optimisation")
    assert report.kept < report.steps
    with safe_open(folder / "o" / "best.safetensors", framework="pt") as f:
        assert all(torch.equal(p, f.get_tensor(n)) for n, p in local.model.named_parameters())
    assert report.evidence is not None
    assert report.evidence["curves"]["held_out_gain"][-1] < 0 < report.evidence["curves"]["proxy_gain"][-1]


def test_the_kl_budget_stops_the_run(folder: Path) -> None:
    own = settings("grpo", steps=60, prompts=6, lr=1e-2, kl_budget=0.3, measure_every=5, options={"kl_weight": 0.0})
    report = run_policy(tiny(folder), PROMPTS, LETTERS, own, folder / "o", held_out=HELD_OUT[:4])
    assert "above the budget of 0.3" in report.stopped
    assert report.kept < report.steps < 60
    assert report.evidence is not None
    assert report.evidence["over_optimisation"].startswith("not measured")


def test_a_cost_above_its_limit_raises_its_multiplier(folder: Path) -> None:
    cost = Constraint("letters cost", Scored(share_of_letters), limit=0.05, rate=1.0, start=0.5)
    reward = Composed([Term("length", Scored(lambda text: min(len(text), 20) / 20))], [cost])
    run_policy(tiny(folder), PROMPTS, reward, settings("grpo", steps=4), folder / "o")
    values = [r["multiplier letters cost"] for r in rows(folder / "o")]
    costs = [r["part letters cost"] for r in rows(folder / "o")]
    assert values[0] == 0.5
    assert all((b > a) == (c > 0.05) for a, b, c in zip(values, values[1:], costs, strict=False))


def test_with_adapters_the_reference_is_the_model_without_them(folder: Path) -> None:
    local = put_on(tiny(folder), LoraSettings(4, 8))
    report = run_policy(local, PROMPTS, LETTERS, settings("grpo", steps=6, lr=1e-2), folder / "o")
    assert "adapters off" in report.reference
    told = rows(folder / "o")
    assert told[0]["kl"] < 1e-6 < told[-1]["kl"]


def test_a_value_model_starts_as_a_reward_model(folder: Path) -> None:
    local = tiny(folder)
    headed = with_head(local, 3)
    before = torch.cat([p.detach().flatten() for p in headed.model.parameters()])
    run_policy(local, PROMPTS, LETTERS, settings("ppo", prompts=8), folder / "o", critic=headed)
    assert torch.equal(before, torch.cat([p.detach().flatten() for p in headed.model.parameters()]))
    strange = with_head(tiny(folder), 3)
    strange.tokenizer.add_tokens(["a token of its own"])
    with pytest.raises(TrainingError, match="tokenizer is not that"):
        run_policy(local, PROMPTS, LETTERS, settings("ppo"), folder / "p", critic=strange)
    with pytest.raises(TrainingError, match="no effect on grpo"):
        run_policy(local, PROMPTS, LETTERS, settings("grpo"), folder / "q", critic=headed)


def test_bfloat16_computes_and_leaves_float32(folder: Path) -> None:
    local = tiny(folder)
    report: PolicyReport = run_policy(local, PROMPTS, LETTERS, settings("grpo", precision="bfloat16"), folder / "o")
    assert local.dtype == "float32"
    assert report.metrics["gap_max"] < 0.5


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"method": "ppo2"}, "unknown method 'ppo2'"),
        ({"method": "grpo", "samples": 1}, "samples is 1"),
        ({"method": "grpo", "steps": 0}, "steps must be at least 1, got 0"),
        ({"method": "grpo", "temperature": 0.0}, "temperature must be finite and above 0"),
        ({"method": "grpo", "lr": float("nan")}, "lr must be finite"),
        ({"method": "grpo", "value_lr": 1e-3}, "value_lr has no effect on grpo"),
        ({"method": "grpo", "variant": "dapo", "kl_target": 3.0}, "kl_target steers kl_weight, which is 0"),
        ({"method": "grpo", "prompts": 2, "minibatches": 3}, "3 minibatches of 2 prompts"),
        ({"method": "grpo", "replies_a_row": 9}, "replies_a_row is 9"),
        ({"method": "rloo", "options": {"lam": 0.9}}, "lam has no effect on rloo"),
    ],
)
def test_settings_that_cannot_be_are_errors(given: dict[str, Any], words: str) -> None:
    with pytest.raises(RunFileError, match=words):
        PolicySettings(**given)


def test_what_cannot_be_decided_or_drawn_is_an_error_before_anything_is_spent(folder: Path) -> None:
    local, gold = tiny(folder), Scored(len)
    for more, words in (
        ({"held_out": HELD_OUT[:8], "held_out_reward": gold}, "8 held-out prompts, expected at least 16"),
        ({"held_out": HELD_OUT, "held_out_reward": gold}, "2 measurements planned, expected at least 4"),
    ):
        with pytest.raises(RunFileError, match=words):
            run_policy(local, PROMPTS, LETTERS, settings("grpo"), folder / "o", **more)  # type: ignore[arg-type]
    with pytest.raises(TrainingError, match="none of 6 prompts leaves 100000 tokens"):
        run_policy(local, PROMPTS, LETTERS, settings("grpo", max_new_tokens=100_000), folder / "o")
    with pytest.raises(TrainingError, match="no prompt to draw"):
        run_policy(local, [], LETTERS, settings("grpo"), folder / "o")
    assert not (folder / "o").exists()
    bad = Composed([Term("broken", Scored(lambda _: float("nan")))])
    with pytest.raises(TrainingError, match="broken scores conversation 1 as nan"):
        run_policy(local, PROMPTS, bad, settings("grpo"), folder / "o")
