"""`trueline serve TARGET`: the gateway and the console over one model, behind its charter."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    import socket
    from collections.abc import Sequence

    from starlette.applications import Starlette

    from trueline.cli.serving import Upstream
    from trueline.gateway.config import GatewayConfig


@click.command(help="Serve TARGET (or a system.yaml) behind its charter: an OpenAI-compatible gateway, its guard, holds and the console.")
@click.argument("target")
@click.option("--charter", "-c", help="Charter file or bundled:NAME (a system.yaml names its own).")
@click.option("--probes", type=click.Path(path_type=Path), help="Probes that teach the guard (default: probes.jsonl beside the charter).")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", default=8400, show_default=True, type=click.IntRange(0, 65535), help="Port to listen on; 0 takes a free one.")
@click.option("--db", default="trueline.db", show_default=True, help="Database: a file, or a postgresql+psycopg:// URL.")
@click.option("--wait", default="30s", show_default=True, help="How long a held request waits for a decision (30s, 5m).")
@click.option("--key-file", type=click.Path(path_type=Path), help="API keys, `NAME KEY [WAIT]` a line; with it a key is required.")
@click.option(
    "--reviewers",
    type=click.Path(path_type=Path),
    help="Reviewers, `NAME TOKEN ROLE[:LAST-DAY][,ROLE]` a line (default: one is made and shown).",
)
@click.option("--name", help="The model's name on the wire (default: taken from TARGET).")
@click.option(
    "--prompt-budget", type=click.IntRange(1), help="Tokens of the compiled prompt (default: all, or half of a local model's context)."
)
@click.option("--max-tokens", default=256, show_default=True, type=click.IntRange(1), help="Longest reply where a request is silent.")
@click.option("--no-console", is_flag=True, help="Serve the API without the console.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON line on stdout when it is ready.")
def command(
    target: str, charter: str | None, probes: Path | None, host: str, port: int, db: str, wait: str, key_file: Path | None, reviewers: Path | None,
    name: str | None, prompt_budget: int | None, max_tokens: int, no_console: bool, as_json: bool,
) -> int:  # fmt: skip
    """Wires upstream, guard, store, gateway and console, and serves until it is told to end."""
    import asyncio

    from trueline.cli.project import open_project
    from trueline.cli.serving import model_of, open_guard, open_upstream, seconds_of, take_keys
    from trueline.errors import GatewayError
    from trueline.gateway.app import build_app
    from trueline.gateway.config import config_for
    from trueline.store.database import open_store

    seconds = seconds_of(wait)
    _, system = model_of(target)
    named = charter or (
        str(Path(target).parent / system.charter) if system and ":" not in system.charter else system.charter if system else None
    )
    if named is None:
        raise GatewayError("which charter?", remedy="give --charter FILE or --charter bundled:NAME")
    project = open_project(named, probes)
    bound = listen(host, port)
    store = open_store(db)
    if key_file is not None:
        take_keys(store, key_file)
    upstream = open_upstream(target, project, name=name, budget=prompt_budget, max_tokens=max_tokens)
    try:
        guard = open_guard(project, upstream.prompt, system is None or system.guard)
        config = config_for(
            project.loaded.charter, project.loaded.digest, upstream.name, identity=upstream.identity, sampling=upstream.sampling,
            wait=seconds, keys_required=key_file is not None,
        )  # fmt: skip
        url = f"http://{host}:{bound.getsockname()[1]}"
        pages: Sequence[Any] = ()
        console: dict[str, str] = {}
        if not no_console:
            from trueline.cli.console import console_pages
            from trueline.gateway.answering import Answering

            pages, console = console_pages(Answering(config, upstream.chat, guard, store), project, url, reviewers)
        app = build_app(config, upstream.chat, guard, store, pages=pages)
        asyncio.run(_serve(app, bound, lambda: announce(url, config, upstream, db, console, as_json)))
    finally:
        if upstream.engine is not None:
            upstream.engine.stop()
        store.close()
    return 0


def listen(host: str, port: int) -> socket.socket:
    """A socket on this address, bound before anything slow is started. Raises `GatewayError`."""
    import socket

    from trueline.errors import GatewayError

    bound = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bound.bind((host, port))
    except OSError as e:
        bound.close()
        raise GatewayError(f"cannot listen on {host}:{port}: {e.strerror}", remedy="choose another --port, or 0 for a free one") from None
    return bound


async def _serve(app: Starlette, bound: socket.socket, ready: Any) -> None:
    import asyncio
    import signal

    import uvicorn

    # uvicorn ends at these signals and then raises them once more, which would skip our own ending (engine, database)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: None)
    # requests that wait for a person do not keep a gateway from ending: their holds are in the database
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning", access_log=False, timeout_graceful_shutdown=2))
    task = asyncio.create_task(server.serve(sockets=[bound]))
    while not server.started and not task.done():
        await asyncio.sleep(0.02)
    if not task.done():
        ready()
    await task


def announce(url: str, config: GatewayConfig, upstream: Upstream, db: str, console: dict[str, str], as_json: bool) -> None:
    """Says where everything is and how to try it; as one JSON line for a program."""
    import json
    import os

    engine = {"engine_pid": upstream.engine.pid, "engine": upstream.engine.url} if upstream.engine else {}
    about = {
        "ready": True,
        "url": f"{url}/v1",
        "model": config.name,
        "charter": config.charter,
        "db": db,
        "pid": os.getpid(),
        **console,
        **engine,
    }
    if as_json:
        click.echo(json.dumps(about))
        return
    click.echo(f"gateway   {url}/v1   model {config.name}   (held requests wait {config.wait:g} s)")
    for what, where in console.items():
        click.echo(f"{what:9s} {where}")
    if upstream.left_out:
        click.echo(f"note: no room in the prompt for: {', '.join(upstream.left_out)}", err=True)
    ask = json.dumps({"model": config.name, "messages": [{"role": "user", "content": "How much is a wire transfer?"}]})
    click.echo(f"try       curl {url}/v1/chat/completions -H 'content-type: application/json' -d '{ask}'")
    click.echo("end it with Ctrl-C")
