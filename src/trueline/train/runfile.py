"""The run file: what `trueline align` does, typed and checked when it is read; an option without effect is an error."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from trueline.charter.parse import read_yaml, validate
from trueline.errors import RunFileError
from trueline.train.policy.settings import PolicySettings


def _no_truth(value: Any) -> Any:
    """`lr: true` is a slip, not the number one."""
    if isinstance(value, bool):
        raise ValueError(f"expected a number, got {str(value).lower()}")
    return value


Number = BeforeValidator(_no_truth)
Positive = Annotated[float, Number, Field(gt=0, allow_inf_nan=False)]
AtLeastZero = Annotated[float, Number, Field(ge=0, allow_inf_nan=False)]
Rate = Annotated[float, Number, Field(gt=0, le=1, allow_inf_nan=False)]  # of learning: Adam moves every weight by about as much
PartWay = Annotated[float, Number, Field(gt=0, lt=1, allow_inf_nan=False)]  # 1, all of it, is null
Count = Annotated[int, Number, Field(ge=1)]


Precision = Literal["auto", "float32", "bfloat16"]  # of computing; weights are always remembered in float32


class Part(BaseModel):
    """Frozen, and an unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class PromptPart(Part):
    """The compiled prompt: `budget` in tokens of the model (null: everything), `few_shots` examples."""

    budget: Count | None = 64
    few_shots: Annotated[int, Field(ge=0, le=64)] = 0


class DataPart(Part):
    """Files beside the run file: `probes` (default: beside the charter), `helpful` dialogues mixed in, `preferences` rows.

    `held_out`: share of the preferences' prompts that teach nothing and measure agreement before and after."""

    probes: str | None = None
    helpful: str | None = None
    preferences: str | None = None
    held_out: Annotated[float, Field(ge=0, lt=1)] = 0.0
    demonstrations: bool = True


class LoraPart(Part):
    """r: rank; alpha: scale."""

    r: Count = 16
    alpha: Count = 32


class SftStage(Part):
    """Demonstrations of the charter mixed with helpful data; `mix`: share of helpful examples among all; `turns`, `packing`: see
    `train.sft.SftSettings`; `part_way`: the stage ends with weights so large a share of the way from those it began with to the trained
    ones (`train.keeping.part_way`; null: with the trained ones)."""

    method: Literal["sft"]
    epochs: Count = 2
    lr: Rate = 1e-3
    batch_tokens: Count = 4096
    mix: Annotated[float, Field(ge=0, lt=1)] = 0.25
    turns: Literal["last", "all"] = "last"
    packing: Literal["off", "on", "auto"] = "off"
    precision: Precision = "auto"
    lora: LoraPart | None = None
    part_way: PartWay | None = None


class DpoStage(Part):
    """Preferences sampled on teach probes (failed replies are rejected, against the demonstration) and the user's own file.

    `loss` with its options `beta` to `sft_weight`: a paired loss of `algos.losses.preference`, null for the loss's own default.
    `sample_from`: the model as the stage finds it (current) or as the run began (start); `probes`: at most so many teach probes;
    `part_way`: as in `SftStage`."""

    method: Literal["dpo"]
    loss: str = "dpo"
    beta: Positive | None = None
    label_smoothing: Annotated[float, Number, Field(ge=0, lt=0.5)] | None = None
    gamma: AtLeastZero | None = None
    margin_weight: AtLeastZero | None = None
    sft_weight: AtLeastZero | None = None
    epochs: Count = 1
    lr: Rate = 2e-4
    batch_tokens: Count = 4096
    samples: Annotated[int, Field(ge=0, le=16)] = 1
    sample_from: Literal["current", "start"] = "current"
    probes: Count = 1000
    temperature: Annotated[float, Field(ge=0, le=2)] = 1.0
    precision: Precision = "auto"
    lora: LoraPart | None = None
    part_way: PartWay | None = None

    def loss_options(self) -> dict[str, float | None]:
        """The options of the loss by name."""
        return {name: getattr(self, name) for name in ("beta", "label_smoothing", "gamma", "margin_weight", "sft_weight")}


class PolicyStage(Part):
    """Reinforcement learning on the teach probes. `reward`: charter (its grader), preferences (a reward model of data.preferences, trained
    with `reward_epochs` and `reward_lr`), or a folder of `train reward`. `held_out`: share of the families of prompts that only measure, every `measure_every` rollouts (null: 2); all else
    as in `train.policy.settings.PolicySettings`; a reply may have `evaluate.max_tokens` tokens; `part_way`: as in `SftStage`."""

    method: Literal["grpo", "rloo", "ppo"]
    variant: str | None = None
    reward: str = "charter"
    reward_epochs: Count | None = None
    reward_lr: Rate | None = None
    steps: Count = 20
    prompts: Count = 8
    samples: Count | None = None
    temperature: Positive = 1.0
    lr: Rate = 1e-5
    kl_weight: AtLeastZero | None = None
    kl_budget: Positive | None = 10.0
    held_out: Annotated[float, Number, Field(ge=0, lt=0.9)] = 0.1
    measure_every: Count | None = None
    batch_tokens: Count = 16384
    precision: Precision = "auto"
    lora: LoraPart | None = None
    part_way: PartWay | None = None

    def settings(self, seed: int, max_new_tokens: int) -> PolicySettings:
        """Of the trainer. Raises `RunFileError` for an unknown name and an option without effect."""
        same = ("variant", "steps", "prompts", "samples", "temperature", "lr", "kl_budget", "batch_tokens", "precision")
        options = {"kl_weight": self.kl_weight} if self.kl_weight is not None else {}
        more = {name: getattr(self, name) for name in same}
        return PolicySettings(
            self.method, options=options, max_new_tokens=max_new_tokens, seed=seed, measure_every=self.measure_every or 2, **more
        )


class SearchStage(Part):
    """For a TARGET that cannot be trained: prompt budgets and numbers of few-shots to try, on at most `probes` teach probes; `requests`: go on
    from the best of them to other wordings, orders and examples, with so many requests in all (null: the combinations alone)."""

    method: Literal["search"]
    budgets: tuple[Count | None, ...] = (64, 256, None)
    few_shots: tuple[Annotated[int, Field(ge=0, le=64)], ...] = (0, 4)
    probes: Count = 100
    requests: Count | None = None


class EvaluatePart(Part):
    """`limit`: probes of the suite (null: all); `samples` of each; `max_tokens` of a reply."""

    limit: Count | None = None
    samples: Count = 1
    temperature: Annotated[float, Field(ge=0, le=2)] = 0.0
    max_tokens: Count = 64
    concurrency: Count = 64


class GatePart(Part):
    """`against`: an evaluation folder that the result must not be worse than, besides the caps."""

    against: str | None = None


class RunFile(Part):
    """One alignment run."""

    run: Literal[1]
    charter: str
    model: str
    out: str
    seed: Annotated[int, Number, Field(ge=0)] = 0
    prompt: PromptPart = PromptPart()
    teacher: str | None = None
    data: DataPart = DataPart()
    stages: Annotated[
        tuple[Annotated[SftStage | DpoStage | PolicyStage | SearchStage, Field(discriminator="method")], ...], Field(min_length=1)
    ]
    evaluate: EvaluatePart = EvaluatePart()
    gate: GatePart = GatePart()


def _check_policy(stage: PolicyStage, run: RunFile) -> None:
    stage.settings(run.seed, run.evaluate.max_tokens)
    if stage.reward == "preferences" and run.data.preferences is None:
        raise RunFileError("reward: preferences has nothing to learn from", remedy="name data.preferences, or take another reward")
    if stage.measure_every is not None and not stage.held_out:
        raise RunFileError("measure_every has no effect with held_out: 0", remedy="remove it, or hold prompts out")
    if stage.method == "ppo" and stage.lora and stage.reward == "charter":
        what = "ppo with lora starts its value model from a reward model, and reward: charter has none"
        raise RunFileError(what, remedy="leave lora out, take grpo or rloo, or reward: preferences")
    for name in ("reward_epochs", "reward_lr"):
        if getattr(stage, name) is not None and stage.reward != "preferences":
            raise RunFileError(f"{name} has no effect with reward: {stage.reward}", remedy="remove it, or take reward: preferences")


def read_run_file(path: Path) -> RunFile:
    """Reads and checks a run file. Raises `RunFileError` (file:line)."""
    from trueline.algos.losses.preference import paired

    document = read_yaml(path, RunFileError)
    run = validate(document, RunFile, path, RunFileError)
    for i, stage in enumerate(run.stages):
        line = document.lines.get(("stages", i), 1)
        try:
            if isinstance(stage, DpoStage):
                paired(stage.loss, stage.loss_options())
                if stage.margin_weight and run.data.preferences is None:
                    what = "margin_weight has no effect without data.preferences: sampled pairs have no margin"
                    raise RunFileError(what, remedy="name a file of preferences with margins, or remove it")
                if stage.samples == 0 and run.data.preferences is None:
                    raise RunFileError("dpo with samples: 0 and no data.preferences has nothing to learn from", remedy="give one of them")
            if isinstance(stage, PolicyStage):
                _check_policy(stage, run)
            if isinstance(stage, SftStage) and stage.mix and run.data.helpful is None:
                raise RunFileError(f"mix: {stage.mix} has no effect without data.helpful", remedy="name a file or set mix: 0")
            if isinstance(stage, SftStage) and not run.data.demonstrations and run.data.helpful is None:
                raise RunFileError(
                    "sft without demonstrations and without helpful data has nothing to learn from", remedy="give one of them"
                )
        except RunFileError as e:
            raise RunFileError(e.what, remedy=e.remedy, file=path, line=line) from None
    kinds = {s.method for s in run.stages}
    line = document.lines.get(("data",), 1)
    learns = any(isinstance(s, DpoStage) or (isinstance(s, PolicyStage) and s.reward == "preferences") for s in run.stages)
    if run.data.preferences and not learns:
        what = "data.preferences has no effect without a dpo stage or a reward of preferences"
        raise RunFileError(what, remedy="add one or remove it", file=path, line=line)
    if run.data.held_out and not run.data.preferences:
        raise RunFileError("data.held_out has no effect without data.preferences", remedy="name a file", file=path, line=line)
    if not kinds & {"sft", "search"}:
        shown = {"teacher": run.teacher, "data.helpful": run.data.helpful, "data.demonstrations": not run.data.demonstrations}
        odd = next((name for name, given in shown.items() if given), None)
        if odd:
            raise RunFileError(f"{odd} has no effect without an sft stage", remedy="add one or remove it", file=path, line=line)
    if "search" in kinds and len(kinds) > 1:
        raise RunFileError("search stands beside training stages, expected either", remedy="use two run files", file=path, line=1)
    return run


def beside(path: Path, name: str) -> Path:
    """A file named in a run file: absolute, `bundled:CHARTER/FILE`, or beside the run file."""
    from trueline.charter.shipped import CHARTERS

    if name.startswith("bundled:"):
        return CHARTERS / name.removeprefix("bundled:")
    return Path(name) if Path(name).is_absolute() else path.parent / name


def settings_of(part: Part) -> dict[str, Any]:
    """A part as plain data, for digests and records."""
    return part.model_dump(mode="json")
