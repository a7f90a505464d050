"""Options of `trueline train sft` that keep an aligned model aligned, and what they do before and after the stage."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import click

from trueline.cli.train_stage import put

F = TypeVar("F", bound=Callable[..., Any])
NAMES = ("safety_mix", "first_tokens", "lisa", "safe_lora", "safe_lora_form", "safety_data", "unaligned")


def keeping_options(command: F) -> F:
    """Puts the options on a command."""
    return put(
        click.option("--safety-mix", type=float, help="Mix in so large a share of --safety-data (0.03 is a start; 2309.07875)."),
        click.option("--first-tokens", is_flag=True, help="Hold the first five tokens of every reply (constrained loss, 2406.05946)."),
        click.option("--lisa", type=float, help="Turns on --safety-data, and a proximal term of this weight (2405.18641; 1 there)."),
        click.option("--safe-lora", type=float, help="Afterwards project updates whose cosine is below this (2405.16833; 0.35 there)."),
        click.option(
            "--safe-lora-form", type=click.Choice(["paper", "subspace"]), help="Its projection (docs/keeping.md; default: paper)."
        ),
        click.option("--safety-data", help="Demonstrations to keep: a file, or a charter (a folder, a file or bundled:NAME)."),
        click.option("--unaligned", help="The model before it was aligned, for --safe-lora."),
    )(command)


def _check(o: dict[str, Any]) -> None:
    from trueline.errors import RunFileError

    mixes, lisa, safe = o["safety_mix"] is not None, o["lisa"] is not None, o["safe_lora"] is not None
    for used, name, givers in (
        (mixes or lisa, "safety_data", "--safety-mix or --lisa"),
        (safe, "unaligned", "--safe-lora"),
        (safe, "safe_lora_form", "--safe-lora"),
    ):
        if o[name] and not used:
            raise RunFileError(f"--{name.replace('_', '-')} has no effect without {givers}", remedy=f"add {givers} or remove it")
    if (mixes or lisa) and not o["safety_data"]:
        raise RunFileError("--safety-mix and --lisa need demonstrations to keep", remedy="give --safety-data FILE or a charter")
    if safe and not o["unaligned"]:
        raise RunFileError("--safe-lora needs the model before it was aligned", remedy="give --unaligned MODEL")
    if safe and not 0 < o["safe_lora"] <= 1:
        what = f"--safe-lora is a cosine above 0 and at most 1, got {o['safe_lora']}: no projection has a smaller one"
        raise RunFileError(what, remedy="give for instance 0.35")
    if mixes and lisa:
        raise RunFileError("--safety-mix and --lisa both bring the safety data in", remedy="choose one of them")


def safety_examples(reference: str, budget: int | None, count: Callable[[str], int]) -> list[Any]:
    """Demonstrations of a file as they are, or those of a charter's teach side behind its compiled prompt of at most `budget` tokens."""
    from trueline.data.conversations import read_examples

    path = Path(reference)
    if path.is_dir():
        reference = str(path / "charter.yaml")
    elif not reference.startswith("bundled:") and path.suffix not in (".yaml", ".yml"):
        return read_examples(path)
    from trueline.charter.compile.prompt import compile_prompt
    from trueline.cli.align_data import charter_demonstrations, mixed_examples
    from trueline.cli.project import open_project

    project = open_project(reference)
    prompt = compile_prompt(project.loaded.charter, budget=budget, count=count).text
    return mixed_examples(project, prompt, None, 0.0, charter_demonstrations(project), 0)


@dataclass
class Keeper:
    """The mitigations of one run, in the order in which they act: `examples` before it, `settings` and `safety` in it, `after` it."""

    options: dict[str, Any]
    told: dict[str, str] = field(default_factory=dict)
    safety: Sequence[Any] = ()
    _aligned: Any = None
    _v: Any = None

    def __post_init__(self) -> None:
        _check(self.options)

    def settings(self) -> dict[str, Any]:
        """For `SftSettings`."""
        return {"first_tokens": self.options["first_tokens"], "lisa": self.options["lisa"]}

    def examples(self, local: Any, examples: list[Any], seed: int) -> list[Any]:
        """The user's examples, with safety examples among them where they are mixed."""
        from trueline.train.audit import screened
        from trueline.train.keeping.mixing import mixed

        o = self.options
        if o["safety_data"]:
            found = safety_examples(o["safety_data"], PROMPT_TOKENS, lambda text: len(local.tokenizer.encode(text)))
            kept = screened(local, found, lambda e: [(e.prompt, e.reply)])
            found = kept.rows
            if kept.left_out:
                self.told["safety_left_out"] = f"{len(kept.left_out)} safety examples, e.g. {kept.left_out[0]}"
            if o["safety_mix"] is None:
                self.safety = found
                return examples
            mixture = mixed(examples, found, o["safety_mix"], seed)
            self.told["safety_mix"] = mixture.words()
            return mixture.examples
        return examples

    def before(self, trained: Any) -> None:
        """Remembers what Safe LoRA will need, and checks it, before anything is spent."""
        if self.options["safe_lora"] is None:
            return
        from trueline.engine.loading import load_local
        from trueline.train.keeping.safe_lora import check_pair, weights_of

        self._aligned = weights_of(trained.model)
        self._v = check_pair(self._aligned, load_local(self.options["unaligned"]))

    def after(self, trained: Any) -> dict[str, str]:
        """Projects the update; what is told of all mitigations."""
        if self._v is not None:
            from trueline.train.keeping.safe_lora import project

            form = self.options["safe_lora_form"] or "paper"
            self.told["safe_lora"] = project(trained, self._aligned, self._v, self.options["safe_lora"], form).words()
        return self.told


PROMPT_TOKENS = 64  # of the compiled prompt before a charter's demonstrations, as in a run file
