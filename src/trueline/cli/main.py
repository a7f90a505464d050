"""The root command. Each verb's module is imported only when it is called, so that `trueline --help` stays fast."""

from __future__ import annotations

import importlib
import json
import sys
from io import TextIOWrapper
from typing import Any

import click

from trueline import __version__
from trueline.cli.processes import alone
from trueline.errors import TruelineError

# verb -> (module with `command`, one line of help). The order is the order of the loop.
VERBS: dict[str, tuple[str, str]] = {
    "demo": ("demo", "the whole loop on the rehearsal model and its charter"),
    "init": ("init", "a new project: charter, run file, CI workflow"),
    "check": ("check", "lint a charter; show what it compiles to and its holes"),
    "probes": ("probes", "grow, accept and list probes and demonstrations"),
    "plan": ("plan", "probes, cost and smallest detectable regression, before spending anything"),
    "eval": ("eval", "run the suite on a TARGET"),
    "redteam": ("redteam", "attack a TARGET"),
    "gate": ("gate", "decide whether a candidate may be released"),
    "compare": ("compare", "a scorecard across TARGETs"),
    "align": ("align", "train (or search the prompt) by stages, evaluate before and after, gate"),
    "train": ("train", "one training stage"),
    "serve": ("serve", "the gateway and the console"),
    "incidents": ("incidents", "bring in what other scanners found"),
    "ratings": ("ratings", "import, export and agreement of human ratings"),
    "report": ("report", "the clause matrix and the HTML report of a run"),
    "doctor": ("doctor", "what is wrong with this machine, upstream, database"),
}


class LazyVerbs(click.Group):
    """Knows the verbs by name and loads the one that is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """All verbs in the order of the loop."""
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Imports the verb's module."""
        if cmd_name not in VERBS:
            return None
        if cmd_name != "train":
            alone(cmd_name)
        module = importlib.import_module(f"trueline.cli.{VERBS[cmd_name][0]}")
        found = module.command
        assert isinstance(found, click.Command)
        return found

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Writes the list without importing any verb."""
        with formatter.section("Verbs"):
            formatter.write_dl([(name, line) for name, (_, line) in VERBS.items()])


@click.group(cls=LazyVerbs, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="trueline")
def root() -> None:
    """Keeps a language model true to a written charter: train, measure, gate, guard, review."""


def _fail(text: str, code: int, as_json: bool) -> int:
    if as_json:
        click.echo(json.dumps({"error": text, "exit": code}, ensure_ascii=False))
    click.echo(f"error: {text}", err=True)
    return code


def run(args: list[str]) -> int:
    """Runs one command line and returns its exit code. Wrong input is one line on stderr, never a traceback."""
    as_json = "--json" in args
    try:
        result: Any = root.main(args=args, prog_name="trueline", standalone_mode=False)
        return result if isinstance(result, int) else 0
    except click.exceptions.Exit as e:
        return e.exit_code
    except click.Abort:
        return _fail("interrupted; the same command resumes where it stopped", 130, as_json)
    except click.exceptions.NoArgsIsHelpError as e:
        click.echo(e.format_message(), err=True)  # a verb of several parts without one: its help, which is no error message
        return 64
    except click.ClickException as e:
        usage = f" (see `{e.ctx.command_path} --help`)" if isinstance(e, click.UsageError) and e.ctx else ""
        return _fail(e.format_message() + usage, 64, as_json)
    except TruelineError as e:
        return _fail(str(e), e.exit_code, as_json)
    except KeyboardInterrupt:
        return _fail("interrupted; the same command resumes where it stopped", 130, as_json)
    except BrokenPipeError:
        sys.stderr.close()
        return 0
    except OSError as e:
        place = e.filename2 or e.filename
        where = f"{place}: " if place is not None else ""
        return _fail(f"{where}cannot be read or written ({e.strerror or e}); check the path, its rights and the free space", 74, as_json)


def main() -> None:
    """The console script. What a narrow terminal cannot show is shown as a question mark, instead of ending the run."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="replace")
    sys.exit(run(sys.argv[1:]))
