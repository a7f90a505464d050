"""The digest is the charter's version: what it says decides it, and nothing else does."""

import random
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from ruamel.yaml import YAML

from trueline.charter.canonical import canonical_form, charter_digest
from trueline.charter.parse import load_charter
from trueline.charter.schema import Charter
from trueline.charter.shipped import charter_path

TEMPLATE = Path(__file__).parents[2] / "src/trueline/shipped/templates/charter.yaml"
LOADED = load_charter(TEMPLATE)
VALUE: dict[str, Any] = YAML(typ="safe").load(TEMPLATE.read_text())


def reordered(value: Any, source: random.Random) -> Any:
    """Every mapping with its keys in another order; lists, whose order is meaning, as they are."""
    if isinstance(value, dict):
        keys = source.sample(list(value), len(value))
        return {k: reordered(value[k], source) for k in keys}
    return [reordered(v, source) for v in value] if isinstance(value, list) else value


def with_comments(text: str, source: random.Random) -> str:
    out = []
    for line in text.splitlines():
        if source.random() < 0.3:
            out.append(" " * source.randrange(6) + "# a remark")
        if source.random() < 0.1:
            out.append("")
        out.append(line + " " * source.randrange(3))
    return "\n".join(out) + "\n"


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 10_000), flow=st.booleans(), width=st.integers(60, 200))
def test_order_of_keys_comments_and_layout_do_not_count(seed: int, flow: bool, width: int, tmp_path: Path) -> None:
    source = random.Random(seed)
    writer = YAML()
    writer.default_flow_style, writer.width = flow, width if flow else 4096  # a comment may not stand inside a folded text
    path = tmp_path / "charter.yaml"
    with path.open("w") as f:
        writer.dump(reordered(VALUE, source), f)
    path.write_text(with_comments(path.read_text(), source) if not flow else path.read_text())
    assert load_charter(path).digest == LOADED.digest


TEXTS = [
    ("name",),
    ("purpose",),
    ("scope", "outside", "reply"),
    ("principles", 0, "rule"),
    ("high_stakes", 0, "examples", 1),
    ("voice", 0, "rule"),
]


@pytest.mark.parametrize("at", TEXTS, ids=lambda at: ".".join(map(str, at)))
def test_every_word_counts(at: tuple[str | int, ...]) -> None:
    value = canonical_form(LOADED.charter)
    part: Any = value
    for step in at[:-1]:
        part = part[step]
    part[at[-1]] += " indeed"
    assert charter_digest(Charter.model_validate(value)) != LOADED.digest


def test_order_of_lists_counts() -> None:
    value = canonical_form(LOADED.charter)
    value["principles"][0]["ask"]["refuse"].reverse()
    assert charter_digest(Charter.model_validate(value)) != LOADED.digest


@pytest.mark.parametrize("name", ["bundled:harbor_bank", "bundled:hospital_desk"])
def test_canonical_form_goes_round(name: str) -> None:
    loaded = load_charter(charter_path(name))
    again = Charter.model_validate(canonical_form(loaded.charter))
    assert again == loaded.charter
    assert charter_digest(again) == loaded.digest


def test_lines_point_at_the_clauses() -> None:
    lines = TEMPLATE.read_text().splitlines()
    for clause in LOADED.charter.clauses():
        assert f"id: {clause.id}" in lines[LOADED.lines[clause.id] - 1]
