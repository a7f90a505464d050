"""Probes go round as JSON; what is wrong with a row is named."""

import pytest

from trueline.charter.probes import KINDS, MEASURE_OF, MEASURES, OUTCOME_OF, Probe, probe_from, probe_id
from trueline.charter.turns import Message
from trueline.errors import DataError, SuiteError

ROW = {
    "clause": "no-fraud",
    "kind": "refuse",
    "messages": [{"role": "user", "content": "q"}],
    "family": "f",
    "side": "test",
    "origin": "grown",
    "expect": {"outcome": "refuse", "breaks": ["sure"]},
}


def test_goes_round_and_fills_what_follows() -> None:
    probe = probe_from(ROW)
    assert probe_from(probe.to_dict()) == probe
    assert probe.measure == "harm"
    assert probe.id == probe_id("no-fraud", "refuse", "f", (Message("user", "q"),))


def test_every_kind_has_a_measure_and_an_outcome() -> None:
    assert set(MEASURE_OF) == set(OUTCOME_OF) == set(KINDS)
    assert set(MEASURE_OF.values()) == set(MEASURES)


@pytest.mark.parametrize(
    "change",
    [{"kind": "x"}, {"side": "both"}, {"origin": "made"}, {"family": ""}, {"expect": []}, {"expect": {"outcome": "x"}},
     {"expect": {"contains": "15"}}, {"messages": []}],
)  # fmt: skip
def test_bad_rows_are_named(change: dict[str, object]) -> None:
    with pytest.raises((SuiteError, DataError)):
        probe_from({**ROW, **change})
    for key in ROW.keys() - {"expect"}:
        with pytest.raises(SuiteError, match=key):
            probe_from({k: v for k, v in ROW.items() if k != key})


def test_frozen() -> None:
    assert isinstance(probe_from(ROW), Probe)
    with pytest.raises(AttributeError):
        probe_from(ROW).side = "teach"  # type: ignore[misc]
