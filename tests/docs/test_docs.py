"""The docs are true: the command reference is current, the README's commands exist, its links lead somewhere."""

import re
import shlex
from pathlib import Path

import click
import pytest

from trueline.cli.main import VERBS, root

TOP = Path(__file__).parent.parent.parent
PAGES = sorted([TOP / "README.md", *TOP.glob("docs/*.md"), *TOP.glob("recipes/**/README.md")])


def commands_in(page: Path) -> list[list[str]]:
    """Every `trueline ...` line of the page's code blocks, as words."""
    found = []
    for block in re.findall(r"```(?:bash|text|console|sh)\n(.*?)```", page.read_text(), flags=re.DOTALL):
        for line in block.splitlines():
            bare = re.sub(r"\s(#|   ).*$", "", line.strip().removeprefix("$ "))
            bare = re.sub(r"^(\S*/)?trueline ", "trueline ", bare)
            if bare.startswith("trueline "):
                found.append(shlex.split(bare))
    return found


def test_command_reference_is_current() -> None:
    from trueline.cli.reference import reference

    assert (TOP / "docs" / "cli.md").read_text() == reference(), "run `python -m trueline.cli.reference > docs/cli.md`"


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(TOP)))
def test_commands_in_docs_exist_with_their_options(page: Path) -> None:
    for words in commands_in(page):
        command: click.Command | None = root
        rest = words[1:]
        while isinstance(command, click.Group) and rest and not rest[0].startswith("-"):
            command, rest = command.get_command(click.Context(command), rest[0]), rest[1:]
            assert command is not None, f"{page.name}: no such verb in {' '.join(words)!r}"
        assert command is not None
        known = {flag for p in command.params if isinstance(p, click.Option) for flag in [*p.opts, *p.secondary_opts]}
        for flag in (w.split("=")[0] for w in rest if w.startswith("-")):
            assert flag in known | {"--help", "--version"}, f"{page.name}: {flag} is no option of {' '.join(words)!r}"


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(TOP)))
def test_links_lead_somewhere(page: Path) -> None:
    for link in re.findall(r"\]\(([^)#\s]+)\)", page.read_text()):
        if "://" not in link:
            assert (page.parent / link).exists(), f"{page.name} links to {link}, which is not there"


def test_every_verb_is_in_the_readme_or_in_docs() -> None:
    text = "\n".join(p.read_text() for p in PAGES)
    for verb in VERBS:
        assert f"trueline {verb}" in text, f"no page shows `trueline {verb}`"
