"""The preference phase of `trueline train constitution`: AI labels on replies of the supervised and the starting model, a reward model and
a policy."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from trueline.cli.constitution_policies import POLICIES
from trueline.cli.constitution_run import Run, done_once
from trueline.cli.progress import bar
from trueline.data.jsonl import write_json, write_jsonl
from trueline.errors import TrainingError
from trueline.train.constitution.asking import Asker
from trueline.train.constitution.labelling import label_pairs, position_bias, sample_pairs
from trueline.train.constitution.preferences import likelier_rows, soft_rows, undecided, written
from trueline.train.constitution.records import Label

# --pairs-from -> who writes the two replies of a pair
PAIRS_FROM: Mapping[str, tuple[str, ...]] = {"supervised": ("supervised",), "start": ("start",), "both": ("supervised", "start")}
HELD_OUT = 0.2  # of the prompts, on which the reward model is measured


def _sl_model(run: Run) -> str:
    folder = run.out / "sl" / "model"
    if not folder.is_dir():
        raise TrainingError("there is no model of the supervised phase", remedy="run --phase supervised (or all) first", file=folder)
    return str(folder)


def _labels(run: Run, sl: Any) -> tuple[list[Label], dict[str, Any]]:
    """Sampled, labelled, measured; `labels.jsonl` and `bias.json`."""
    from trueline.engine.chat import LocalChat

    settings, chooser = run.labelling(), run.chooser()

    async def sampling() -> Any:
        chat = LocalChat(sl)
        both = {"supervised": Asker(chat, run.journal), "start": run.writer}
        try:
            with bar("sampling") as advance:
                return await sample_pairs(
                    {name: both[name] for name in PAIRS_FROM[run.options["pairs_from"]]}, run.prompts, settings, advance
                )
        finally:
            await chat.close()

    async def labelling() -> list[Label]:
        with bar("labelling") as advance:
            return await label_pairs(sampled.pairs, run.principles, chooser, settings, run.critic if settings.thoughts else None, advance)

    sampled = run.runner.run(sampling())
    labels = run.runner.run(labelling())
    bias = position_bias(labels)
    even = sum(undecided(x, run.options["decided"]) for x in labels)
    digests = {"supervised": sl.digest, "start": run.local.digest}
    who = {"writers": {name: digests[name] for name in PAIRS_FROM[run.options["pairs_from"]]}, "critic": dict(chooser.identity())}
    write_jsonl(run.out / "labels.jsonl", ({**x.to_dict(), "models": who} for x in labels))
    told = {
        "pairs": len(labels), "same_reply": sampled.same, "empty_reply": sampled.empty, "unscored": bias.unscored, "undecided": even, "unparsed": bias.unparsed,
        "first_place": bias.first_place, "orders_disagree": bias.disagree.estimate if bias.disagree else None, "mean_sureness": bias.sure,
        "clamped": settings.thoughts, "position_bias": bias.words(),
    }  # fmt: skip
    write_json(run.out / "bias.json", told)
    run.say(
        f"labels: {bias.words()}; {even} undecided and left out; {sampled.same} pairs of one and the same reply left out, {sampled.empty} with an empty one"
    )
    return labels, told


def preference_phase(run: Run) -> dict[str, Any]:
    """AI labels on sampled replies (`--pairs-from`), as soft preferences; a reward model on them, and the policy."""
    from trueline.cli.align_preferences import OwnPreferences
    from trueline.data.conversations import read_preferences, split_by_prompt
    from trueline.engine.loading import load_local

    folder = _sl_model(run)
    labels, told = _labels(run, load_local(folder))
    least = run.options["decided"]
    rows = list(soft_rows(labels, run.system, least))
    if not rows:
        raise TrainingError(
            "no pair has a decided label, so there is nothing to prefer",
            remedy="read labels.jsonl; give more prompts or --pairs, or another --critic",
        )
    write_jsonl(run.out / "preferences.jsonl", written(rows))
    given = run.options["helpful_preferences"]
    human = list(read_preferences(given).pairs) if given else []
    train, _ = split_by_prompt([p for p, _ in rows], HELD_OUT)
    if not train:
        raise TrainingError(f"all {len(rows)} labelled rows are held out to measure", remedy="give more prompts or --pairs", file=run.out)
    _, test = split_by_prompt(likelier_rows(labels, run.system, least), HELD_OUT)
    told["rows"], told["human_helpfulness_rows"] = len(rows), len(human)
    told["reward"] = reward_on(run, folder, OwnPreferences([*train, *human], test))
    if run.options["policy"] != "none":
        told["policy"] = POLICIES[run.options["policy"]](run, folder, [p for p, _ in rows])
    return told


def reward_on(run: Run, start: str, own: Any) -> dict[str, Any]:
    """A causal reward model from `start` on soft rows and people's, measured on the likelier replies of held-out prompts:
    `reward/model`."""
    import numpy as np

    from trueline.engine.folders import weights_digest
    from trueline.engine.loading import load_local
    from trueline.train.judged import conversations_of, of_pairs
    from trueline.train.reward import RewardSettings, save_reward, score
    from trueline.train.reward_causal import train_causal
    from trueline.train.reward_model import held_out_report
    from trueline.train.sft import vars_of

    o, folder = run.options, run.out / "reward"
    settings = RewardSettings(batch_tokens=o["batch_tokens"], max_tokens=o["max_tokens"], seed=o["seed"], precision=o["precision"])
    train, test = of_pairs(own.train), of_pairs(own.held_out)

    def work() -> dict[str, Any]:
        with bar("reward") as advance:
            model, report, _ = train_causal(load_local(start), train, settings, folder, lambda _: advance)
        digest = save_reward(model, folder / "model")
        (folder / "checkpoint.pt").unlink(missing_ok=True)
        measured = held_out_report(test, np.array(score(model, conversations_of(test)))) if test else {"held_out_accuracy": None}
        return {"digest": digest, "rows": report.rows, "steps": report.steps, "too_long": report.too_long, **measured}

    inputs = {
        "rows": [r.digest() for r in train],
        "test": [r.digest() for r in test],
        "settings": vars_of(settings),
        "from": weights_digest(Path(start)),
    }
    return {"model": str(folder / "model"), **done_once(folder, inputs, work)}
