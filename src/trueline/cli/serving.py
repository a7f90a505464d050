"""What `trueline serve` puts together: the upstream behind the charter's prompt, the guard as the gateway wants it, the API keys."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trueline.core.chat import ChatModel, Sampling
from trueline.errors import GatewayError

if TYPE_CHECKING:
    from trueline.cli.engine_process import EngineProcess
    from trueline.cli.project import Project
    from trueline.cli.targets import SystemFile
    from trueline.core.guards import GuardPort
    from trueline.store.database import Store

UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0}


def seconds_of(text: str) -> float:
    """Seconds in `30s`, `5m`, `2h` or a bare number. Raises `GatewayError`."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)([smh]?)", text.strip())
    if found is None:
        raise GatewayError(f"{text!r} is no length of time", remedy="write it like 30s, 5m or 2h")
    return float(found[1]) * UNITS[found[2] or "s"]


@dataclass(frozen=True, slots=True)
class Upstream:
    """What answers: the model behind its prompt, its name on the wire, what decides its replies, and the process to end with us."""

    chat: ChatModel
    name: str
    identity: Mapping[str, Any]
    sampling: Sampling
    engine: EngineProcess | None
    left_out: tuple[str, ...]
    prompt: str


def model_of(text: str) -> tuple[str, SystemFile | None]:
    """(the model inside, the system.yaml if it is one) of a TARGET; a relative folder in a system.yaml is beside it."""
    from trueline.cli.targets import read_system

    if not text.endswith((".yaml", ".yml")):
        return text, None
    path = Path(text)
    system = read_system(path)
    inside = system.model
    if not inside.startswith(("openai:", "anthropic:", "bundled:", "hf:")) and not Path(inside).is_absolute():
        inside = str(path.parent / inside)
    return inside, system


def open_upstream(target: str, project: Project, *, name: str | None, budget: int | None, max_tokens: int) -> Upstream:
    """Opens the TARGET as `trueline serve` uses it: a served one through its URL, a local one in a process of its own.
    Raises `TargetError`, `ModelError`."""
    from trueline.charter.compile.prompt import compile_prompt
    from trueline.charter.compile.shots import few_shots
    from trueline.cli.project import tuned_of
    from trueline.cli.targets import open_target
    from trueline.models.openai_chat import OpenAIChat
    from trueline.models.system import SystemChat

    inside, system = model_of(target)
    engine: EngineProcess | None = None
    sampling = Sampling(max_tokens=system.max_tokens if system else max_tokens, temperature=system.temperature if system else 0.0)
    charter = project.loaded.charter
    if inside.startswith(("openai:", "anthropic:")):
        chat = open_target(inside).chat
        context = None
    else:
        from trueline.cli.engine_process import EngineProcess

        engine = EngineProcess(inside, max_tokens=sampling.max_tokens, temperature=sampling.temperature)
        engine.start()
        chat = OpenAIChat(str(engine.ready["model"]), engine.url)
        context = _context(engine.url)
    budget = system.prompt_budget if system and system.prompt_budget else budget
    if budget is None and context is not None:
        budget = max(context // 2, 1)  # the other half is for the conversation
    compiled = compile_prompt(charter, budget=budget)
    prompt = compiled.text if system is None or system.prompt == "compiled" else "" if system.prompt == "none" else system.prompt
    shots = few_shots(charter, system.few_shots if system else 0)
    if system is not None and system.tuned is not None:
        tuned = tuned_of(Path(target), system)
        prompt, shots = tuned.text, tuned.shots
    behind = SystemChat(chat, prompt, shots)
    weights = {"weights": engine.ready.get("weights")} if engine else {}
    short = name or re.sub(r"^(openai|anthropic|bundled|hf):", "", inside).partition("@")[0].rstrip("/").rsplit("/", 1)[-1]
    return Upstream(behind, short, {**behind.identity(), **weights}, sampling, engine, compiled.left_out, prompt)


def _context(url: str) -> int | None:
    import httpx

    about = httpx.get(url.removesuffix("/v1") + "/health", timeout=30).json()
    found = about.get("context")
    return found if isinstance(found, int) and found > 0 else None


def open_guard(project: Project, prompt: str, wanted: bool) -> GuardPort:
    """The charter's guard, which also knows the prompt that must not leak; for a system that says `guard: false`, one that lets
    everything through (what is always held stays held)."""
    if not wanted:
        from trueline.core.guards import ScriptedGuard

        return ScriptedGuard()
    from trueline.guard.build import guard_for

    return guard_for(project.loaded.charter, project.probes, prompt=prompt)


def take_keys(store: Store, path: Path) -> int:
    """Registers the keys of a file (`NAME KEY [WAIT]` a line, `#` comments) and revokes those that are not in it any more.
    Raises `GatewayError` (file:line)."""
    from trueline.errors import StoreError
    from trueline.store import keys

    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as e:
        raise GatewayError(f"cannot read the keys ({e})", remedy="give a UTF-8 file", file=path) from None
    found: dict[str, tuple[str, float | None]] = {}
    for number, line in enumerate(lines, 1):
        words = line.partition("#")[0].split()
        if not words:
            continue
        if len(words) not in (2, 3) or words[0] in found:
            raise GatewayError("expected `NAME KEY [WAIT]` with each name once", remedy="mend this line", file=path, line=number)
        try:
            found[words[0]] = (words[1], seconds_of(words[2]) if len(words) == 3 else None)
        except GatewayError as e:
            raise GatewayError(e.what, remedy=e.remedy, file=path, line=number) from None
    if not found:
        raise GatewayError("there is no key in this file", remedy="write `NAME KEY` lines", file=path)
    for name, (secret, wait) in found.items():
        try:
            keys.put(store, name, secret, wait=wait)
        except StoreError as e:
            raise GatewayError(e.what, remedy=e.remedy, file=path) from None
    for key in keys.every(store):
        if key.name not in found and key.revoked is None:
            keys.revoke(store, key.name)
    return len(found)
