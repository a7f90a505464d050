"""The page of preference losses is the table of the code: every loss with its formula, score, options and source."""

from pathlib import Path

import pytest

from trueline.algos.losses.preference import LOSSES, PairedLoss, UnpairedLoss
from trueline.cli.train_preference import PAIRED, UNPAIRED

TOP = Path(__file__).parents[2]


def row(name: str, loss: PairedLoss | UnpairedLoss) -> str:
    """The line of the page."""
    score = ("over the reference" if loss.reference else "no reference") + (", per token" if loss.per_token else "")
    options = ", ".join(f"`{k}` ({v:g})" for k, v in loss.defaults.items())
    return f"| `{name}` | {loss.formula} | {score} | {options} | {loss.source} |"


@pytest.mark.parametrize("name", list(LOSSES))
def test_every_loss_stands_in_the_page_as_it_is(name: str) -> None:
    assert row(name, LOSSES[name]) in (TOP / "docs" / "preferences.md").read_text().split("\n")


def test_the_command_names_every_loss_and_option() -> None:
    """Its help is written by hand, so that `--help` need not load torch."""
    page = (TOP / "docs" / "cli.md").read_text()
    lines = " ".join(x for x in page.split("\n") if x.startswith("| `--loss TEXT`"))
    assert all(name in lines for name in LOSSES)
    used = {option for loss in LOSSES.values() for option in loss.defaults}
    assert used == {*PAIRED, *UNPAIRED}
    for option in used:
        assert f"`--{option.replace('_', '-')} " in page
