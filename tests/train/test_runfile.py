"""Run files: the shipped ones are good, defaults are what the docs say, and what has no effect is an error with its line."""

from pathlib import Path

import pytest

from trueline.charter.shipped import CHARTERS
from trueline.errors import RunFileError
from trueline.train.runfile import DpoStage, PolicyStage, SearchStage, SftStage, beside, read_run_file

HEAD = "run: 1\ncharter: charter.yaml\nmodel: ./m\nout: o\n"


@pytest.mark.parametrize("name", ["run.yaml", "run.benign.yaml"])
def test_shipped_run_files_are_good_and_their_files_are_there(name: str) -> None:
    path = CHARTERS / "harbor_bank" / name
    run = read_run_file(path)
    assert run.model == "bundled:harbor"
    assert run.data.helpful is not None
    assert beside(path, run.data.helpful).exists()


def test_the_example_of_the_docs_is_read(tmp_path: Path) -> None:
    page = (Path(__file__).parents[2] / "docs" / "align.md").read_text()
    path = tmp_path / "run.yaml"
    path.write_text(page.split("```yaml\n")[1].split("```")[0])
    sft, dpo, grpo = read_run_file(path).stages
    assert isinstance(sft, SftStage)
    assert isinstance(dpo, DpoStage)
    assert dpo == DpoStage(method="dpo"), "the docs show the defaults"
    assert sft == SftStage(method="sft")
    assert grpo == PolicyStage(method="grpo")


def test_search_stands_alone(tmp_path: Path) -> None:
    path = tmp_path / "run.yaml"
    path.write_text(HEAD + "stages:\n  - {method: search}\n")
    assert read_run_file(path).stages == (SearchStage(method="search"),)
    path.write_text(HEAD + "stages:\n  - {method: search}\n  - {method: sft, mix: 0}\n")
    with pytest.raises(RunFileError, match="two run files"):
        read_run_file(path)


@pytest.mark.parametrize(
    ("stage", "word"),
    [
        ("{method: sft, mix: 0, lora: {r: 0}}", "r"),
        ("{method: sft, mix: 1}", "mix"),
        ("{method: sft, mix: 0, beta: 0.1}", "beta"),
        ("{method: dpo, beta: 0}", "beta"),
        ("{method: dpo, loss: kto}", "expected one of dpo"),
        ("{method: dpo, loss: simpo, label_smoothing: 0.1, gamma: -1}", "gamma"),
        ("{method: dpo, loss: ipo, label_smoothing: 0}", "label_smoothing has no effect on ipo"),
        ("{method: dpo, gamma: 1}", "gamma has no effect on dpo; remove it, or use simpo"),
        ("{method: dpo, loss: orpo, sft_weight: 1}", "sft_weight has no effect on orpo"),
        ("{method: dpo, margin_weight: 1}", "without data.preferences"),
        ("{method: dpo, beta: true}", "expected a number"),
        ("{method: dpo, desirable_weight: 1}", "desirable_weight"),
        ("{method: dpo, label_smoothing: 0.5}", "label_smoothing"),
        ("{method: dpo, temperature: hot}", "temperature"),
        ("{method: dpo, sample_from: end}", "sample_from"),
        ("{mix: 0}", "method"),
        *(
            (f"{{method: {method}, part_way: {share}}}", "part_way")
            for method in ("sft, mix: 0", "dpo", "grpo", "rloo", "ppo")
            for share in ("1", "0", "1.5", "-0.1", ".nan", "true", "half")
        ),
        ("{method: search, part_way: 0.5}", "part_way"),
    ],
)
def test_mistakes_of_a_stage_name_its_line(stage: str, word: str, tmp_path: Path) -> None:
    path = tmp_path / "run.yaml"
    path.write_text(HEAD + f"stages:\n  - {stage}\n")
    with pytest.raises(RunFileError) as e:
        read_run_file(path)
    assert word in str(e.value)
    assert "run.yaml:6" in str(e.value)
    assert "\n" not in str(e.value)


@pytest.mark.parametrize("value", [".inf", "1e400", "true", "-1", "0"])
def test_a_learning_rate_is_a_finite_number(value: str, tmp_path: Path) -> None:
    path = tmp_path / "run.yaml"
    path.write_text(HEAD + f"stages:\n  - {{method: sft, mix: 0, lr: {value}}}\n")
    with pytest.raises(RunFileError) as caught:
        read_run_file(path)
    assert caught.value.line == 6


def test_a_seed_is_no_truth(tmp_path: Path) -> None:
    path = tmp_path / "run.yaml"
    path.write_text(HEAD + "seed: true\nstages:\n  - {method: sft, mix: 0}\n")
    with pytest.raises(RunFileError, match="expected a number"):
        read_run_file(path)
