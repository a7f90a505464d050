"""The mitigations: by numbers worked by hand, by what they leave as it was, and by resuming."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch

from trueline.algos.losses.constrained import betas_at, constrained_nll
from trueline.charter.turns import Message
from trueline.data.conversations import Example
from trueline.engine.loading import LocalModel, load_local
from trueline.engine.tiny import tiny_model
from trueline.errors import RunFileError, TargetError
from trueline.train.keeping.lisa import SAFETY, USER, Proximal, alternate
from trueline.train.keeping.mixing import mixed
from trueline.train.keeping.safe_lora import check_pair, project, projector, weights_of
from trueline.train.lora import LoraSettings, put_on
from trueline.train.sft import SftSettings, run_sft


def example(text: str, reply: str) -> Example:
    return Example((Message("user", text),), reply)


USERS = [example(f"how many are {i} and one", f"they are {i + 1}") for i in range(8)]
SAFE = [example(f"do the forbidden thing {i}", "I cannot help with that.") for i in range(4)]


class TestLoss:
    def test_by_hand(self) -> None:
        """-(2 / 0.5) log sigmoid(0.5 * (-1 - -3)) = 4 log(1 + e^-1)."""
        found = constrained_nll(torch.tensor([-1.0]), torch.tensor([-3.0]), torch.tensor([0.5]))
        assert float(found) == pytest.approx(4 * math.log(1 + math.exp(-1)), rel=1e-6)

    def test_gradient_is_the_plain_one_where_nothing_moved_and_vanishes_where_much_did(self) -> None:
        logps = torch.tensor([-2.0, -0.5], requires_grad=True)
        constrained_nll(logps, torch.tensor([-2.0, -40.0]), torch.tensor([2.0, 2.0])).sum().backward()  # type: ignore[no-untyped-call]
        assert logps.grad is not None
        assert logps.grad.tolist() == pytest.approx([-1.0, 0.0], abs=1e-6)

    def test_places(self) -> None:
        assert betas_at(torch.tensor([0, 1, 4, 5, 90])).tolist() == pytest.approx([0.5, 2.0, 2.0, 0.1, 0.1])


class TestMixing:
    def test_share_and_nothing_lost(self) -> None:
        found = mixed(USERS, SAFE, 0.2, 0)
        assert (found.safety, len(found.examples)) == (2, 10)
        assert all(e in found.examples for e in USERS)
        assert len({e.digest() for e in found.examples}) == 10

    def test_more_than_there_are_come_again_and_it_is_said(self) -> None:
        found = mixed(USERS, SAFE, 0.5, 0)
        assert found.safety == 8
        assert "some come 2 times" in found.words()
        assert all(found.examples.count(e) == 2 for e in SAFE)

    @pytest.mark.parametrize("share", [0.0, 1.0, 0.01, -1.0])
    def test_without_effect(self, share: float) -> None:
        with pytest.raises(RunFileError):
            mixed(USERS, SAFE, share, 0)


class TestLisa:
    def test_turns(self) -> None:
        found = alternate([[i] for i in range(2 * USER + 1)], [[100], [101], [102]], 0)
        assert [b[0] for b in found.plan if b[0] < 100] == list(range(2 * USER + 1))
        assert [b[0] >= 100 for b in found.plan] == [*[False] * USER, *[True] * SAFETY] * 2 + [False]
        assert found.safety == 2 * SAFETY
        assert sorted(found.changes) == [0, USER, USER + SAFETY, 2 * USER + SAFETY, 2 * (USER + SAFETY)]

    def test_too_short_is_said(self) -> None:
        with pytest.raises(RunFileError, match="no effect"):
            alternate([[0]], [[1]], 0)

    def test_gradient_by_hand(self) -> None:
        """Anchor at 1, weight at 3, rho 0.5, gradient 10: 10 + 0.5 * 2 = 11."""
        term, w = Proximal(0.5, frozenset({0})), torch.tensor([1.0], requires_grad=True)
        w.grad = torch.tensor([7.0])
        term.add(0, {"w": w})
        assert float(w.grad) == 7.0
        w.data.fill_(3.0)
        w.grad = torch.tensor([10.0])
        term.add(1, {"w": w})
        assert float(w.grad) == 11.0


class TestSafeLora:
    def test_projectors(self) -> None:
        """V = diag(3, 4, 0): |V| = 5, V V' / 5 = diag(1.8, 3.2, 0); of its energy 25, the second direction alone holds 16 (64 %)."""
        v = torch.diag(torch.tensor([3.0, 4.0, 0.0]))
        assert torch.allclose(projector(v, "paper"), torch.diag(torch.tensor([1.8, 3.2, 0.0])))
        assert torch.allclose(projector(v, "subspace"), torch.diag(torch.tensor([1.0, 1.0, 0.0])), atol=1e-6)

    def _pair(self, tmp_path: Path) -> tuple[LocalModel, LocalModel]:
        folder = tiny_model("llama", tmp_path / "m")
        unaligned, aligned = load_local(folder), load_local(folder)
        with torch.no_grad():
            for n, p in aligned.model.named_parameters():
                if n.endswith("q_proj.weight"):
                    p[0] += 1.0  # alignment moved the first output of the queries, nothing else
        return aligned, unaligned

    def test_update_off_the_direction_is_taken_out_and_on_it_kept(self, tmp_path: Path) -> None:
        aligned, unaligned = self._pair(tmp_path)
        before = weights_of(aligned.model)
        v = check_pair(before, unaligned)
        names = [n for n in before if n.endswith("q_proj")]
        with torch.no_grad():
            for n, m in aligned.model.named_modules():
                if n == names[0]:
                    m.weight[1] += 0.5
                if n == names[1]:
                    m.weight[0] += 0.5
        found = project(aligned, before, v, 0.35, "subspace")
        after = weights_of(aligned.model)
        assert found.projected == (names[0],)
        assert found.similarity[names[1]] == pytest.approx(1.0)
        assert torch.allclose(after[names[0]], before[names[0]], atol=1e-6)
        assert torch.allclose(after[names[1]][0], before[names[1]][0] + 0.5)
        assert found.unchanged == len(before) - 2

    def test_adapters_as_the_whole_weights(self, tmp_path: Path) -> None:
        aligned, unaligned = self._pair(tmp_path)
        trained = put_on(aligned, LoraSettings(2, 4))
        before = weights_of(trained.model)
        v = check_pair(before, unaligned)
        torch.manual_seed(0)
        factors = {}
        with torch.no_grad():
            for n, m in trained.model.named_modules():
                if hasattr(m, "lora_B"):
                    m.lora_B["default"].weight.normal_()
                    factors[n] = (m.lora_B["default"].weight.clone(), m.lora_A["default"].weight)
        found = project(trained, before, v, 1.0, "paper")
        assert found.projected
        for n, m in trained.model.named_modules():
            if n in found.projected:
                up, down = factors[n]
                expected = projector(v[n], "paper") @ (up @ down)
                assert torch.allclose(m.lora_B["default"].weight @ m.lora_A["default"].weight, expected, atol=1e-4)

    def test_same_model_twice_is_said(self, tmp_path: Path) -> None:
        _, unaligned = self._pair(tmp_path)
        with pytest.raises(TargetError, match="no direction"):
            check_pair(weights_of(unaligned.model), unaligned)


SETTINGS = {"epochs": 6, "lr": 1e-2, "batch_tokens": 64, "precision": "float32"}


def trained(folder: Path, out: Path, safety: list[Example], **options: object) -> dict[str, torch.Tensor]:
    local = load_local(folder)
    run_sft(local, USERS, SftSettings(**{**SETTINGS, **options}), out, safety=safety)  # type: ignore[arg-type]
    return {n: p.detach().clone() for n, p in local.model.named_parameters()}


def moved(a: dict[str, torch.Tensor], folder: Path) -> float:
    start = dict(load_local(folder).model.named_parameters())
    return math.sqrt(sum(float((p - start[n].detach()).square().sum()) for n, p in a.items()))


class TestInTraining:
    def test_first_tokens_move_less(self, tmp_path: Path) -> None:
        """Likelihood gained: the constrained run gains less on the first five tokens, for its share, than the plain run."""
        from trueline.train.batching import make_row, pad, token_logps

        folder = tiny_model("llama", tmp_path / "m")
        gains = {}
        for name, on in (("plain", False), ("held", True)):
            local = load_local(folder)
            rows = [make_row(local.tokenizer, e.prompt, e.reply, 64) for e in USERS]
            batch = pad([r for r in rows if r is not None], local.tokenizer.pad_token_id or 0, local.device)
            with torch.no_grad():
                before = token_logps(local.model, batch).sum()
            run_sft(local, USERS, SftSettings(**{**SETTINGS, "epochs": 12}, first_tokens=on), tmp_path / name)  # type: ignore[arg-type]
            with torch.no_grad():
                gains[name] = float(token_logps(local.model, batch).sum() - before)
        assert 0 < gains["held"] < 0.8 * gains["plain"]

    def test_first_tokens_refuse_packing(self) -> None:
        with pytest.raises(RunFileError, match="packing"):
            SftSettings(first_tokens=True, packing="auto")

    def test_a_strong_proximal_term_holds_the_weights(self, tmp_path: Path) -> None:
        folder = tiny_model("llama", tmp_path / "m")
        far, near = (trained(folder, tmp_path / str(rho), SAFE, lisa=rho, epochs=12, batch_tokens=32) for rho in (1e-6, 1e3))
        assert moved(near, folder) < 0.9 * moved(far, folder)

    def test_safety_without_lisa_is_said(self, tmp_path: Path) -> None:
        with pytest.raises(RunFileError, match="without lisa"):
            trained(tiny_model("llama", tmp_path / "m"), tmp_path / "x", SAFE)

    @pytest.mark.parametrize("options", [{"lisa": 0.5, "epochs": 12, "batch_tokens": 32}, {"first_tokens": True}])
    def test_resumed_is_uninterrupted(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: dict[str, object]) -> None:
        import trueline.train.loop as loop

        folder = tiny_model("llama", tmp_path / "m")
        safety = SAFE if "lisa" in options else []
        whole = trained(folder, tmp_path / "whole", safety, **options)
        monkeypatch.setattr(loop, "SAVE_SECONDS", 0.0)

        def stop(done: int, of: int, value: float) -> None:
            if done == of // 2:
                raise KeyboardInterrupt

        local = load_local(folder)
        with pytest.raises(KeyboardInterrupt):
            run_sft(local, USERS, SftSettings(**{**SETTINGS, **options}), tmp_path / "cut", stop, safety)  # type: ignore[arg-type]
        again = trained(folder, tmp_path / "cut", safety, **options)
        assert all(torch.equal(whole[n], again[n]) for n in whole)
