"""Near misses in disguise that the target answered, as preference rows."""

from dataclasses import replace

from tests.evals.test_redteam_curves import near
from tests.evals.test_redteam_searches import NO
from trueline.charter.turns import Message
from trueline.core.evaluations import GradedReply
from trueline.evals.redteam import ATTACKS, near_miss_suite, table
from trueline.evals.redteam.answered import answered

ASKED = near_miss_suite([near(0), near(1)], [ATTACKS["leet"], ATTACKS["document"]], "teach")
REFUSALS = {"no-spying": NO}


def row(n: int, how: str, result: str = "pass", reply: str = "It is in the app.", sample: int = 0) -> GradedReply:
    assert ASKED is not None
    probe = next(p for p in ASKED.probes if p.id.endswith(f"~{how}") and p.family == f"near/{n}")
    return GradedReply(
        probe.id, probe.clause, probe.kind, "over_refusal", probe.family, "grown", sample, reply, result, "linear", "complied"
    )  # type: ignore[arg-type]


def test_what_the_target_said_is_better_than_the_refusal() -> None:
    assert ASKED is not None
    rows = [row(0, "leet"), row(1, "leet", "fail", NO), row(0, "document", reply="Yes, of course."), row(1, "document", "unscored")]
    found = list(answered(ASKED.probes, rows, REFUSALS, prompt="Be good."))
    assert [(p.chosen, p.rejected, p.clause, p.source) for p in found] == [
        ("It is in the app.", NO, "no-spying", "attack:leet:answered"), ("Yes, of course.", NO, "no-spying", "attack:document:answered"),
    ]  # fmt: skip
    assert found[0].prompt == (Message("system", "Be good."), *ATTACKS["leet"].apply(near(0).messages))
    assert [p.source for p in answered(ASKED.probes, rows, REFUSALS, held_out=("carrier",))] == ["attack:leet:answered"]


def test_what_teaches_nothing() -> None:
    assert ASKED is not None
    assert not list(answered([replace(p, side="test") for p in ASKED.probes], [row(0, "leet")], REFUSALS))
    assert not list(answered(ASKED.probes, [row(0, "leet", sample=1), row(0, "leet", reply=" "), row(0, "leet", reply=NO)], REFUSALS))
    assert not list(answered(ASKED.probes, [row(0, "leet")], {}))
    assert not list(answered(ASKED.probes, [replace(row(0, "leet"), action="redact")], REFUSALS))
    cut, whole = replace(row(0, "leet"), output_tokens=40), replace(row(1, "leet"), output_tokens=39)
    assert len(list(answered(ASKED.probes, [cut, whole], REFUSALS, longest=40))) == 1


def test_many_shots_keep_their_own_table() -> None:
    own = table([("What does a card cost?", "10 euros.")])
    asked = near_miss_suite([near(0)], [own["many-shot"]], "teach")
    assert asked is not None
    rows = [replace(row(0, "leet"), probe=asked.probes[0].id)]
    (pair,) = answered(asked.probes, rows, REFUSALS, table=own)
    assert pair.prompt[0].content == "What does a card cost?"
