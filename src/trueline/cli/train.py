"""`trueline train METHOD`: one training stage. A method's module is imported when it is called; an option of another method is named as such."""

from __future__ import annotations

import importlib
from typing import Any, NoReturn

import click

from trueline.cli.processes import alone, together

# method -> (module with `<method>_command`, one line of help)
METHODS: dict[str, tuple[str, str]] = {
    "sft": ("train_sft", "on demonstrations"),
    "dpo": ("train_preference", "and its family, on preferences"),
    "kto": ("train_preference", "on labelled replies"),
    "reward": ("train_reward", "a reward model on preferences, rankings or ratings"),
    "constitution": ("constitution", "on critiques, revisions and preferences of a model itself"),
    "grpo": ("train_policy", "on rewards, replies to one prompt compared with each other"),
    "rloo": ("train_policy", "on rewards, a reply compared with the others to its prompt"),
    "ppo": ("train_policy", "on rewards, with a value model"),
}

TOGETHER = ("sft", "dpo", "kto", "reward", "grpo", "rloo", "ppo")  # what several processes can train


def _names(command: click.Command) -> set[str]:
    return {flag for p in command.params for flag in (*p.opts, *p.secondary_opts)}


class Methods(click.Group):
    """Knows the methods by name and loads the one that is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """All methods in order."""
        return list(METHODS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Imports the method's module."""
        if cmd_name not in METHODS:
            return None
        found = getattr(importlib.import_module(f"trueline.cli.{METHODS[cmd_name][0]}"), f"{cmd_name}_command")
        assert isinstance(found, click.Command)
        return found

    def resolve_command(self, ctx: click.Context, args: list[str]) -> tuple[str | None, click.Command | None, list[str]]:
        """As click's, with an error that says what is known."""
        from trueline.errors import RunFileError

        if args and not args[0].startswith("-") and args[0] not in METHODS:
            what = f"unknown method {args[0]!r}, expected one of {', '.join(METHODS)}"
            raise RunFileError(what, remedy="choose one of these")
        if args and args[0] in METHODS and args[0] not in TOGETHER:
            alone(f"train {args[0]}")
        return super().resolve_command(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        """Runs the method, in all processes that torchrun started."""
        try:
            with together():
                return super().invoke(ctx)
        except click.NoSuchOption as e:
            self._explain(ctx, e)

    def _explain(self, ctx: click.Context, e: click.NoSuchOption) -> NoReturn:
        from trueline.errors import RunFileError

        method = e.ctx.info_name if e.ctx is not None else None
        users = [m for m in METHODS if m != method and (c := self.get_command(ctx, m)) is not None and e.option_name in _names(c)]
        if not users:
            raise e
        raise RunFileError(f"{e.option_name} has no effect on {method}", remedy=f"remove it: it belongs to {', '.join(users)}") from None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Writes the list without importing any method."""
        with formatter.section("Methods"):
            formatter.write_dl([(name, line) for name, (_, line) in METHODS.items()])


@click.command(cls=Methods, help="Train one stage from a file to a model folder. The same command resumes an interrupted run.")
def command() -> None:
    """One training stage."""
