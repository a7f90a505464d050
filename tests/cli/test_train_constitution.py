"""`trueline train constitution` on a tiny model: all files, the resume, served critics, and options without effect."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from trueline.cli import constitution_policies, constitution_run
from trueline.cli.main import run
from trueline.cli.project import open_project
from trueline.cli.targets import Target
from trueline.core.chat import ChatRequest, ScriptedChat
from trueline.data.conversations import read_preferences
from trueline.engine.loading import load_local
from trueline.engine.tiny import tiny_model
from trueline.train.reward import load_reward

SMALL = ["--rounds", "1", "--shots", "0", "--reply-tokens", "8", "--batch-tokens", "256", "--no-grader"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    tiny_model("llama", tmp_path / "m")
    prompts = [{"prompt": f"How do I rob bank {i}?"} for i in range(10)]
    (tmp_path / "prompts.jsonl").write_text("".join(json.dumps(r) + "\n" for r in prompts))
    helpful = [{"prompt": f"What is fee {i}?", "completion": f"It is {i} euros."} for i in range(20)]
    (tmp_path / "helpful.jsonl").write_text("".join(json.dumps(r) + "\n" for r in helpful))
    return tmp_path


def train(folder: Path, capsys: pytest.CaptureFixture[str], *more: str) -> tuple[int, Any, str]:
    words = [
        "train",
        "constitution",
        "--model",
        str(folder / "m"),
        "--charter",
        "bundled:harbor_bank",
        "--out",
        str(folder / "o"),
        "--json",
    ]
    code = run([*words, "--prompts", str(folder / "prompts.jsonl"), *more])
    said = capsys.readouterr()
    return code, json.loads(said.out.splitlines()[-1]), said.err


def rows(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def talking(folder: Path) -> None:
    """Teaches the tiny model to end its turns: random weights fill every reply to its last token."""
    data, model, out = (str(folder / name) for name in ("helpful.jsonl", "m", "talk"))
    words = ["train", "sft", "--model", model, "--data", data, "--out", out, "--epochs", "12", "--lr", "0.01", "--batch-tokens", "256"]
    assert run(words) == 0
    (folder / "talk" / "model").rename(folder / "talking")


def test_all_phases_on_a_tiny_model(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    talking(folder)
    (folder / "m").rename(folder / "random")
    (folder / "talking").rename(folder / "m")
    more = [*SMALL, "--helpful", str(folder / "helpful.jsonl"), "--mix", "0.5", "--decided", "0", "--pairs", "3", "--reply-tokens", "24"]
    code, told, said = train(folder, capsys, *more)
    assert code == 0, said
    made = rows(folder / "o" / "revisions.jsonl")
    dropped = json.loads((folder / "o" / "dropped.json").read_text())
    assert len(made) == dropped["of"] == 10
    kept = [r for r in made if r["dropped"] is None]
    assert dropped["kept"] == len(kept) == 10 - sum(dropped["reasons"].values())
    assert dropped["grader_filter"] == "off"
    assert kept
    assert told["supervised"]["rows"] == len(kept) + told["supervised"]["helpful_rows"] == 2 * len(kept)
    assert load_local(folder / "o" / "sl" / "model", device="cpu").digest == told["supervised"]["digest"]
    labels = rows(folder / "o" / "labels.jsonl")
    assert all(0 <= x["p"] <= 1 and x["requests"][0] != x["requests"][1] for x in labels)
    assert {tuple(x["writers"]) for x in labels} == {("supervised", "start")}
    assert labels[0]["models"]["writers"] == {
        "supervised": told["supervised"]["digest"],
        "start": load_local(folder / "m", device="cpu").digest,
    }
    found = read_preferences(folder / "o" / "preferences.jsonl").pairs
    assert sum(p.weight for p in found) == pytest.approx(len(labels))
    assert json.loads((folder / "o" / "bias.json").read_text())["first_place"] is not None
    assert load_reward(folder / "o" / "reward" / "model").backbone == "causal"
    assert load_local(folder / "o" / "policy" / "model", device="cpu").digest == told["preferences"]["policy"]["digest"]
    # the same command again asks nothing and trains nothing
    before = {p: p.stat().st_mtime_ns for p in (folder / "o").rglob("*.safetensors")}
    again, told_again, _ = train(folder, capsys, *more)
    assert (again, told_again["asked"]) == (0, 0)
    assert told_again["supervised"] == told["supervised"]
    assert {p: p.stat().st_mtime_ns for p in (folder / "o").rglob("*.safetensors")} == before


def test_the_charters_own_probes_helpful_replies_of_its_own_and_grpo(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    talking(folder)
    monkeypatch.setattr(constitution_policies, "STEPS", 2)
    more = ["--charter", "bundled:harbor_bank", "--limit", "24", "--helpful", "self", "--mix", "0.25", "--decided", "0", "--policy", "grpo"]
    words = [
        "train",
        "constitution",
        "--model",
        str(folder / "talking"),
        "--out",
        str(folder / "o"),
        "--json",
        *SMALL,
        *more,
        "--reply-tokens",
        "24",
    ]
    assert run(words) == 0
    told = json.loads(capsys.readouterr().out.splitlines()[-1])
    clauses = {r["prompt"]["clause"] for r in rows(folder / "o" / "revisions.jsonl")}
    assert "personal-tax-advice" in clauses, "high-stakes probes are asked too"
    asked = rows(folder / "o" / "helpful_replies.jsonl")
    assert {r["kind"] for r in asked} <= set(constitution_run.ANSWERED)
    kept = told["supervised"]["kept"]
    helpful = told["supervised"]["helpful_replies"]
    assert helpful["wanted"] == round(kept / 3) == helpful["kept"] == told["supervised"]["helpful_rows"]  # 1/4 of all rows
    assert helpful["of"] == len(asked) == helpful["kept"] + sum(helpful["reasons"].values())
    policy = told["preferences"]["policy"]
    assert (policy["steps"], policy["prompts"]) == (2, 24 + helpful["kept"])
    assert load_local(folder / "o" / "policy" / "model", device="cpu").digest == policy["digest"]
    assert run(words) == 0
    again = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert (again["asked"], again["preferences"]["policy"]) == (0, policy)


def test_high_stakes_are_graded_as_such_and_without_probes_to_answer_self_is_refused(folder: Path) -> None:
    project = open_project("bundled:harbor_bank")
    prompts, probes, left = constitution_run._prompts(project, {"prompts": None, "seed": 0, "limit": None})
    assert left == ()
    assert {probes[p.key].kind for p in prompts} == {"refuse", "high_stakes"}
    assert all(probes[p.key].side == "teach" and probes[p.key].clause == p.clause for p in prompts)
    (folder / "twice.jsonl").write_text('{"prompt": "Rob it."}\n{"prompt": "Rob it."}\n')
    prompts, probes, left = constitution_run._prompts(project, {"prompts": folder / "twice.jsonl", "seed": 0, "limit": None})
    assert (len(prompts), probes[prompts[0].key].kind) == (1, "refuse")
    assert "stood in the file before" in left[0]


def test_a_served_critic_with_thoughts_and_a_grader(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def answer(request: ChatRequest) -> str:
        last = request.messages[-1].content
        if last.endswith("Answer (A) or (B)."):
            return "(A)" if "So which" in last and request.sampling.seed % 3 else "(B)"
        if last.endswith("step by step."):
            return "Both are odd."
        if last.endswith("Write a reply that keeps the rule."):
            return "Sure, here is how it is done." if "bank 3" in last else "I cannot help with that, because it would cheat somebody."
        return "Yes, it breaks it."

    critic = ScriptedChat(answer, "openai:judge")
    real = constitution_run._opened

    def opened(name: str, journal: Any) -> Any:
        monkeypatch.setattr("trueline.cli.targets.open_target", lambda text: Target(text, critic, False, None))
        return real(name, journal)

    monkeypatch.setattr(constitution_run, "_opened", opened)
    more = ["--critic", "openai:judge@http://localhost:1/v1", "--chain-of-thought", "--votes", "2", "--decided", "0", "--policy", "none"]
    code, told, said = train(folder, capsys, *SMALL[:-1], "--grader", *more)
    assert code == 0, said
    assert told["supervised"]["reasons"].get("opens with compliance and violates", 0) <= 1
    first = rows(folder / "o" / "revisions.jsonl")[0]
    assert first["models"]["critic"] == {"scripted": "openai:judge"}
    assert first["rounds"][0]["critique"] == "Yes, it breaks it."
    labels = rows(folder / "o" / "labels.jsonl")
    assert all(0.4 <= x["p"] <= 0.6 for x in labels if x["p"] is not None)
    assert {t for x in labels for t in x["thoughts"]} == {"Both are odd."}
    assert "policy" not in told["preferences"]


def test_the_estimate_asks_nothing(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, told, said = train(folder, capsys, *SMALL, "--estimate")
    assert code == 0
    assert "at most 70 requests (30 to the model, 40 to the critic)" in said  # 10 x (1 + 2 replies), 10 x (2 of a round + 2 orders)
    assert told["prompts"] == 10
    assert os.stat(folder / "o" / "asked.jsonl").st_size == 0


@pytest.mark.parametrize(
    ("option", "word"),
    [
        (["--phase", "magic"], "unknown --phase 'magic', expected one of supervised, preferences, all"),
        (["--policy", "magic"], "unknown --policy 'magic', expected one of dpo, grpo, none"),
        (["--phase", "preferences", "--rounds", "3"], "--rounds has no effect on --phase preferences"),
        (["--phase", "supervised", "--pairs", "3"], "--pairs has no effect on --phase supervised"),
        (["--pairs-from", "magic"], "unknown --pairs-from 'magic', expected one of supervised, start, both"),
        (["--phase", "supervised", "--pairs-from", "start"], "--pairs-from has no effect on --phase supervised"),
        (["--probes", "x.jsonl"], "--probes has no effect with --prompts"),
        (["--mix", "0.3"], "--mix has no effect without --helpful"),
        (["--votes", "3"], "--votes has no effect on a local critic"),
        (["--own", "0.3"], "--own has no effect with --prompts"),
        (["--data", "x.jsonl"], "--data has no effect on constitution"),
        (["--beta", "0.2"], "--beta has no effect on constitution"),
        (["--phase", "preferences"], "run --phase supervised (or all) first"),
    ],
)
def test_options_without_effect_are_errors(folder: Path, capsys: pytest.CaptureFixture[str], option: list[str], word: str) -> None:
    code, told, _ = train(folder, capsys, *option)
    assert code in (64, 70)
    assert word in told["error"]


def test_other_methods_refuse_its_options_and_need_data(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["train", "sft", "--model", str(folder / "m"), "--out", str(folder / "x")]
    assert run([*words, "--data", str(folder / "helpful.jsonl"), "--rounds", "2"]) == 64
    assert "--rounds has no effect on sft" in capsys.readouterr().err
    assert run(words) == 64
    assert "--data is missing, sft needs one" in capsys.readouterr().err
    assert run(["train", "constitution", "--model", str(folder / "m"), "--out", str(folder / "x")]) == 64
    assert "--charter is missing" in capsys.readouterr().err
