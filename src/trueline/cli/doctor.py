"""`trueline doctor`: what is wrong with this machine, its packages, the database, an upstream; each line with its remedy."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import click

from trueline.errors import TruelineError

State = Literal["ok", "note", "bad"]
BASE = (
    "click",
    "httpx",
    "jinja2",
    "numpy",
    "pydantic",
    "rich",
    "ruamel.yaml",
    "safetensors",
    "scipy",
    "sqlalchemy",
    "alembic",
    "starlette",
    "uvicorn",
)
TRAIN = ("torch", "transformers", "peft")
BAD = 69  # the exit code where something is bad


@dataclass(frozen=True, slots=True)
class Check:
    """One thing looked at. `note` is worth knowing, `bad` keeps Trueline from working."""

    name: str
    state: State
    found: str
    remedy: str = ""


def _version(package: str) -> str | None:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version(package)
    except PackageNotFoundError:
        return None


def python() -> Iterator[Check]:
    """The interpreter and the machine."""
    here = ".".join(str(n) for n in sys.version_info[:3])
    state: State = "ok" if sys.version_info >= (3, 11) else "bad"
    yield Check("python", state, here, "" if state == "ok" else "use Python 3.11 or newer")
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    yield Check("machine", "ok", f"{cores} cores")


def packages() -> Iterator[Check]:
    """What is installed."""
    for names, title, remedy in ((BASE, "packages", "pip install trueline"), (TRAIN, "training", "pip install 'trueline[train]'")):
        found = {n: _version(n) for n in names}
        missing = [n for n, v in found.items() if v is None]
        told = ", ".join(f"{n} {v}" for n, v in found.items() if v)
        if missing:
            yield Check(title, "bad" if names is BASE else "note", f"missing: {', '.join(missing)}", remedy)
        else:
            yield Check(title, "ok", told)


def torch() -> Iterator[Check]:
    """What local models run on."""
    if _version("torch") is None:
        yield Check("torch", "note", "not installed: only served models can be used", "pip install 'trueline[train]'")
        return
    try:
        import torch as t
    except (ImportError, OSError) as e:
        yield Check("torch", "bad", f"does not load: {e}", "install a build of torch for this machine")
        return
    where = f"cuda, {t.cuda.get_device_name(0)}" if t.cuda.is_available() else "cpu"
    yield Check("torch", "ok", f"{t.__version__} on {where}, {t.get_num_threads()} threads")


def shipped() -> Iterator[Check]:
    """The files that travel with the package."""
    from trueline.charter.parse import load_charter
    from trueline.charter.shipped import charter_path, names

    try:
        loaded = [load_charter(charter_path(f"bundled:{n}")).charter.name for n in names()]
    except TruelineError as e:
        yield Check("charters", "bad", str(e), "install the package again")
    else:
        yield Check("charters", "ok" if loaded else "bad", ", ".join(loaded) or "none", "" if loaded else "install the package again")
    root = charter_path("bundled:" + names()[0]).parents[2] if names() else Path()
    for kind, needed in (("models", "the rehearsal model"), ("graders", "the reply grader")):
        there = sorted(p.parent.name for p in (root / kind).glob("*/*.safetensors"))
        yield Check(kind, "ok" if there else "note", ", ".join(there) or f"{needed} is not in this installation")


def grader() -> Iterator[Check]:
    """Which tier of the reply grader serves here, and its measured error."""
    from trueline.evals.graders.reply import shipped_reply_grader

    try:
        found = shipped_reply_grader()
    except TruelineError as e:
        yield Check("grader", "bad", str(e), e.remedy)
        return
    se, sp = (found.card[k]["estimate"] for k in ("sensitivity", "specificity"))
    told = f"{found.name}: sensitivity {se:.1%}, specificity {sp:.1%} on human labels"
    yield Check("grader", "ok", told)


def folder() -> Iterator[Check]:
    """Whether runs can be written here, and how much room there is."""
    import shutil

    here = Path.cwd()
    free = shutil.disk_usage(here).free / 1e9
    if not os.access(here, os.W_OK):
        yield Check("folder", "bad", f"{here} cannot be written", "change to a folder of yours")
    else:
        yield Check("folder", "ok" if free > 1 else "note", f"{here}, {free:.1f} GB free", "" if free > 1 else "make room")


def database(where: str) -> Iterator[Check]:
    """Whether the database opens, in which form it is, and whether its log is whole. Changes nothing."""
    from trueline.store.database import open_store
    from trueline.store.log import verify
    from trueline.store.migrate import newest, revision

    if "://" not in where and not Path(where).exists():
        yield Check("database", "note", f"{where} is not there yet", "`trueline serve` makes it")
        return
    try:
        store = open_store(where, migrate=False)
        at = revision(store)
        if at != newest():
            yield Check(
                "database", "note", f"{store.url} has form {at}, this version writes {newest()}", "`trueline serve` brings it forward"
            )
            return
        chain = verify(store)
        store.close()
    except TruelineError as e:
        yield Check("database", "bad", str(e), e.remedy)
        return
    if chain.broken_at is not None:
        yield Check(
            "database", "bad", f"the decision log is broken: {chain.reason}", "keep this file as it is and tell who is responsible for it"
        )
    else:
        yield Check("database", "ok", f"{store.url}, form {at}, log whole with {chain.entries} entries")


def upstream(target: str) -> Iterator[Check]:
    """Asks a TARGET for one short reply."""
    import asyncio
    import time

    from trueline.charter.turns import Message
    from trueline.cli.targets import open_target
    from trueline.core.chat import ChatRequest, Sampling

    async def once() -> str:
        chat = open_target(target).chat
        try:
            reply = await chat.reply(ChatRequest((Message("user", "Say hello."),), Sampling(max_tokens=8)))
        finally:
            await chat.close()
        return reply.model or target

    begun = time.monotonic()
    try:
        model = asyncio.run(once())
    except TruelineError as e:
        yield Check("upstream", "bad", str(e), e.remedy)
    else:
        yield Check("upstream", "ok", f"{model} answered in {time.monotonic() - begun:.1f} s")


@click.command(help="Look for what is wrong with this machine, the packages, the database and a served model.")
@click.option("--db", default="trueline.db", show_default=True, help="Database to look at: a file or a URL.")
@click.option("--upstream", "target", help="A TARGET to ask for one short reply.")
@click.option("--json", "as_json", is_flag=True, help="Print the checks as JSON.")
def command(db: str, target: str | None, as_json: bool) -> int:
    """Runs every check; exit 0 where nothing is bad, 69 otherwise."""
    import json

    looks: list[Callable[[], Iterator[Check]]] = [python, packages, torch, shipped, grader, folder, lambda: database(db)]
    if target:
        looks.append(lambda: upstream(target))
    checks = [c for look in looks for c in look()]
    if as_json:
        click.echo(json.dumps({"ok": all(c.state != "bad" for c in checks), "checks": [asdict(c) for c in checks]}, ensure_ascii=False))
    else:
        for c in checks:
            click.echo(f"{c.state:5s} {c.name:10s} {c.found}" + (f"  ->  {c.remedy}" if c.remedy else ""))
    return BAD if any(c.state == "bad" for c in checks) else 0
