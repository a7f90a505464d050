"""What every method of `trueline train` looks at before it spends anything: places, weights, rows; and what it says of an earlier run there."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from trueline.errors import DataError, RunFileError, TargetError

T = TypeVar("T")
MADE = ("model", "adapter", "sl", "policy", "reward")  # folders that a run writes below OUT


def _inside(path: Path, folder: Path) -> bool:
    return path == folder or folder in path.parents


def check_places(out: Path, *inputs: str | Path | None) -> None:
    """Raises `RunFileError` where a run would write into a folder that it reads: `inputs` are model and reward folders (None: not given)."""
    for given in inputs:
        folder = None if given is None else Path(given)
        if folder is None or not folder.is_dir():
            continue
        real, there = folder.resolve(), out.resolve()
        if _inside(there, real) or any(_inside(real, there / name) for name in MADE):
            what = f"--out {out} would write into {folder}, which this run reads"
            raise RunFileError(what, remedy="give another --out: a model that is trained from stays as it is")


def check_model(model: str, lora: int | None) -> None:
    """Raises `TargetError` or `RunFileError` for a folder that holds no language model, and for adapters on adapters."""
    from trueline.engine.folders import folder_of, is_adapter, read_json

    folder = folder_of(model)
    if is_adapter(folder):
        if lora:
            what = f"--lora has no base to name: {folder} is an adapter itself"
            raise RunFileError(what, remedy="train from the whole model beside it (OUT/model of its run), or without --lora")
    elif (folder / "config.json").exists():
        made = read_json(folder / "config.json").get("architectures")
        odd = next((str(a) for a in (made if isinstance(made, list) else []) if "Classification" in str(a)), None)
        if odd is not None:
            what = f"{folder} is a classifier ({odd}; a reward model is one), expected a language model"
            raise TargetError(what, remedy="give the model that it was trained from")


def check_four_bit(o: Mapping[str, Any]) -> None:
    """Raises `RunFileError` for an option that cannot be had with --four-bit."""
    if not o["four_bit"]:
        return
    if not o["lora"]:
        what = "--four-bit has no effect without --lora: weights in four bits are not trained"
        raise RunFileError(what, remedy="add --lora 16 or remove it")
    for name, why in (("shard", "sharded weights cannot be in four bits"), ("safe_lora", "the projection reads the layers as they are")):
        if o.get(name):
            raise RunFileError(f"--{name.replace('_', '-')} and --four-bit do not go together: {why}", remedy="remove one of them")


def check_ends(local: Any) -> None:
    """Raises `TargetError` where no token ends a turn: every reply that is drawn would be as long as it may be."""
    if local.tokenizer.chat_template and not local.stops:
        what = f"{local.path} has no token that ends a turn, expected an eos_token"
        raise TargetError(what, remedy="name it in tokenizer_config.json or generation_config.json")


def base_of(model: str | None) -> Path | None:
    """The folder that an adapter stands on; None where the model is none, or says nothing of it."""
    from trueline.engine.folders import folder_of, is_adapter, read_json

    if model is None or model.startswith(("openai:", "anthropic:")) or not is_adapter(folder := folder_of(model)):
        return None
    named = read_json(folder / "adapter_config.json").get("base_model_name_or_path")
    return folder_of(str(named), beside=folder) if named else None


def looked_at(
    local: Any, method: str, rows: Sequence[T], of: Callable[[Sequence[T]], Any], o: dict[str, Any], left_out: Sequence[str] = ()
) -> tuple[list[T], dict[str, Any]]:
    """(the rows that can be learnt from, what is told of them): `of` is `of_...` of `train.audit`; `left_out`: a line for each row that its
    reader left out already. Raises `TrainingError` where the model's template would teach what it is never asked, and where no row is left."""
    from trueline.train.audit import demand, look, screened

    kept = screened(local, rows, lambda row: of([row]).sides[0])
    audit = demand(look(local, of(kept.rows), o["max_tokens"], o["batch_tokens"]), method)
    return kept.rows, {"audit": audit.words(), "template": audit.template, "left_out": [*left_out, *kept.left_out]}


def held_out_all(data: Path | None, train: Sequence[object], n: int, share: float | None) -> None:
    """Raises `DataError` where nothing is left to train on."""
    if not train:
        what = f"all {n} rows are held out at --held-out {share}"
        raise DataError(what, remedy="give more prompts or hold out less", file=data)


@dataclass
class Earlier:
    """What stood in OUT before this run: the step of a checkpoint (None: none), the options of a finished run. `told` says what became of it."""

    step: int | None
    options: dict[str, Any] | None
    began: int | None = None

    @classmethod
    def of(cls, out: Path) -> Earlier:
        """Looks into a folder. What cannot be read there is the loop's to say."""
        import torch

        step, options = None, None
        try:
            state = torch.load(out / "checkpoint.pt", weights_only=True, map_location="cpu", mmap=True)
            step = int(state["rollouts"] if "rollouts" in state else state["step"])
        except Exception:  # noqa: BLE001  # torch raises whatever the bytes mean; `load_checkpoint` names it
            step = None
        try:
            options = json.loads((out / "train.json").read_text(encoding="utf-8"))["options"]
        except (OSError, ValueError, LookupError, TypeError):
            options = None
        return cls(step, options if isinstance(options, dict) else None)

    def watching(self, advance: Callable[..., None]) -> Callable[..., None]:
        """`advance`, noting the first step that is done."""

        def noting(done: int, *rest: Any) -> None:
            self.began = done if self.began is None else self.began
            advance(done, *rest)

        return noting

    def told(self, options: dict[str, Any]) -> dict[str, str]:
        """For what is printed; `options`: of this run, as train.json keeps them."""
        found: dict[str, str] = {}
        if self.step is not None:
            over = self.began == 1 and self.step > 0
            other = f"from the beginning: the checkpoint there (step {self.step}) was of other data, model or options"
            found["resumed"] = other if over else f"after step {self.step}"
        if self.options is not None:
            mine = json.loads(json.dumps(options))
            changed = sorted(k for k in {*mine, *self.options} if mine.get(k) != self.options.get(k))
            if changed:
                found["replaced"] = f"a finished run with other options ({', '.join(changed)})"
        return found
