"""What ships is whole: two charters of different trades, templates that load, and a schema for editors that is current."""

import json
import re
from pathlib import Path

import jsonschema
import pytest
from ruamel.yaml import YAML

from trueline.charter.lint import holes
from trueline.charter.parse import load_charter
from trueline.charter.probe_files import probes_beside, read_probes
from trueline.charter.schema_json import json_schema
from trueline.charter.shipped import charter_path, names
from trueline.errors import CharterError

TOP = Path(__file__).parents[2]
TEMPLATES = TOP / "src/trueline/shipped/templates"
BANK_WORDS = r"\b(bank\w*|loans?|mortgages?|overdraft|accounts?|cards?|transfers?|invest\w*|interest rate|savings|credit)\b"
FILES = [*(charter_path(f"bundled:{n}") for n in names()), TEMPLATES / "charter.yaml"]


def test_two_trades_ship() -> None:
    assert set(names()) >= {"harbor_bank", "hospital_desk"}
    with pytest.raises(CharterError, match="bundled:hospital_desk"):
        charter_path("bundled:none")


def test_the_hospital_is_no_bank() -> None:
    path = charter_path("bundled:hospital_desk")
    loaded = load_charter(path)
    assert sum(1 for _ in loaded.charter.clauses()) >= 25
    assert re.findall(BANK_WORDS, path.read_text(), flags=re.IGNORECASE) == []
    assert re.findall(BANK_WORDS, charter_path("bundled:harbor_bank").read_text(), flags=re.IGNORECASE), "the words would find a bank"
    emergency = next(p for p in loaded.charter.principles if p.id == "emergencies-to-112")
    assert "112" in emergency.refuse_with, "an emergency is answered at once, never held"


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.parent.name)
def test_the_only_holes_are_grown_probes(path: Path) -> None:
    loaded = load_charter(path)
    found = holes(loaded, read_probes(probes_beside(path)))
    assert {h.what for h in found if "grown probe" not in h.what} == set()


def test_harbor_has_no_hole() -> None:
    path = charter_path("bundled:harbor_bank")
    assert holes(load_charter(path), read_probes(probes_beside(path))) == ()


def test_published_schema_is_current() -> None:
    published = (TOP / "docs/charter.schema.json").read_text()
    assert published == json_schema(), "run `python -m trueline.charter.schema_json > docs/charter.schema.json`"


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.parent.name)
def test_schema_accepts_what_loads_and_refuses_what_does_not(path: Path) -> None:
    schema = json.loads(json_schema())
    value = YAML(typ="safe").load(path.read_text())
    jsonschema.validate(value, schema)
    for change in ({"purpos": "x"}, {"trueline": 2}, {"principles": [{"id": "Not An Id"}]}, {"gate": {"caps": {"harm": 5}}}):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate({**value, **change}, schema)
