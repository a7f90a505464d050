"""What all methods of `trueline train` share: the options, the model that goes in, the folder that comes out."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any, TypeVar

import click

from trueline.cli.processes import first

F = TypeVar("F", bound=Callable[..., Any])


class Finite(click.FloatRange):
    """A range of numbers without nan, which lies in every range, and without infinity."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """As click's, and refuses what is not finite."""
        found = super().convert(value, param, ctx)
        if not math.isfinite(found):
            self.fail(f"{found} is not a finite number, expected one in the range {self._describe_range()}.", param, ctx)
        return found


SHARED: dict[str, Any] = {
    "model": click.option("--model", "-m", help="Local model: a folder, hf:NAME or bundled:harbor."),
    "data": click.option("--data", "-d", type=click.Path(path_type=Path), help="JSON lines in a standard format (.jsonl or .jsonl.gz)."),
    "out": click.option(
        "--out", "-o", required=True, type=click.Path(path_type=Path), help="Folder of the run; the model comes to OUT/model."
    ),
    "epochs": click.option("--epochs", default=1, show_default=True, type=click.IntRange(1), help="Passes over the data."),
    "batch_tokens": click.option("--batch-tokens", default=4096, show_default=True, type=click.IntRange(1), help="Padded tokens a step."),
    "max_tokens": click.option(
        "--max-tokens", default=1024, show_default=True, type=click.IntRange(8), help="Rows longer than this are left out and counted."
    ),
    "held_out": click.option("--held-out", type=Finite(0, 0.9), help="Share of prompts kept out to measure on."),
    "lora": click.option(
        "--lora", type=click.IntRange(1), help="Train LoRA adapters of this rank instead of all weights; they are merged at the end."
    ),
    "four_bit": click.option(
        "--four-bit",
        is_flag=True,
        help="Hold the weights under the adapters in four bits while training (QLoRA); needs --lora and bitsandbytes.",
    ),
    "precision": click.option(
        "--precision",
        default="auto",
        show_default=True,
        help="auto: bfloat16 with a float32 master of the weights where the processor multiplies it, else float32; or either by name.",
    ),
    "shard": click.option(
        "--shard", is_flag=True, help="Under torchrun: every process keeps a part of the weights and of the optimiser, not all of them."
    ),
    "part_way": click.option(
        "--part-way",
        type=Finite(0, 1, min_open=True, max_open=True),
        help="Save weights so large a share of the way from the model as given to the trained one (docs/keeping.md; default: all of it).",
    ),
    "seed": click.option("--seed", default=0, show_default=True, type=click.IntRange(0), help="Seed of order and batches."),
}


LOOP = ("epochs", "batch_tokens", "max_tokens", "seed", "precision")  # shared options that methods by steps take as they are


def shared(*names: str, lr: str = "") -> Callable[[F], F]:
    """Puts shared options on a command; `lr`: what the learning rate is where it is not given."""

    own = {"lr": click.option("--lr", type=Finite(0, 1, min_open=True), help=f"Peak learning rate (default: {lr}).")}
    return put(*(own.get(name) or SHARED[name] for name in names))


def put(*options: Callable[[Any], Any]) -> Callable[[F], F]:
    """Several options as one decorator, in the order given."""

    def on(command: F) -> F:
        for option in reversed(options):
            command = option(command)
        return command

    return on


def printed(run: Callable[..., dict[str, Any]]) -> Callable[..., int]:
    """A command that prints what `run` returns, a line each or as JSON."""

    @wraps(run)
    def command(*, as_json: bool, **given: Any) -> int:
        try:
            found = run(**given)
        except OSError as e:
            if e.filename is not None or e.errno is None:
                raise
            raise OSError(e.errno, e.strerror, str(given["out"])) from None  # a full disk names no file: it is somewhere in OUT
        if first():
            click.echo(json.dumps(found) if as_json else "\n".join(f"{k}: {v}" for k, v in found.items()))
        return 0

    return click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")(command)


def need(method: str, **given: Any) -> None:
    """Raises `RunFileError` for the first of these that is not given."""
    from trueline.errors import RunFileError

    for name, value in given.items():
        if value is None:
            raise RunFileError(f"--{name} is missing, {method} needs one", remedy=f"give --{name}")


def given(method: str, model: str | None, data: Path | None) -> tuple[str, Path]:
    """Both, or `RunFileError` for the one that is missing."""
    need(method, model=model, data=data)
    assert model is not None
    assert data is not None
    return model, data


def opened(model: str, lora: int | None, four_bit: bool = False) -> tuple[Any, Any]:
    """(the local model, the one to train)."""
    from trueline.cli.targets import open_target
    from trueline.cli.train_checks import check_model
    from trueline.engine.loading import check_finite, load_local
    from trueline.errors import TargetError
    from trueline.train.lora import LoraSettings, put_on

    if model.startswith(("openai:", "anthropic:")):
        open_target(model)
        raise TargetError(f"{model} cannot be trained: its weights are not here", remedy="use `align` with a search stage")
    check_model(model, lora)
    local = load_local(model, four_bit=four_bit)
    check_finite(local.model, local.path)
    return local, put_on(local, LoraSettings(lora, 2 * lora)) if lora else local


def averaged(local: Any, trained: Any, share: float | None) -> dict[str, str]:
    """Moves the trained weights back to `share` of the way from those of `local` (None: leaves them); what is told of it. After the training and
    its mitigations, before anything is measured on what will be saved."""
    if share is None:
        return {}
    from trueline.train.keeping.part_way import go_part_way

    return {"part_way": go_part_way(local, trained, share)}


def plain(options: dict[str, Any]) -> dict[str, Any]:
    """Options as train.json keeps them."""
    return {k: str(v) if isinstance(v, Path) else v for k, v in options.items()}


def finished(local: Any, trained: Any, options: dict[str, Any], out: Path, report: Any, earlier: Any, **more: Any) -> dict[str, Any]:
    """Saves model (and adapter), takes the checkpoint away, writes train.json; what is printed. Of several processes, the first does it.
    `earlier`: what stood in `out` before (`train_checks.Earlier`)."""
    if not first():
        return {}
    from trueline.data.jsonl import write_json
    from trueline.train.lora import merged, save_adapter
    from trueline.train.saving import save_model

    if options["lora"]:
        save_adapter(trained, out / "adapter")  # first: what is merged on a base in four bits is read from there
    digest = save_model(merged(trained, out / "adapter") if options["lora"] else trained, out / "model", "float32")
    (out / "checkpoint.pt").unlink(missing_ok=True)
    counted = {"model": str(out / "model"), "digest": digest, "rows": report.rows, "too_long": report.too_long, "steps": report.steps}
    told = {**counted, **report.metrics, **more, **earlier.told(plain(options))}
    write_json(out / "train.json", {**told, "from": local.digest, "options": plain(options)})
    return told
