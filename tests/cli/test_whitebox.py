"""White-box attacks open on local weights only."""

from pathlib import Path

import pytest

from trueline.cli.targets import open_target
from trueline.cli.whitebox import open_gradient_search
from trueline.core.ports import GradientSearch
from trueline.engine.tiny import tiny_model
from trueline.errors import TargetError


def test_a_served_model_is_refused() -> None:
    with pytest.raises(TargetError, match="white-box attacks need local weights"):
        open_gradient_search(open_target("openai:some@http://127.0.0.1:9/v1"))


def test_a_folder_and_a_system_round_it_open(tmp_path: Path) -> None:
    folder = tiny_model("llama", tmp_path / "model")
    assert isinstance(open_gradient_search(open_target(str(folder))), GradientSearch)
    system = tmp_path / "system.yaml"
    system.write_text("system: 1\nmodel: model\ncharter: bundled:harbor_bank\n")
    assert isinstance(open_gradient_search(open_target(str(system))), GradientSearch)
