"""Broken inputs through the public commands: a clear error of one line, or a row left out and counted; never silence.

Each case stands in docs/broken-inputs.md with what Trueline says to it; `python -m tests.train.test_broken_inputs` prints that table.
"""

from __future__ import annotations

import json
import resource
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.train.broken import Case, Place
from tests.train.broken_models import CHECKPOINTS, MODELS, TOKENIZERS
from tests.train.broken_rows import ROWS
from tests.train.broken_runs import OPTIONS, PLACES, REWARDS
from trueline.cli.main import run
from trueline.train import loop

PAGE = Path(__file__).parents[2] / "docs" / "broken-inputs.md"
PARTS = {
    "Rows and files": ROWS,
    "Models": MODELS,
    "Tokenizers and templates": TOKENIZERS,
    "Checkpoints and caches": CHECKPOINTS,
    "Options": OPTIONS,
    "Rewards and constitutions": REWARDS,
    "Places": PLACES,
}
NAMED = [(name, case) for part in PARTS.values() for name, case in part.items()]


def table(part: dict[str, Case]) -> str:
    return "\n".join(["| input | exit | what Trueline says |", "|---|---|---|", *(case.row(name) for name, case in part.items())])


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A place with good inputs, made once."""
    at, threads = tmp_path_factory.mktemp("good"), torch.get_num_threads()
    torch.set_num_threads(1)  # these models are so small that threads only wait for each other
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(at / "cache"))
        Place.good(at)
        yield at
    torch.set_num_threads(threads)


@contextmanager
def at_most(size: int | None) -> Iterator[None]:
    """Inside, no file can be longer: what a full disk does."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft if size is None else size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def errors(said: str, method: str) -> list[str]:
    """What stands on stderr besides the lines in which a method tells what it is about to do."""
    return [line for line in said.splitlines() if not line.startswith(f"{method}: ")]


def one_line(said: str, method: str, words: str) -> None:
    (line,) = errors(said, method)
    assert line.startswith("error: ")
    assert words in line
    assert "; " in line or "--help`" in line, f"no remedy in {line!r}"


def as_told(found: dict[str, Any], told: dict[str, str | int]) -> None:
    for key, value in told.items():
        got = found[key]
        if isinstance(value, str):
            assert value in str(got), f"{key} is {got!r}"
        else:
            assert (len(got) if isinstance(got, list) else got) == value, f"{key} is {got!r}"


def made(place: Place) -> dict[Path, int]:
    """What a finished run leaves, and when it was written."""
    return {p: p.stat().st_mtime_ns for kind in ("*.safetensors", "train.json") for p in place.at.rglob(kind)}


@pytest.mark.parametrize("case", [pytest.param(case, id=name) for name, case in NAMED])
def test_a_broken_input(case: Case, good: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    place = Place(shutil.copytree(good, tmp_path / "p"))
    words = [*case.make(place), "--json"]
    out = Path(words[words.index("--out") + 1]) if "--out" in words else place / "o"
    before = made(place)
    capfd.readouterr()
    if "checkpoint" in case.words and case.limit is not None:
        monkeypatch.setattr(loop, "SAVE_SECONDS", -1.0)
    with at_most(case.limit):
        code = run(words)
    said = capfd.readouterr()
    assert code == case.code, said.err
    if code == 0:
        assert errors(said.err, words[1]) == []
        found = json.loads(said.out.splitlines()[-1])
        as_told(found, dict(case.told))
        assert json.loads((out / "train.json").read_text()).items() >= {k: found[k] for k in case.told}.items()
        assert any(word in found for word in ("rows", "steps"))
        return
    one_line(said.err, words[1], case.words)
    assert made(place) == before, "something that looks like a finished run was written, or a model that was read changed"


def test_the_page_has_all_cases_and_what_is_said() -> None:
    assert len(NAMED) > 120
    assert len({name for name, _ in NAMED}) == len({case.make for _, case in NAMED}) == len(NAMED)
    page = PAGE.read_text()
    for title, part in PARTS.items():
        assert f"## {title}\n\n{table(part)}\n" in page, f"{title}: run `python -m tests.train.test_broken_inputs` and put its table here"


if __name__ == "__main__":
    print("\n".join(f"## {title}\n\n{table(part)}\n" for title, part in PARTS.items()))
