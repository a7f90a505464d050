"""Writes `docs/cli.md`: every verb, argument and option, taken from the commands themselves."""

from __future__ import annotations

from collections.abc import Iterator

import click

from trueline.cli.main import VERBS, root


def _sections(name: str, command: click.Command) -> Iterator[str]:
    yield f"## `{name}`\n"
    yield " ".join((command.help or "").split()) + "\n"
    rows = [(p, p.get_help_record(click.Context(command, info_name=name))) for p in command.params]
    arguments = [p.human_readable_name for p, record in rows if record is None]
    if arguments:
        yield "Arguments: " + ", ".join(f"`{a}`" for a in arguments) + "\n"
    options = [record for _, record in rows if record is not None]
    if options:
        yield "| option | meaning |\n|---|---|"
        for flags, text in options:
            yield f"| `{flags}` | {' '.join(text.split()).replace('|', chr(92) + '|')} |"
        yield ""
    if isinstance(command, click.Group):
        context = click.Context(command)
        for sub in command.list_commands(context):
            child = command.get_command(context, sub)
            assert child is not None
            yield from _sections(f"{name} {sub}", child)


def reference() -> str:
    """The whole page as Markdown."""
    parts = [
        "# Command line\n",
        "Made by `python -m trueline.cli.reference > docs/cli.md`; a test holds it current.\n",
        "Exit codes: 0 fine; 64 wrong usage or bad input; 69 a served model is not to be reached; 70 a model or a training"
        " failed; 74 a file or the database cannot be read or written; 130 interrupted. `gate`: 0 PASS, 1 FAIL, 2 INCONCLUSIVE, 3 INVALID.\n",
    ]
    for verb in VERBS:
        command = root.get_command(click.Context(root), verb)
        assert command is not None
        parts.extend(_sections(f"trueline {verb}", command))
    return "\n".join(parts).rstrip() + "\n"


if __name__ == "__main__":
    click.echo(reference(), nl=False)
