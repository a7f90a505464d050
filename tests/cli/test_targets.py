"""TARGET strings: each form, and one line for each way to write it wrongly."""

from pathlib import Path

import pytest

from trueline.cli.targets import open_target, sampling_of
from trueline.errors import TruelineError


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("openai:gpt-x", "openai:gpt-x@https://api.openai.com/v1"),
        ("openai:org/model:free@http://h:1/v1", "openai:org/model:free@http://h:1/v1"),
        ("anthropic:claude@2025@https://h/v1", "anthropic:claude@2025@https://h"),
        ("anthropic:claude-x", "anthropic:claude-x@https://api.anthropic.com"),
    ],
)
def test_served_targets(text: str, name: str) -> None:
    target = open_target(text)
    assert target.chat.name == name
    assert not target.trainable


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("openai:", "names no model"),
        ("openai:@http://h/v1", "names no model"),
        ("openai:m@ftp://h/v1", "is no URL"),
        ("openai:m@", "is no URL"),
        ("openai:m@http:///v1", "names no host"),
        ("openai:m@http://me:hunter2@h/v1", "put the key into OPENAI_API_KEY"),
        ("anthropic:m@https://h/v1?key=hunter2", "put the key into ANTHROPIC_API_KEY"),
        ("gpt-x", "cannot understand the TARGET"),
        ("./nowhere", "cannot understand the TARGET"),
        ("nowhere.yaml", "nowhere.yaml"),
    ],
)
def test_wrong_targets_are_one_line_without_secrets(text: str, said: str) -> None:
    with pytest.raises(TruelineError, match=said) as caught:
        open_target(text)
    assert "hunter2" not in str(caught.value)
    assert "\n" not in str(caught.value)
    assert caught.value.exit_code == 64


def test_a_system_file_stands_in_for_a_target(tmp_path: Path) -> None:
    path = tmp_path / "system.yaml"
    path.write_text("system: 1\nmodel: openai:m@http://h/v1\ncharter: bundled:harbor_bank\ntemperature: 0.5\nfew_shots: 2\n")
    target = open_target(str(path))
    assert target.system is not None
    assert target.chat.name == "openai:m@http://h/v1"
    drawn = sampling_of(target.system, temperature=0.0, max_tokens=9, seed=4)
    assert (drawn.temperature, drawn.max_tokens, drawn.seed) == (0.5, 128, 4)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("system: 2\nmodel: m\ncharter: c\n", 1),
        ("system: 1\nmodel: m\ncharter: c\nfew_shots: many\n", 4),
        ("system: 1\nmodel: m\ncharter: c\ntemprature: 1\n", 4),
        ("system: 1\ncharter: c\n", 1),
    ],
)
def test_a_wrong_system_file_names_the_line(tmp_path: Path, text: str, line: int) -> None:
    path = tmp_path / "system.yaml"
    path.write_text(text)
    with pytest.raises(TruelineError) as caught:
        open_target(str(path))
    assert f"system.yaml:{line}" in str(caught.value)
