"""TARGET strings: a folder, hf:NAME, bundled:NAME, openai:MODEL@URL, anthropic:MODEL[@URL] or a system.yaml."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field

from trueline.charter.turns import Message
from trueline.core.chat import ChatModel, Sampling
from trueline.errors import RunFileError, TargetError


class SystemFile(BaseModel):
    """What ships: model + prompt + few-shots + guard + sampling. `prompt`: compiled | none | tuned:FILE (a diff beside this file, from
    `trueline tune-prompt`) | the text itself."""

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())

    system: Literal[1]
    model: str
    charter: str
    prompt: str = "compiled"
    prompt_budget: Annotated[int, Field(ge=1)] | None = None
    few_shots: Annotated[int, Field(ge=0, le=64)] = 0
    temperature: Annotated[float, Field(ge=0, le=2)] = 0.0
    max_tokens: Annotated[int, Field(ge=1)] = 128
    guard: bool = True

    @property
    def tuned(self) -> str | None:
        """The file of the diff on the compiled prompt that it names, or None."""
        return self.prompt.removeprefix("tuned:").strip() if self.prompt.startswith("tuned:") else None


@dataclass(frozen=True, slots=True)
class Target:
    """An opened TARGET: the model (behind its prompt where it has one), and the token counter of its tokenizer."""

    text: str
    chat: ChatModel
    trainable: bool
    count: Callable[[str], int] | None
    notes: tuple[str, ...] = ()
    system: SystemFile | None = None


def read_system(path: Path) -> SystemFile:
    """Reads a system.yaml. Raises `RunFileError` (file:line)."""
    from trueline.charter.parse import read_yaml, validate

    system = validate(read_yaml(path, RunFileError), SystemFile, path, RunFileError)
    for name in ("few_shots", "prompt_budget"):
        if system.tuned is not None and getattr(system, name):
            what = f"{name} has no effect with a tuned prompt, which names its few-shots and clauses itself"
            raise RunFileError(what, remedy="remove it", file=path, line=_line(path, name))
    return system


def charter_of(target: Target, system: SystemFile) -> str:
    """The charter that a system names: bundled:NAME, or a file beside the system.yaml."""
    return system.charter if system.charter.startswith("bundled:") else str(Path(target.text).parent / system.charter)


def _line(path: Path, key: str) -> int:
    from trueline.charter.parse import read_yaml

    return read_yaml(path, RunFileError).lines.get((key,), 1)


OF_A_SYSTEM = ("temperature", "max_tokens", "prompt_budget", "few_shots", "no_prompt")  # options that a system.yaml decides itself


def options_given() -> set[str]:
    """The options of the running command that stand on its command line, in contrast to defaults."""
    import click

    context = click.get_current_context()
    return {name for name in context.params if context.get_parameter_source(name) is click.core.ParameterSource.COMMANDLINE}


def refuse_overruled(target: Target, given: Collection[str]) -> None:
    """Raises `TargetError` where one of the `given` options would be without effect: the system decides it, or there is no prompt."""
    bare = [f"--{name.replace('_', '-')}" for name in ("prompt_budget", "few_shots") if name in given and "no_prompt" in given]
    if bare:
        raise TargetError(f"{bare[0]} has no effect with --no-prompt", remedy="leave one of them out")
    if "no_guard" in given and not (target.system is not None and target.system.guard):
        raise TargetError(f"--no-guard has no effect on {target.text}, which has no guard", remedy="leave it out")
    idle = [f"--{name.replace('_', '-')}" for name in OF_A_SYSTEM if name in given]
    if target.system is not None and idle:
        raise TargetError(
            f"{idle[0]} has no effect on {target.text}, which decides it itself", remedy="change the system.yaml or leave it out"
        )


KEYS = {"openai": "OPENAI_API_KEY", "anthropic": "ANTHROPIC_API_KEY"}


def _served(text: str) -> ChatModel | None:
    from trueline.models.anthropic_chat import AnthropicChat
    from trueline.models.openai_chat import OpenAIChat

    kind, _, rest = text.partition(":")
    if kind not in ("openai", "anthropic"):
        return None
    found = re.fullmatch(r"(?P<model>.*?)@(?P<url>https?://.*)", rest)  # a model's own name may hold an @
    model, url = (found["model"], found["url"]) if found else (rest, "")
    if not model:
        raise TargetError(f"{kind}: names no model", remedy=f"write {kind}:MODEL@URL")
    if "://" in model or model.endswith("@"):
        raise TargetError(f"the address in {kind}:{model} is no URL", remedy="begin it with http:// or https://")
    parts = urlsplit(url)
    if parts.password or parts.username or "key=" in parts.query:
        raise TargetError("the address holds a secret, and addresses stand in records", remedy=f"put the key into {KEYS[kind]}")
    if url and not parts.hostname:
        raise TargetError(f"the address {url!r} names no host", remedy="write http://HOST:PORT/v1")
    if kind == "openai":
        return OpenAIChat(model, url) if url else OpenAIChat(model)
    return AnthropicChat(model, url) if url else AnthropicChat(model)


def _local(text: str) -> Target:
    try:
        from trueline.engine.chat import LocalChat
        from trueline.engine.loading import load_local
    except ImportError as e:
        what = f"{text} is a local model, which needs torch and transformers ({e.name} is missing)"
        raise TargetError(what, remedy="pip install 'trueline[train]', or give a served TARGET") from None
    local = load_local(text)

    def count(words: str) -> int:
        return len(local.tokenizer.encode(words, add_special_tokens=False))

    return Target(text, LocalChat(local, name=text), True, count, local.notes)


def open_target(text: str) -> Target:
    """Opens a TARGET. Raises `TargetError` with a remedy for what cannot be opened."""
    served = _served(text)
    if served is not None:
        return Target(text, served, False, None)
    if text.endswith((".yaml", ".yml")):
        path = Path(text)
        system = read_system(path)
        model = system.model
        if model.endswith((".yaml", ".yml")):
            what = f"model: got {model!r:.60}, expected a model: a system does not stand inside another"
            raise RunFileError(what, remedy="name the model that the other system uses", file=path, line=_line(path, "model"))
        if not model.startswith(("openai:", "anthropic:", "bundled:", "hf:")) and not Path(model).is_absolute():
            model = str(path.parent / model)
        inner = open_target(model)
        return Target(text, inner.chat, False, inner.count, inner.notes, system)
    if text.startswith(("hf:", "bundled:")) or Path(text).is_dir():
        return _local(text)
    forms = "a folder, hf:NAME, bundled:harbor, openai:MODEL@URL, anthropic:MODEL or a system.yaml"
    raise TargetError(f"cannot understand the TARGET {text!r}", remedy=f"give {forms}")


def notes_of(target: Target) -> tuple[str, ...]:
    """What a person should know about how the target is asked; a served one may show it only while it is asked."""
    return (*target.notes, *getattr(target.chat, "notes", ()))


def behind_prompt(target: Target, prompt: str, shots: tuple[Message, ...] = ()) -> ChatModel:
    """The target behind a system prompt and few-shot examples."""
    from trueline.models.system import SystemChat

    return SystemChat(target.chat, prompt, shots)


def sampling_of(system: SystemFile | None, temperature: float, max_tokens: int, seed: int) -> Sampling:
    """The sampling settings: a system's own, else those asked for."""
    if system is not None:
        return Sampling(temperature=system.temperature, max_tokens=system.max_tokens, seed=seed)
    return Sampling(temperature=temperature, max_tokens=max_tokens, seed=seed)
