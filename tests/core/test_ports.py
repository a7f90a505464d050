"""Ports: where a suffix goes, and the fake of a gradient search."""

import pytest

from trueline.charter.turns import Message
from trueline.core.ports import GradientSearch, ScriptedSearch, with_suffix
from trueline.errors import DataError


def test_a_suffix_stands_at_the_end_of_the_last_user_turn() -> None:
    talk = (Message("user", "a"), Message("assistant", "b"), Message("user", "c"), Message("assistant", "d"))
    assert [m.content for m in with_suffix(talk, " !x")] == ["a", "b", "c !x", "d"]
    with pytest.raises(DataError, match="user turn"):
        with_suffix((Message("system", "a"),), "x")


def test_the_fake_tries_its_suffixes_until_one_breaks() -> None:
    fake = ScriptedSearch([" a", " b", " c"])
    assert isinstance(fake, GradientSearch)
    found = fake.search((Message("user", "x"),), "Sure", steps=9, seed=0, done=lambda s: s == " b")
    assert (found.suffix, found.steps, found.losses) == (" b", 2, (1.0, 0.5))
    assert fake.search((Message("user", "x"),), "Yes", steps=1, seed=0).suffix == " a"
    assert fake.asked == ["Sure", "Yes"]
